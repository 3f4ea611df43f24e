"""How many weights each unit keeps: six rules for one total.

- rd: least sum of measured distortions, by the knapsack (see `curves.py`).
- lamp: one threshold for the score w_u^2 / sum of w_v^2 over all v of the unit with |w_v| >= |w_u|
  (Lee, Park, Mo, Ahn and Shin, "Layer-adaptive Sparsity for the Magnitude-based Pruning",
  ICLR 2021).
- erk: densities proportional to (sum of a shape's lengths) / (their product); a unit that is full
  stays dense and the others share the rest (Evci et al., "Rigging the Lottery", ICML 2020).
- global: one threshold for the importance itself.
- uniform: one density for all.
- uniform_plus: the same, but the first unit stays dense and the last keeps at least a fifth
  (after Gale, Elsen and Hooker, "The State of Sparsity in Deep Neural Networks", 2019).

Every rule keeps exactly the same total, and no unit less than its floor or more than it has.
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from automl_pruning import knapsack
from automl_pruning.curves import Curve
from automl_pruning.units import Unit

Allocator: TypeAlias = Literal["rd", "lamp", "erk", "global", "uniform", "uniform_plus"]
Counts: TypeAlias = NDArray[np.int64]
Resource: TypeAlias = Literal["weights", "macs", "latency"]
LAST = 0.2  # what uniform_plus leaves of the last unit at least
BUCKETS = 20_000  # budgets that the knapsack tells apart
BUCKETS_OF_TWO = 256  # of each budget, if there are two
STRIDES = 600  # steps of one size, over all units together
GEOMETRIC = 60  # geometric steps in each unit


@dataclass(frozen=True, slots=True)
class Layers:
    """What the rules decide on.

    Attributes:
        units: L of them.
        scores: L vectors (size,) of importances.
        most: (L,) weights that each unit still has.
        curves: L distortion curves; only `rd` reads them.
        times: L curves of nanoseconds, if time is a budget.
    """

    units: tuple[Unit, ...]
    scores: tuple[Tensor, ...]
    most: Counts
    curves: tuple[Curve, ...] = ()
    times: tuple[Curve, ...] = ()

    @property
    def least(self) -> Counts:
        """(L,) weights that each unit keeps in any case."""
        floors: Counts = np.minimum(np.array([unit.floor for unit in self.units]), self.most)
        return floors

    @property
    def sizes(self) -> Counts:
        """(L,) weights that each unit had at first."""
        return np.array([unit.size for unit in self.units])

    def price(self, index: int, keep: Counts, resource: Resource) -> NDArray[np.float64]:
        """Return what numbers of weights (R,) of one unit cost."""
        match resource:
            case "weights":
                return keep.astype(np.float64)
            case "macs":
                return keep.astype(np.float64) * self.units[index].positions
            case "latency":
                return self.times[index].at(keep)

    def cost(self, keep: Counts, resource: Resource) -> float:
        """Return what (L,) numbers of weights cost together."""
        costs = (self.price(i, n, resource)[0] for i, n in enumerate(keep[:, None]))
        return float(sum(costs))

    def total(self, density: float) -> int:
        """Return how many weights a density means; refuse what the floors do not allow."""
        total, least = round(density * int(self.sizes.sum())), int(self.least.sum())
        if total < least:
            raise ValueError(
                f"density: {density:.4g} keeps {total} of {self.sizes.sum()} weights, but one an "
                f"output and one in a hundred must stay; the least is {self.least_density():.4g}"
            )
        return min(total, int(self.most.sum()))

    def least_density(self) -> float:
        """Return the smallest density that the floors allow."""
        return float(self.least.sum() / self.sizes.sum())


def keep_counts(
    layers: Layers, allocator: Allocator, total: int, weights: NDArray[np.float64] | None = None
) -> Counts:
    """Return how many weights each unit keeps.

    Args:
        layers: what to decide on.
        allocator: the rule.
        total: weights that all units keep together.
        weights: (L,) factors of the units' distortions, for `rd`.

    Returns:
        (L,) numbers that add up to `total`.
    """
    if allocator == "rd":
        limit: dict[Resource, float] = {"weights": float(total)}
        return top_up(least_distortion(layers, limit, weights), layers, limit)
    rules: Mapping[str, Callable[[Layers, int], Counts]] = {
        "lamp": lambda given, n: by_score(given, lamp_scores(given), n),
        "global": lambda given, n: by_score(given, [s.double().cpu() for s in given.scores], n),
        "erk": erk,
        "uniform": lambda given, n: shares(
            given.sizes.astype(np.float64), given.least, given.most, n
        ),
        "uniform_plus": uniform_plus,
    }
    return rules[allocator](layers, total)


def least_distortion(
    layers: Layers,
    budgets: Mapping[Resource, float],
    weights: NDArray[np.float64] | None = None,
) -> Counts:
    """Return the numbers of weights with the least total distortion within one or two budgets.

    Args:
        layers: with curves, and times if a budget is one of latency.
        budgets: weights that may stay, multiply-accumulates of one input, nanoseconds.
        weights: (L,) factors of the distortions.
    """
    stride = max(1, int(layers.most.sum()) // STRIDES)
    options = [
        lattice(int(least), int(most), curve.keep, stride)
        for least, most, curve in zip(layers.least, layers.most, layers.curves, strict=True)
    ]
    factors = np.ones(len(options)) if weights is None else weights
    distortions = [
        curve.at(keep) * factor
        for curve, keep, factor in zip(layers.curves, options, factors, strict=True)
    ]
    prices = [
        np.stack([layers.price(index, keep, resource) for resource in budgets], axis=1)
        for index, keep in enumerate(options)
    ]
    costs, limit = in_buckets(prices, budgets)
    choices = knapsack.allocate(distortions, costs, limit)
    return np.array([keep[choice] for keep, choice in zip(options, choices, strict=True)])


def in_buckets(
    prices: Sequence[NDArray[np.float64]], budgets: Mapping[Resource, float]
) -> tuple[list[Counts], Counts]:
    """Round prices up to whole buckets above each unit's least, so that no budget is broken.

    Args:
        prices: L arrays (R_l, K).
        budgets: K of them.

    Returns:
        L arrays (R_l, K) of whole buckets, and the (K,) buckets to spend.

    Raises:
        ValueError: a budget is below what the units cost at least.
    """
    base = sum((price.min(axis=0) for price in prices), start=np.zeros(len(budgets)))
    for (resource, budget), least in zip(budgets.items(), base, strict=True):
        if budget < least:
            raise ValueError(
                f"budget: {budget:.4g} of {resource} is below the least, {least:.4g}; allow more"
            )
    room = np.array([*budgets.values()]) - base
    bucket = np.maximum(room / (BUCKETS if len(budgets) == 1 else BUCKETS_OF_TWO), 1.0)
    costs = [
        np.ceil((price - price.min(axis=0)) / bucket - 1e-9).astype(np.int64) for price in prices
    ]
    return costs, np.floor(room / bucket + 1e-9).astype(np.int64)


def lattice(least: int, most: int, measured: Counts, stride: int) -> Counts:
    """Return numbers of weights from `least` to `most`: measured ones, geometric ones, and strides.

    The stride is the same in every unit, so that weights can move from one to another.
    """
    geometric = np.rint(np.geomspace(max(least, 1), max(most, 1), GEOMETRIC)).astype(np.int64)
    grid = np.concatenate([geometric, measured, np.arange(least, most, stride), [least, most]])
    return np.unique(np.clip(grid, least, most))


def erk(layers: Layers, total: int) -> Counts:
    """Share a total by the sums of the shapes' lengths."""
    lengths = [sum(sum(shape) for shape in unit.shapes) for unit in layers.units]
    return shares(np.array(lengths, dtype=np.float64), layers.least, layers.most, total)


def uniform_plus(layers: Layers, total: int) -> Counts:
    """Share a total by size, with a dense first unit and a fifth of the last, as far as it goes."""
    least = layers.least.copy()
    room = total - int(least.sum())
    for index, wanted in ((0, layers.most[0]), (-1, round(LAST * int(layers.sizes[-1])))):
        more = min(max(int(min(wanted, layers.most[index])) - int(least[index]), 0), room)
        least[index] += more
        room -= more
    return shares(layers.sizes.astype(np.float64), least, layers.most, total)


def shares(shape: NDArray[np.float64], least: Counts, most: Counts, total: int) -> Counts:
    """Share a total in proportion to `shape` within bounds: clip(c shape) for the c that fits.

    Args:
        shape: (L,) above 0.
        least: (L,) lower bounds.
        most: (L,) upper bounds.
        total: between the sums of the bounds.
    """
    low, high = 0.0, float((most / shape).max())
    for _ in range(100):  # halving: to the last bit of a double
        middle = (low + high) / 2
        enough = np.clip(middle * shape, least, most).sum() >= total
        low, high = (low, middle) if enough else (middle, high)
    exact = np.clip(high * shape, least, most)
    return round_to(exact, least, most, total)


def round_to(exact: NDArray[np.float64], least: Counts, most: Counts, total: int) -> Counts:
    """Round numbers within bounds to a total: those with the largest fractions go up."""
    counts = np.clip(np.floor(exact), least, most).astype(np.int64)
    while (short := total - int(counts.sum())) != 0:
        step = 1 if short > 0 else -1
        room = np.flatnonzero(counts < most if step > 0 else counts > least)
        first = room[np.argsort(-step * (exact - counts)[room], kind="stable")][: abs(short)]
        counts[first] += step
    return counts


def top_up(keep: Counts, layers: Layers, budgets: Mapping[Resource, float]) -> Counts:
    """Spend what a choice among options leaves over where it saves most, within every budget."""
    counts = keep.copy()
    gains = [
        float(curve.at(count) - curve.at(count + 1))
        for curve, count in zip(layers.curves, counts, strict=True)
    ]
    for index in np.argsort(-np.array(gains), kind="stable"):
        counts[index] += min(room(counts, layers, int(index), *one) for one in budgets.items())
    return counts


def room(counts: Counts, layers: Layers, index: int, resource: Resource, budget: float) -> int:
    """Return how many more weights one unit can keep within a budget of all."""

    def price(more: int) -> float:
        return float(layers.price(index, counts[[index]] + more, resource)[0])

    free = int(layers.most[index] - counts[index])
    left = budget - layers.cost(counts, resource) + price(0)
    return max(bisect_right(range(free + 1), left, key=price) - 1, 0)


def lamp_scores(layers: Layers) -> list[Tensor]:
    """Return the LAMP score of each weight."""
    scores = []
    for score in layers.scores:
        squares = score.double().cpu().square()
        places = squares.argsort(descending=True, stable=True)
        sums = squares[places].cumsum(0).clamp_min(1e-300)
        scores.append(squares.clone().index_copy(0, places, squares[places] / sums))
    return scores


def by_score(layers: Layers, scores: Sequence[Tensor], total: int) -> Counts:
    """Keep the floor of each unit, then the highest scores of all; ties go by index."""
    ordered = [np.sort(score.numpy())[::-1] for score in scores]
    free = [
        values[low:high]
        for values, low, high in zip(ordered, layers.least, layers.most, strict=True)
    ]
    owners = np.repeat(np.arange(len(free)), [len(values) for values in free])
    places = np.argsort(-np.concatenate(free), kind="stable")[: total - int(layers.least.sum())]
    kept: Counts = layers.least + np.bincount(owners[places], minlength=len(free))
    return kept
