"""Distortion curves: what pruning one unit alone, more and more, does to the model's output.

With the calibration inputs fixed, y the dense model's outputs (logits) and y' those with only
unit l pruned to k weights, the curve is delta_l(k) = D(y, y') with

- mse: mean over samples and outputs of (y - y')^2,
- max: the largest over samples of the mean over outputs of (y - y')^2,
- kl: mean over samples of KL(softmax y || softmax y').

Source of the curve, and of adding curves up: Xu et al., "Efficient Joint Optimization of
Layer-Adaptive Weight Pruning in Deep Neural Networks", ICCV 2023. Departures: y and y' are those
after the statistics repair of `repair.py` (unless told otherwise), because without it distortions
in a network with BatchNorm saturate and stop adding up; densities are on a geometric grid; and a
curve is made monotone: keeping more is never worse, as the better mask of fewer could be used.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from automl_pruning.criteria import order
from automl_pruning.forward import Inputs, call, still
from automl_pruning.repair import Moments, dense_moments, repaired_call
from automl_pruning.units import Unit, flat, parts

Metric: TypeAlias = Literal["mse", "kl", "max"]
METRICS: tuple[Metric, ...] = ("mse", "kl", "max")
KINDS = ("keep", "distortion")
SPARSEST = 0.002  # the sparsest density of the grid
HOPELESS = 2.0  # a curve ends where distortion exceeds this multiple of the outputs' energy


@dataclass(frozen=True, slots=True)
class Curve:
    """The distortion of one unit: `distortion[i]` where `keep[i]` weights stay; keep descends."""

    keep: NDArray[np.int64]
    distortion: NDArray[np.float64]

    def at(self, keep: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the distortion at any number of weights, linear between measured ones."""
        return np.interp(keep, self.keep[::-1], self.distortion[::-1])


Curves: TypeAlias = dict[str, tuple[Curve, ...]]  # by metric


@dataclass(frozen=True, slots=True)
class Probe:
    """What distortions are measured with: frozen inputs, and the outputs to compare with.

    Attributes:
        inputs: calibration samples, from training data.
        outputs: the dense model's.
        dense: the moments to repair to; None without repair.
    """

    inputs: Inputs
    outputs: Tensor
    dense: Mapping[str, Moments] | None

    def distortion(self, model: nn.Module) -> dict[Metric, float]:
        """Return how far the model's outputs are from the dense ones, by every metric."""
        outputs = respond(model, self.inputs, self.dense)
        return {metric: distance(self.outputs, outputs, metric) for metric in METRICS}

    @property
    def limit(self) -> float:
        """Mean squared error beyond which a curve says nothing more."""
        return HOPELESS * float(self.outputs.double().square().mean())


def probe(model: nn.Module, inputs: Inputs, *, repair: bool) -> Probe:
    """Record the dense model's outputs on calibration inputs."""
    dense = dense_moments(model, inputs) if repair else None
    return Probe(inputs, respond(model, inputs, dense), dense)


def respond(model: nn.Module, inputs: Inputs, dense: Mapping[str, Moments] | None) -> Tensor:
    """Return the model's outputs in evaluation, repaired if there are moments to repair to."""
    if dense is not None:
        return repaired_call(model, inputs, dense)
    with still(model), torch.no_grad():
        return call(model, inputs)


def distance(dense: Tensor, pruned: Tensor, metric: Metric) -> float:
    """Return the distortion between two outputs (N, ..., C); outputs not finite are at infinity."""
    dense, pruned = dense.double(), pruned.double()
    if not torch.isfinite(pruned).all():
        return math.inf
    if metric == "kl":
        logs, theirs = dense.log_softmax(-1), pruned.log_softmax(-1)
        return max(0.0, float((logs.exp() * (logs - theirs)).sum(-1).mean()))
    errors = (dense - pruned).square().flatten(1).mean(1)
    return float(errors.max() if metric == "max" else errors.mean())


def keep_grid(unit: Unit, most: int, points: int) -> NDArray[np.int64]:
    """Return at most `points` numbers of weights to keep, descending geometrically to the floor."""
    floor = min(max(unit.floor, round(SPARSEST * unit.size)), most)
    grid = np.geomspace(most, max(floor, 1), points)
    return np.unique(np.append(np.rint(grid), [most, floor]).astype(np.int64))[::-1]


def measure(
    model: nn.Module,
    units: Sequence[Unit],
    scores: Sequence[Tensor],
    eye: Probe,
    points: int = 24,
) -> Curves:
    """Measure the curve of each unit; every weight is put back bit by bit.

    Args:
        model: dense, or pruned before: then a unit's curve starts at what it still has.
        units: L of them.
        scores: L vectors (size,) of importances.
        eye: what to measure with.
        points: of each curve; one forward pass each but the first.

    Returns:
        L curves for each metric, from the same passes.
    """
    found = [
        measure_unit(model, unit, order(score), eye, points)
        for unit, score in zip(units, scores, strict=True)
    ]
    return {metric: tuple(curves[metric] for curves in found) for metric in METRICS}


def measure_unit(
    model: nn.Module, unit: Unit, places: Tensor, eye: Probe, points: int
) -> dict[Metric, Curve]:
    """Measure the curve of one unit; where it is hopeless it ends, level.

    Args:
        model: its weights are put back.
        unit: what to prune.
        places: (size,) of each weight in the order of importance.
        eye: what to measure with.
        points: of the curve.
    """
    parameters = dict(model.named_parameters())
    weights = {name: parameters[name].detach().clone() for name in unit.weights}
    vector = flat(weights, unit)
    grid = keep_grid(unit, int(torch.count_nonzero(vector)), points)
    rows: list[dict[Metric, float]] = [dict.fromkeys(METRICS, 0.0)]
    try:
        for keep in grid[1:]:
            if rows[-1]["mse"] <= eye.limit:
                write(parameters, parts(vector * (places < int(keep)), unit))
                rows.append(eye.distortion(model))
            else:
                rows.append(rows[-1])
    finally:
        write(parameters, weights)
    return {m: Curve(grid, envelope(np.array([row[m] for row in rows]))) for m in METRICS}


def envelope(distortions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Make a curve (R,), from dense to sparse, finite and monotone."""
    worst = distortions[np.isfinite(distortions)].max()
    finite = np.where(np.isfinite(distortions), distortions, 10 * max(worst, 1.0))
    return np.minimum.accumulate(finite[::-1])[::-1]


def write(parameters: Mapping[str, nn.Parameter], values: Mapping[str, Tensor]) -> None:
    """Overwrite parameters in place."""
    with torch.no_grad():
        for name, value in values.items():
            parameters[name].copy_(value)


def fingerprint(model: nn.Module, inputs: Inputs, settings: str) -> str:
    """Return a short hash of all that a curve depends on: weights, statistics, inputs, settings."""
    digest = hashlib.sha256(settings.encode())
    tensors = dict(model.state_dict())
    tensors |= {"inputs": inputs} if isinstance(inputs, Tensor) else inputs
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def save(path: Path, curves: Mapping[str, Sequence[Curve]]) -> None:
    """Write the units' curves by name to a file, whole or not at all."""
    arrays = {
        f"{metric}.{kind}.{index}": getattr(curve, kind)
        for metric, found in curves.items()
        for index, curve in enumerate(found)
        for kind in KINDS
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial.npz")
    np.savez(partial, **arrays)
    partial.replace(path)


def load(path: Path) -> dict[str, tuple[Curve, ...]]:
    """Read the units' curves by name from a file."""
    with np.load(path) as arrays:
        names = list(dict.fromkeys(key.split(".")[0] for key in arrays.files))
        count = len(arrays.files) // len(KINDS) // len(names)
        return {
            name: tuple(
                Curve(*(arrays[f"{name}.{kind}.{index}"] for kind in KINDS))
                for index in range(count)
            )
            for name in names
        }
