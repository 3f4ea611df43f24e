"""Prune one trained model: units, importances, curves, allocation, masks and repair in order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from automl_pruning.additivity import Additivity, additivity
from automl_pruning.allocate import (
    Allocator,
    Counts,
    Layers,
    keep_counts,
    least_distortion,
)
from automl_pruning.criteria import importances
from automl_pruning.curves import (
    Curves,
    Metric,
    Probe,
    fingerprint,
    load,
    measure,
    probe,
    save,
)
from automl_pruning.forward import Inputs, to
from automl_pruning.masks import Masks, apply, make_masks
from automl_pruning.options import Options
from automl_pruning.repair import repair
from automl_pruning.units import Unit, find_units, flat


@dataclass(frozen=True, slots=True)
class Pruner:
    """What is known of a model before it is pruned; the model may be pruned already.

    Attributes:
        options: how to prune.
        units: L of them.
        scores: L vectors (size,) of importances.
        eye: what distortions are measured with.
        most: (L,) weights that each unit has.
        curves: of every metric; empty if nothing needs them.
    """

    options: Options
    units: tuple[Unit, ...]
    scores: tuple[Tensor, ...]
    eye: Probe
    most: Counts
    curves: Curves

    def layers(self, metric: Metric) -> Layers:
        """Return what the allocators decide on."""
        return Layers(self.units, self.scores, self.most, self.curves.get(metric, ()))

    def feasible(self, density: float) -> float:
        """Return a density, or the least that the floors of the units allow."""
        layers = self.layers(self.options.metric)
        total = int(np.ceil(layers.least_density() * layers.sizes.sum()))
        return max(density, total / float(layers.sizes.sum()))

    def keep(self, density: float, allocator: Allocator | None = None) -> Counts:
        """Return how many weights (L,) each unit keeps at a density."""
        layers = self.layers(self.options.metric)
        rule, total = allocator or self.options.allocator, layers.total(density)
        if self.options.macs is None or rule != "rd":
            return keep_counts(layers, rule, total, self.factors())
        dense = sum(unit.size * unit.positions for unit in self.units)
        budgets = {"weights": float(total), "macs": self.options.macs * dense}
        return least_distortion(layers, budgets, self.factors())  # type: ignore[arg-type] # keys are resources

    def factors(self) -> NDArray[np.float64]:
        """Return the factor (L,) of each unit's distortion: units are cut into blocks in order."""
        logs = np.zeros(len(self.units))
        count = max(self.options.blocks, len(self.options.coefficients))
        for index, run in enumerate(np.array_split(np.arange(len(self.units)), max(count, 1)), 1):
            logs[run] = self.options.coefficients.get(f"b{index}", 0.0)
        return np.exp(logs)

    def predicted(self, keep: Counts) -> float | None:
        """Return the sum of the units' distortions; None without curves."""
        curves = self.curves.get(self.options.metric, ())
        pairs = zip(curves, keep, strict=True) if curves else ()
        return sum(float(curve.at(count)) for curve, count in pairs) if curves else None

    def prune(self, model: nn.Module, keep: Counts) -> Masks:
        """Prune a model in place, repair it if the options say so, and return the masks."""
        masks = make_masks(self.units, self.scores, keep)
        apply(model, masks)
        if self.options.repair and self.eye.dense is not None:
            repair(model, self.eye.inputs, self.eye.dense)
        return masks

    def additivity(self, model: nn.Module) -> Additivity:
        """Say how well the distortions of units add up; the model is left as it is."""
        return additivity(model, self.layers(self.options.metric), self.eye, self.options.metric)


def make_pruner(
    model: nn.Module, inputs: Inputs, options: Options, caches: Sequence[Path] = ()
) -> Pruner:
    """Look at a model as it is now.

    Args:
        model: trained; left bit by bit as it is.
        inputs: calibration samples, from training data.
        options: how to prune.
        caches: folders to look for its curves in; they are kept in the first.
    """
    device = next(model.parameters()).device
    inputs = to(inputs, device)
    units = find_units(model, inputs, options.exclude)
    scores = tuple(importances(model, units, options.criterion, inputs))
    eye = probe(model, inputs, repair=options.repair)
    weights = dict(model.named_parameters())
    most = np.array([int(torch.count_nonzero(flat(weights, unit))) for unit in units])
    needed = options.allocator == "rd" or options.compare
    curves = cached(model, units, scores, eye, (options, caches)) if needed else {}
    return Pruner(options, units, scores, eye, most, curves)


def cached(
    model: nn.Module,
    units: tuple[Unit, ...],
    scores: tuple[Tensor, ...],
    eye: Probe,
    how: tuple[Options, Sequence[Path]],
) -> Curves:
    """Read the curves of exactly this model from a cache, or measure and keep them."""
    options, caches = how
    settings = f"{options.criterion} {options.repair} {options.points} {[u.name for u in units]}"
    name = f"curves-{fingerprint(model, eye.inputs, settings)}.npz"
    for folder in caches:
        if (folder / name).exists():
            return load(folder / name)
    curves = measure(model, units, scores, eye, options.points)
    if caches:
        save(caches[0] / name, curves)
    return curves


def restore(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Put a model's weights and statistics back in place."""
    with torch.no_grad():
        for name, value in model.state_dict().items():
            value.copy_(state[name])


def snapshot(model: nn.Module) -> dict[str, Tensor]:
    """Return a copy of a model's weights and statistics."""
    return {name: value.detach().clone() for name, value in model.state_dict().items()}
