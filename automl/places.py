"""The place of a trial among others: feasible first, then by dominance, then well spread.

Sources of the orders within a rank:

- epsilon-net: Clarkson, Nearest-Neighbor Searching and Metric Space Dimensions, 2006: each next
  point is the one furthest from those chosen before.
- hypervolume: each next point is the one that adds most to the hypervolume of those chosen before;
  Guerreiro, Fonseca and Paquete, Greedy Hypervolume Subset Selection in Low Dimensions, 2016.
"""

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np

from automl.pareto import Floats, costs, hypervolume, ranks

Order: TypeAlias = Literal["epsilon-net", "hypervolume"]
MARGIN = 0.1  # between a front scaled to [0, 1] and the reference of its hypervolume


def place(
    index: int,
    values: Sequence[Sequence[float]],
    violations: Sequence[float],
    goals: Sequence[str],
    order: Order,
) -> int:
    """Return the place of one trial among all, from 1; equals share the better place.

    Args:
        index: of the trial.
        values: (n, m) objectives; m may be 0, which makes all feasible trials equal.
        violations: (n,) how far trials are from feasible; 0 for those that are.
        goals: m goals.
        order: of trials that do not dominate each other.
    """
    broken = np.asarray(violations, dtype=np.float64)
    if broken[index] > 0:
        return 1 + int((broken < broken[index]).sum())
    feasible = np.flatnonzero(broken == 0)
    if not goals:
        return 1
    table = costs(np.asarray(values, dtype=np.float64)[feasible], goals)
    rank = ranks(table, ("minimize",) * len(goals))
    mine = int(np.flatnonzero(feasible == index)[0])
    before = int((rank < rank[mine]).sum())
    front = np.flatnonzero(rank == rank[mine])
    if len(goals) == 1 or len(front) == 1 or np.isnan(table[mine]).any():
        return 1 + before
    chosen = ORDERS[order](scaled(table[front]))
    return 1 + before + chosen.index(int(np.flatnonzero(front == mine)[0]))


def scaled(front: Floats) -> Floats:
    """Scale every objective of a front to [0, 1]; infinities count as the nearest finite value."""
    finite = np.where(np.isfinite(front), front, np.nan)
    known = np.isfinite(finite).any(axis=0)
    low = np.where(known, np.nanmin(np.where(known, finite, 0.0), axis=0), 0.0)
    high = np.where(known, np.nanmax(np.where(known, finite, 0.0), axis=0), 1.0)
    extent = np.where(high > low, high - low, 1.0)
    scale: Floats = (np.clip(front, low, high) - low) / extent
    return scale


def epsilon_net(front: Floats) -> list[int]:
    """Order points so that the first k of them are well spread, for every k.

    The first is the point of the smallest sum, where the front bends most.

    Args:
        front: (n, m) costs in [0, 1].
    """
    chosen = [int(front.sum(axis=1).argmin())]
    distance = np.linalg.norm(front - front[chosen[0]], axis=1)
    distance[chosen[0]] = -1
    while len(chosen) < len(front):
        furthest = int(distance.argmax())
        chosen.append(furthest)
        distance = np.minimum(distance, np.linalg.norm(front - front[furthest], axis=1))
        distance[chosen] = -1
    return chosen


def hypervolume_order(front: Floats) -> list[int]:
    """Order points so that the first k of them cover much hypervolume, for every k.

    Args:
        front: (n, m) costs in [0, 1].
    """
    chosen: list[int] = []
    rest = list(range(len(front)))
    goals, reference = ("minimize",) * front.shape[1], np.full(front.shape[1], 1 + MARGIN)
    while rest:
        covered = [hypervolume(front[[*chosen, index]], reference, goals) for index in rest]
        chosen.append(rest.pop(int(np.argmax(covered))))
    return chosen


ORDERS = {"epsilon-net": epsilon_net, "hypervolume": hypervolume_order}
