"""One option for each layer, least total distortion within a budget: exact, for every budget.

A multiple-choice knapsack (Xu et al., "Efficient Joint Optimization of Layer-Adaptive Weight
Pruning in Deep Neural Networks", ICCV 2023, solves it for one budget). With distortion d_l(a) and
integer cost c_l(a) of option a of layer l, the least total distortion within budget b is

    V_0(b) = 0,    V_l(b) = min over a with c_l(a) <= b of  d_l(a) + V_{l-1}(b - c_l(a)),

and one table V_L holds the answer to every budget. Costs may be vectors (weights and MACs, say):
then b is a vector and all of the above holds for each coordinate. The table has a cell for each
budget that costs can add up to: what every option of a layer costs at least is set aside first,
and the rest is counted in units of the greatest common divisor.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
CELLS = 2**29  # largest tables together, in cells of eight bytes


@dataclass(frozen=True, slots=True)
class Frontier:
    """The answer to every budget, for K resources.

    Attributes:
        least: (K,) the smallest feasible budget of each resource by itself.
        quantum: (K,) the distance of two budgets whose answers can differ.
        tables: V_0 … V_L, each (B_1, …, B_K): least total distortion of the first layers for the
            budget `least + quantum * index`; infinite where several resources cannot be met.
        distortions: L arrays (R_l,).
        costs: L arrays (R_l, K), each option's cost in quanta above its layer's least.
    """

    least: Integers
    quantum: Integers
    tables: tuple[Floats, ...]
    distortions: tuple[Floats, ...]
    costs: tuple[Integers, ...]

    @property
    def values(self) -> Floats:
        """Least total distortion for the budget `least + quantum * index`."""
        return self.tables[-1]

    def index(self, budget: ArrayLike) -> tuple[int, ...]:
        """Return the cell of a budget: the largest one that it can pay for."""
        given = np.atleast_1d(np.asarray(budget))
        room = np.floor((given - self.least) / self.quantum)
        top = np.array(self.values.shape) - 1
        cell = tuple(int(c) for c in np.clip(room, 0, top))
        if (room < 0).any() or not np.isfinite(self.values[cell]):
            raise infeasible(given, self.least)
        return cell

    def value(self, budget: ArrayLike) -> float:
        """Return the least total distortion within a budget (one number a resource)."""
        return float(self.values[self.index(budget)])

    def at(self, budget: ArrayLike) -> list[int]:
        """Return the option of each layer that gives `value(budget)`."""
        cell = np.array(self.index(budget), dtype=np.int64)
        choices: list[int] = []
        for layer in reversed(range(len(self.costs))):
            fits = np.flatnonzero((self.costs[layer] <= cell).all(axis=1))
            before = tuple((cell - self.costs[layer][fits]).T)
            totals = self.tables[layer][before] + self.distortions[layer][fits]
            choices.append(int(fits[totals.argmin()]))
            cell -= self.costs[layer][choices[-1]]
        return choices[::-1]


def allocate(
    distortions: Sequence[ArrayLike], costs: Sequence[ArrayLike], budget: ArrayLike
) -> list[int]:
    """Choose one option a layer so that the total cost fits and total distortion is least.

    Args:
        distortions: L sequences (R_l,) of finite numbers.
        costs: L sequences (R_l,) of integers from 0, or (R_l, K) for K resources.
        budget: the most that may be spent: a number, or K of them.

    Returns:
        The index of each layer's option.

    Raises:
        ValueError: nothing fits; says the least feasible budget.
    """
    return frontier(distortions, costs, limit=budget).at(budget)


def frontier(
    distortions: Sequence[ArrayLike],
    costs: Sequence[ArrayLike],
    limit: ArrayLike | None = None,
) -> Frontier:
    """Solve the allocation for every budget, up to `limit` if there is one.

    Args:
        distortions: L sequences (R_l,) of finite numbers.
        costs: L sequences (R_l,) of integers from 0, or (R_l, K) for K resources.
        limit: the largest budget of interest: a number, or K of them.
    """
    losses, prices = checked(distortions, costs)
    resources = prices[0].shape[1] if prices else 1
    least = total([price.min(axis=0) for price in prices], resources)
    quantum = common_divisor(prices, resources)
    quanta = tuple((price - price.min(axis=0)) // quantum for price in prices)
    top = total([price.max(axis=0) for price in quanta], resources)
    if limit is not None:
        room = np.floor((np.broadcast_to(np.asarray(limit), (resources,)) - least) / quantum)
        top = np.minimum(top, np.maximum(room, 0)).astype(np.int64)
    shape = tuple(int(t) + 1 for t in top)
    check_size(shape, len(prices))
    tables = [np.zeros(shape)]
    for loss, price in zip(losses, quanta, strict=True):
        tables.append(add_layer(tables[-1], loss, price))
    return Frontier(least, quantum, tuple(tables), tuple(losses), quanta)


def add_layer(values: Floats, loss: Floats, cost: Integers) -> Floats:
    """Do one step of the recursion, V_{l-1} to V_l, for all budgets at once.

    Args:
        values: (B_1, …, B_K) V_{l-1}.
        loss: (R,) d_l.
        cost: (R, K) c_l in quanta.

    Returns:
        V_l, shaped like `values`; infinite where no option fits.
    """
    best = np.full(values.shape, np.inf)
    for option in useful(loss, cost):
        if (cost[option] < values.shape).all():
            here = tuple(slice(int(c), None) for c in cost[option])
            end = np.array(values.shape) - cost[option]
            before = tuple(slice(0, int(e)) for e in end)
            np.minimum(best[here], values[before] + loss[option], out=best[here])
    return best


def useful(loss: Floats, cost: Integers) -> Integers:
    """Return the options; for one resource, without those that another one undercuts."""
    order = np.lexsort((*cost.T, loss))
    if cost.shape[1] > 1:
        return order
    paid = cost[order, 0]
    cheapest = np.minimum.accumulate(np.append(np.iinfo(np.int64).max, paid[:-1]))
    kept: Integers = order[paid < cheapest]
    return kept


def checked(
    distortions: Sequence[ArrayLike], costs: Sequence[ArrayLike]
) -> tuple[list[Floats], list[Integers]]:
    """Return both as arrays, costs with one column a resource; refuse what makes no sense."""
    if len(distortions) != len(costs):
        raise ValueError(f"layers: {len(distortions)} distortions and {len(costs)} costs")
    losses = [np.asarray(loss, dtype=np.float64) for loss in distortions]
    prices = [whole(cost, layer) for layer, cost in enumerate(costs)]
    prices = [price[:, None] if price.ndim == 1 else price for price in prices]
    for layer, (loss, price) in enumerate(zip(losses, prices, strict=True)):
        if loss.ndim != 1 or not 0 < len(loss) == len(price) <= 2**16:
            raise ValueError(
                f"layer {layer}: distortions of shape {loss.shape} and {len(price)} costs; "
                "give one of each for 1 to 65536 options"
            )
        if not np.isfinite(loss).all():
            raise ValueError(f"layer {layer}: distortions must be finite, got {loss.tolist()}")
    if len({price.shape[1] for price in prices}) > 1:
        raise ValueError("costs: every layer needs the same number of resources")
    return losses, prices


def whole(cost: ArrayLike, layer: int) -> Integers:
    """Return one layer's costs as integers; refuse what is none."""
    given: NDArray[Any] = np.asarray(cost)
    numbers = given.astype(np.int64)
    if (numbers != given).any() or (numbers < 0).any():
        raise ValueError(f"layer {layer}: costs must be integers from 0, got {given.tolist()}")
    return numbers


def common_divisor(prices: Sequence[Integers], resources: int) -> Integers:
    """Return, for each resource, the largest step of which all costs are whole multiples."""
    steps = [price - price.min(axis=0) for price in prices]
    flat = np.concatenate([np.zeros((1, resources), dtype=np.int64), *steps])
    return np.array([max(1, math.gcd(*column.tolist())) for column in flat.T], dtype=np.int64)


def total(parts: Sequence[Integers], resources: int) -> Integers:
    """Add up (K,) vectors; nothing adds up to zeros."""
    return np.array(sum(parts, start=np.zeros(resources, dtype=np.int64)))


def check_size(shape: tuple[int, ...], layers: int) -> None:
    """Refuse a table that no memory holds."""
    if (cells := math.prod(shape) * (layers + 1)) > CELLS:
        raise ValueError(
            f"costs: a table of {cells:,} cells is too large; "
            "round the costs up to multiples of a larger number, or give a smaller budget"
        )


def infeasible(budget: NDArray[Any], least: Integers) -> ValueError:
    """Say that nothing fits, and what would."""
    if len(budget) > 1 and (budget >= least).all():
        what = f"budget: nothing fits {plain(budget)} at once"
    else:
        what = f"budget: {plain(budget)} is below the least feasible, {plain(least)}"
    return ValueError(f"{what}; raise it or offer cheaper options")


def plain(numbers: NDArray[Any]) -> Any:
    """Return one number as a number and several as a list."""
    return numbers.tolist()[0] if len(numbers) == 1 else numbers.tolist()
