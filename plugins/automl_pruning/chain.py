"""The knapsack for chains: a layer's cost depends on its own option and the one before it.

That is how the widths of a chain of layers cost: in times out. The state of the recursion is a
layer's own option and the budget,

    V_l(r, b) = d_l(r) + min over p of V_{l-1}(p, b - c_l(p, r)),

a Viterbi path over widths with one more coordinate for what is left to spend.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from automl_pruning.knapsack import Floats, Integers, check_size, infeasible, whole


def allocate(
    distortions: Sequence[ArrayLike], costs: Sequence[ArrayLike], budget: float
) -> list[int]:
    """Choose one option a layer where a layer's cost depends on the option of the one before.

    Args:
        distortions: L sequences (R_l,) of finite numbers.
        costs: (R_0,) for the first layer, then (R_{l-1}, R_l): integers from 0.
        budget: the most that may be spent.

    Returns:
        The index of each layer's option.

    Raises:
        ValueError: nothing fits; says the least feasible budget.
    """
    losses, prices = checked(distortions, costs)
    if not losses:
        return []
    if budget < (least := cheapest_path(prices)):
        raise infeasible(np.array([budget]), np.array([least]))
    quantum = max(1, math.gcd(*(int(c) for price in prices for c in price.flat)))
    most = sum(int(price.max()) for price in prices)
    cells = int(min(budget, most) // quantum) + 1
    check_size((cells, max(map(len, losses))), len(losses))
    quanta = [price // quantum for price in prices]
    tables = [np.zeros((1, cells))]
    for loss, price in zip(losses, quanta, strict=True):
        tables.append(add_link(tables[-1], loss, price))
    left, choices = cells - 1, [int(tables[-1][:, -1].argmin())]
    for table, price in zip(tables[-2:0:-1], quanta[:0:-1], strict=True):
        rest = left - price[:, choices[-1]]
        totals = np.where(rest < 0, np.inf, table[np.arange(len(rest)), np.maximum(rest, 0)])
        choices.append(int(totals.argmin()))
        left = int(rest[choices[-1]])
    return choices[::-1]


def add_link(values: Floats, loss: Floats, cost: Integers) -> Floats:
    """Do one step of the chain's recursion for all budgets at once.

    Args:
        values: (R_{l-1}, B) V_{l-1}.
        loss: (R_l,) d_l.
        cost: (R_{l-1}, R_l) c_l in quanta.

    Returns:
        V_l (R_l, B); infinite where nothing fits.
    """
    cells = values.shape[1]
    best = np.full((len(loss), cells), np.inf)
    for (before, option), price in np.ndenumerate(cost):
        if price < cells:
            here = best[option, price:]
            np.minimum(here, values[before, : cells - price], out=here)
    return best + loss[:, None]


def cheapest_path(prices: Sequence[Integers]) -> int:
    """Return the least that a chain can cost."""
    reach = np.zeros(1, dtype=np.int64)
    for price in prices:
        reach = (reach[:, None] + price).min(axis=0)
    return int(reach.min())


def checked(
    distortions: Sequence[ArrayLike], costs: Sequence[ArrayLike]
) -> tuple[list[Floats], list[Integers]]:
    """Return both as arrays, costs as (options before, options); refuse what does not fit."""
    if len(distortions) != len(costs):
        raise ValueError(f"layers: {len(distortions)} distortions and {len(costs)} costs")
    losses = [np.asarray(loss, dtype=np.float64) for loss in distortions]
    prices, before = [], 1
    for layer, (loss, cost) in enumerate(zip(losses, costs, strict=True)):
        price = whole(cost, layer).reshape(-1, len(loss)) if layer == 0 else whole(cost, layer)
        if loss.ndim != 1 or not np.isfinite(loss).all() or price.shape != (before, len(loss)):
            raise ValueError(
                f"layer {layer}: {len(loss)} finite distortions need costs of shape "
                f"({before}, {len(loss)}), got {price.shape}"
            )
        prices.append(price)
        before = len(loss)
    return losses, prices
