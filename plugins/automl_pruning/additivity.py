"""How well distortions of single units add up to the distortion of all units pruned together.

The knapsack rests on D(all pruned) = sum of delta_l. Random allocations, measured, say whether it
holds for this model: the rank correlation of predicted and real distortion, and their ratio.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import nn

from automl_pruning.allocate import Layers, shares
from automl_pruning.curves import Metric, Probe, write
from automl_pruning.masks import apply, make_masks

THRESHOLD = 0.8  # rank correlation below which the sum is not to be trusted
WEAK, ENOUGH = (
    0.5,
    5,
)  # the same in a band, where few allocations tell less; and how few are too few
BANDS = ((0.3, 1.0), (0.1, 0.3), (0.0, 0.1))  # of density


@dataclass(frozen=True, slots=True)
class Additivity:
    """Predicted and real distortions (n,) of random allocations, by density (n,)."""

    densities: NDArray[np.float64]
    predicted: NDArray[np.float64]
    real: NDArray[np.float64]

    @property
    def correlation(self) -> float:
        """Rank correlation of predicted and real distortion."""
        return rank_correlation(self.predicted, self.real)

    @property
    def ratio(self) -> float:
        """Median of real distortion over predicted."""
        useful = self.predicted > 0
        return float(np.median(self.real[useful] / self.predicted[useful]))

    def warning(self) -> str | None:
        """Say that the sum is not to be trusted, at all or in some bands of density, if so."""
        if self.correlation >= THRESHOLD:
            weak = [
                f"{band} ({value:.2f} over {count} allocations)"
                for band, count, value in self.bands()
                if value < WEAK and count >= ENOUGH
            ]
            if not weak:
                return None
            return (
                f"additivity: the rank correlation is {self.correlation:.2f} over all densities, "
                f"but below {WEAK} at densities {', '.join(weak)}; "
                "prune to these in more rounds, or search `allocator`"
            )
        return (
            f"additivity: predicted and real distortion have a rank correlation of "
            f"{self.correlation:.2f}, below {THRESHOLD}; "
            "prune in more rounds, or search `allocator`"
        )

    def bands(self) -> list[tuple[str, int, float]]:
        """Return (band of density, allocations, rank correlation) for bands with at least three."""
        rows = []
        for low, high in BANDS:
            inside = (self.densities > low) & (self.densities <= high)
            if (count := int(inside.sum())) >= 3:
                value = rank_correlation(self.predicted[inside], self.real[inside])
                rows.append((f"{low:g} to {high:g}", count, value))
        return rows


def additivity(
    model: nn.Module, layers: Layers, eye: Probe, metric: Metric = "mse", count: int = 16
) -> Additivity:
    """Measure random allocations; the model's weights are put back bit by bit.

    Args:
        model: whose curves `layers` holds.
        layers: with curves.
        eye: what the curves were measured with.
        metric: of those curves.
        count: of allocations, log-uniform in density.
    """
    rng = np.random.default_rng(0)
    lowest = max(layers.least_density(), 0.02)
    highest = float(layers.most.sum() / layers.sizes.sum())
    rows = []
    for _ in range(count):
        density = float(np.exp(rng.uniform(np.log(lowest), np.log(max(highest, lowest)))))
        tilt = layers.most.astype(np.float64) * np.exp(rng.normal(0.0, 1.0, len(layers.units)))
        keep = shares(tilt, layers.least, layers.most, layers.total(density))
        predicted = sum(float(c.at(np.array(k))) for c, k in zip(layers.curves, keep, strict=True))
        rows.append((density, predicted, joint_distortion(model, layers, keep, eye)[metric]))
    return Additivity(*np.array(rows).T)


def joint_distortion(
    model: nn.Module, layers: Layers, keep: Sequence[int] | NDArray[np.int64], eye: Probe
) -> dict[Metric, float]:
    """Return the distortion with all units pruned; the weights are put back."""
    parameters = dict(model.named_parameters())
    names = [name for unit in layers.units for name in unit.weights]
    weights = {name: parameters[name].detach().clone() for name in names}
    try:
        apply(model, make_masks(layers.units, layers.scores, keep))
        return eye.distortion(model)
    finally:
        write(parameters, weights)


def rank_correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Return Spearman's correlation, with mean ranks for ties; 0 if all of one are equal."""
    x, y = mean_ranks(a), mean_ranks(b)
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return 0.0
    return float(np.corrcoef(x, y)[0, 1])


def mean_ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rank of each value; equal values share the mean of their ranks."""
    below = (values[:, None] > values[None, :]).sum(1)
    equal = (values[:, None] == values[None, :]).sum(1)
    ranks: NDArray[np.float64] = below + (equal - 1) / 2
    return ranks
