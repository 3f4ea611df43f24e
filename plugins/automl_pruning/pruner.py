"""Prune one trained model: units, importances, curves, allocation, masks and repair in order."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
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
    Resource,
    keep_counts,
    least_distortion,
    top_up,
)
from automl_pruning.criteria import importances
from automl_pruning.curves import (
    Curve,
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
from automl_pruning.speed import time_table
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
        times: of the units; empty unless time is a budget.
    """

    options: Options
    units: tuple[Unit, ...]
    scores: tuple[Tensor, ...]
    eye: Probe
    most: Counts
    curves: Curves
    times: tuple[Curve, ...] = ()

    @property
    def device(self) -> torch.device:
        """Where the model was looked at."""
        return self.eye.outputs.device

    def layers(self, metric: Metric) -> Layers:
        """Return what the allocators decide on."""
        return Layers(self.units, self.scores, self.most, self.curves.get(metric, ()), self.times)

    def feasible(self, density: float) -> float:
        """Return a density, or the least that the floors of the units allow."""
        layers = self.layers(self.options.metric)
        total = int(np.ceil(layers.least_density() * layers.sizes.sum()))
        return max(density, total / float(layers.sizes.sum()))

    def keep(self, density: float, allocator: Allocator | None = None) -> Counts:
        """Return how many weights (L,) each unit keeps at a density."""
        layers = self.layers(self.options.metric)
        rule, total = allocator or self.options.allocator, layers.total(density)
        more = self.budgets() if rule == "rd" else {}
        if not more:
            return keep_counts(layers, rule, total, self.factors())
        budgets: dict[Resource, float] = {"weights": float(total), **more}
        return top_up(least_distortion(layers, budgets, self.factors()), layers, budgets)

    def budgets(self) -> dict[Resource, float]:
        """Return what limits the model besides the number of weights.

        Raises:
            ValueError: less is allowed than the floors of the units cost.
        """
        layers, found = self.layers(self.options.metric), dict[Resource, float]()
        wanted: dict[Resource, float | None] = {
            "macs": self.options.macs,
            "latency": self.options.latency,
        }
        for resource, share in wanted.items():
            if share is None:
                continue
            dense, least = (layers.cost(keep, resource) for keep in (layers.sizes, layers.least))
            if share * dense < least:
                raise ValueError(
                    f"{resource}: {share:g} of the dense model's is below the least that can be "
                    f"had, {least / dense:.3g}; allow more"
                )
            found[resource] = share * dense
        return found

    def factors(self) -> NDArray[np.float64]:
        """Return the factor (L,) of each unit's distortion: units are cut into blocks in order."""
        logs = np.zeros(len(self.units))
        blocks = np.array_split(np.arange(len(self.units)), max(self.options.blocks, 1))
        for index, run in enumerate(blocks, 1):
            logs[run] = self.options.coefficients.get(f"b{index}", 0.0)
        return np.exp(logs)

    def predicted(self, keep: Counts) -> float | None:
        """Return the sum of the units' distortions; None without curves."""
        curves = self.curves.get(self.options.metric, ())
        pairs = zip(curves, keep, strict=True) if curves else ()
        return sum(float(curve.at(count)) for curve, count in pairs) if curves else None

    def prune(self, model: nn.Module, keep: Counts) -> Masks:
        """Prune a model in place, repair it if the options say so, and return the masks."""
        model.to(self.device)  # Lightning leaves it on the CPU after each validation
        masks = make_masks(self.units, self.scores, keep)
        apply(model, masks)
        if self.options.repair and self.eye.dense is not None:
            repair(model, self.eye.inputs, self.eye.dense)
        return masks

    def additivity(self, model: nn.Module) -> Additivity:
        """Say how well the distortions of units add up; the model is left as it is."""
        model.to(self.device)
        return additivity(model, self.layers(self.options.metric), self.eye, self.options.metric)


def make_pruner(
    model: nn.Module, inputs: Inputs, options: Options, caches: Sequence[Path] = ()
) -> Pruner:
    """Look at a model as it is now, on the device where it is.

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
    settings = f"{options.criterion} {options.repair} {options.points} {[u.name for u in units]}"
    name = f"{fingerprint(model, inputs, settings)}.npz"
    curves: Curves = {}
    if options.allocator == "rd" or options.compare:
        make = partial(measure, model, units, scores, eye, options.points)
        curves = cached(caches, f"curves-{name}", make)
    times: tuple[Curve, ...] = ()
    if options.latency is not None:
        if device.type != "cpu":
            raise ValueError(
                f"latency: sparse kernels are timed on a CPU, the model is on {device}"
            )
        table = partial(time_table, model, units, scores, inputs)
        times = cached(caches, f"times-{name}", lambda: {"latency": table()})["latency"]
    return Pruner(options, units, scores, eye, most, curves, times)


def cached(caches: Sequence[Path], name: str, make: Callable[[], Curves]) -> Curves:
    """Read curves from the first cache that has them, or make and keep them."""
    for folder in caches:
        if (folder / name).exists():
            return load(folder / name)
    curves = make()
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
