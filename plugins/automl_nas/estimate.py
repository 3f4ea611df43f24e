"""Calibrated estimates: what a few stand-alone trainings make of a supernet's opinion.

A ridge regression of the ranks of the truth on the chosen operations, with the supernet's estimate
as a further feature that is not penalized: it falls back on the estimate alone where the penalty is
large. Ranks, because a few architectures that do not train at all would rule a regression of the
values. Residuals with one training left out have a closed form (Allen, The Relationship between
Variable Selection and Data Augmentation and a Method for Prediction, 1974): r_i / (1 - H_ii).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from automl_nas.ranking import kendall_tau
from automl_nas.space import Architecture, Space

Vector: TypeAlias = NDArray[np.float64]
PENALTIES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 1000.0)
SIMPLE = 20.0  # trainings that the estimate alone is worth in a calibration
TINY = 1e-9


@dataclass(frozen=True, slots=True)
class Ridge:
    """A linear model with penalized and free features.

    Attributes:
        center: (F,) of the features.
        weights: (F,).
        intercept: the mean of the truth.
        left_out: (n,) prediction of each training by the others.
    """

    center: Vector
    weights: Vector
    intercept: float
    left_out: Vector

    def predict(self, features: Any) -> Vector:
        """Return (m,) predictions for (m, F) features."""
        found: Vector = self.intercept + (np.asarray(features) - self.center) @ self.weights
        return found


def fitted(features: Any, truth: Any, free: int = 0, penalty: float | None = None) -> Ridge:
    """Fit a ridge regression; its penalty is the one that predicts left-out trainings best.

    Args:
        features: (n, F); the last `free` ones are not penalized.
        truth: (n,).
        free: number of features without penalty.
        penalty: of the others, if it is known.
    """
    x, y = np.asarray(features, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    center, mean = x.mean(axis=0), float(y.mean())
    penalties = PENALTIES if penalty is None else (penalty,)
    solved = [solve(x - center, y - mean, free, one) for one in penalties]
    weights, residuals = min(solved, key=lambda one: float((one[1] ** 2).sum()))
    return Ridge(center, weights, mean, y - residuals)


def solve(x: Vector, y: Vector, free: int, penalty: float) -> tuple[Vector, Vector]:
    """Return weights and left-out residuals of a centered ridge regression."""
    count, width = x.shape
    penalties = np.full(width, penalty)
    penalties[width - free :] = TINY
    inner = np.linalg.solve(x.T @ x + np.diag(penalties), x.T)
    weights = inner @ y
    leverage = np.einsum("ij,ji->i", x, inner) + 1 / count  # the intercept is fitted too
    return weights, (y - x @ weights) / np.maximum(1 - leverage, TINY)


def one_hot(space: Space, architectures: Sequence[Architecture]) -> Vector:
    """Return (n, sum of K_e) indicators of the operations, 1 where one is chosen."""
    rows = np.asarray(architectures, dtype=int)
    blocks = [np.eye(len(edge.operations))[rows[:, i]] for i, edge in enumerate(space.edges)]
    return np.concatenate(blocks, axis=1)


def blended(full: Ridge, simple: Ridge) -> Ridge:
    """Return the mean of a model and one on its last feature alone, which weighs as 20 trainings.

    With few trainings the rich model follows their noise; with many the simple one fades.
    """
    count = len(full.left_out)
    share = count / (count + SIMPLE)
    alone = np.zeros_like(full.weights)
    alone[-1] = simple.weights[0]
    return Ridge(
        full.center,
        share * full.weights + (1 - share) * alone,
        full.intercept,
        share * full.left_out + (1 - share) * simple.left_out,
    )


def ranks(truth: Any) -> Vector:
    """Return mid-ranks in (0, 1); equals share theirs."""
    values = np.asarray(truth, dtype=np.float64)
    below = (values[None, :] < values[:, None]).sum(axis=1)
    equal = (values[None, :] == values[:, None]).sum(axis=1)
    found: Vector = (below + equal / 2) / len(values)
    return found


@dataclass(frozen=True, slots=True)
class Scale:
    """The way from ranks back to values: linear between trainings, straight on beyond them.

    Attributes:
        ranks: (n,) increasing.
        values: (n,) increasing.
        slope: of the best quarter.
    """

    ranks: Vector
    values: Vector
    slope: float

    def __call__(self, rank: Any) -> Vector:
        """Return the values of ranks."""
        found = np.interp(rank, self.ranks, self.values)
        beyond: Vector = np.maximum(0, np.asarray(rank) - self.ranks[-1]) * self.slope
        return np.asarray(found + beyond, dtype=np.float64)


def scale_of(truth: Any) -> Scale:
    """Return the scale on which trainings have their own values."""
    values = np.sort(np.asarray(truth, dtype=np.float64))
    order = ranks(values)
    first = min(len(values) - 2, len(values) * 3 // 4)
    run = order[-1] - order[first]
    return Scale(order, values, float((values[-1] - values[first]) / run) if run > 0 else 0.0)


@dataclass(frozen=True, slots=True)
class Calibration:
    """A calibrated estimate and how well it predicts trainings that it has not seen.

    Attributes:
        model: of the ranks of the truth.
        scale: from ranks to values.
        kept: whether the supernet's estimate is a feature: it is unless it harms.
        taus: Kendall's tau of left-out predictions, by the features: `operations` alone, with the
            `supernet`; and of the raw supernet estimate, `raw`.
        sd: root mean square of the left-out errors of the half that is predicted to be better.
        trained: number of trainings.
    """

    model: Ridge
    scale: Scale
    kept: bool
    taus: Mapping[str, float] = field(default_factory=dict)
    sd: float = 0.0
    trained: int = 0

    def predict(self, plain: Vector, supernet: Vector) -> Vector:
        """Return (m,) estimates from (m, F) plain features and (m,) supernet estimates."""
        return self.scale(self.model.predict(joined(plain, supernet) if self.kept else plain))


def joined(plain: Vector, supernet: Vector) -> Vector:
    """Put the supernet's estimate behind the plain features, where it is not penalized."""
    return np.concatenate([plain, np.asarray(supernet)[:, None]], axis=1)


def calibrated(plain: Vector, supernet: Vector, truth: Any) -> Calibration:
    """Fit the truth with and without the supernet's estimate, and drop it if it harms.

    It is dropped if left-out predictions without it have a tau that is higher by more than half of
    the standard error that a tau has by chance: with few trainings a smaller difference is noise.

    Args:
        plain: (n, F) features of the architectures themselves.
        supernet: (n,) estimates, larger is better.
        truth: (n,) of stand-alone trainings, larger is better; at least 3.
    """
    y = np.asarray(truth, dtype=np.float64)
    if len(y) < 3:
        raise ValueError(f"a calibration needs at least 3 trainings, got {len(y)}")
    both = joined(plain, supernet)
    without, together = fitted(plain, ranks(y)), fitted(both, ranks(y), free=1)
    together = blended(together, fitted(both[:, -1:], ranks(y), free=1))
    taus = {
        "operations": kendall_tau(without.left_out, y),
        "supernet": kendall_tau(together.left_out, y),
        "raw": kendall_tau(supernet, y),
    }
    gain = np.nan_to_num(taus["supernet"], nan=-1) - np.nan_to_num(taus["operations"], nan=-1)
    kept = bool(gain > -noise(len(y)) / 2)
    model = together if kept else without
    scale = scale_of(y)
    better = np.argsort(-model.left_out)[: max(2, len(y) // 2)]
    errors = y[better] - scale(model.left_out[better])
    sd = float(np.sqrt((errors**2).mean()))
    return Calibration(model, scale, kept, taus, sd, len(y))


def noise(count: int) -> float:
    """Return the standard error of tau between unrelated series (Kendall, 1938)."""
    return float(np.sqrt(2 * (2 * count + 5) / (9 * count * (count - 1))))
