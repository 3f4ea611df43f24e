"""The place of a trial among others: feasible first, then by dominance, then well spread.

Sources of the orders within a rank:

- epsilon-net: Clarkson, Nearest-Neighbor Searching and Metric Space Dimensions, 2006: each next
  point is the one furthest from those chosen before.
- hypervolume: each next point is the one that adds most to the hypervolume of those chosen before;
  Guerreiro, Fonseca and Paquete, Greedy Hypervolume Subset Selection in Low Dimensions, 2016.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from automl.pareto import Floats, costs, hypervolume, ranks

Order: TypeAlias = Literal["epsilon-net", "hypervolume"]
WHOLE_FRONT = (2, 3)  # numbers of objectives with which the whole front is kept
MARGIN = 0.1  # between a front scaled to [0, 1] and the reference of its hypervolume


@dataclass(frozen=True, slots=True)
class Place:
    """Where a trial stands among others, from 1, and how many of them are kept."""

    position: int
    kept: int


def place(
    index: int,
    values: Floats,
    violations: Floats,
    goals: Sequence[str],
    *,
    least: int,
    order: Order,
) -> Place:
    """Find the place of one trial among all.

    A trial that equals one that came before it stands behind all of its rank: networks that have
    learned nothing are equal, and one of them is enough. Others of one rank share its best place
    unless the rank is cut.

    Args:
        index: of the trial.
        values: (n, m) objectives in the order of arrival; m may be 0: then nobody is compared.
        violations: (n,) how far trials are from feasible; 0 for those that are.
        goals: m goals.
        least: how many trials are kept; with two or three objectives, the whole front if larger.
        order: of trials that do not dominate each other.
    """
    if not goals:
        return Place(1, max(1, least))
    feasible = np.flatnonzero(violations == 0)
    table = costs(values[feasible], goals)
    rank = ranks(table, ("minimize",) * len(goals))
    again = repeats(table)
    kept = least
    if len(goals) in WHOLE_FRONT:
        kept = max(least, int(((rank == 0) & ~again).sum()))
    if violations[index] > 0:
        equal = violations[:index] == violations[index]
        return Place(1 + int((violations < violations[index]).sum() + equal.sum()), kept)
    mine = int(np.flatnonzero(feasible == index)[0])
    before, level = int((rank < rank[mine]).sum()), (rank == rank[mine]) & ~again
    if again[mine]:
        sooner = (rank[:mine] == rank[mine]) & again[:mine]
        return Place(1 + before + int(level.sum() + sooner.sum()), kept)
    if not before < kept < before + level.sum():
        return Place(1 + before, kept)
    chosen = ORDERS[order](scaled(table[level]))
    return Place(1 + before + chosen.index(int(level[:mine].sum())), kept)


def repeats(table: Floats) -> NDArray[np.bool_]:
    """Mark the rows that equal an earlier one, and those that hold a NaN."""
    first = np.unique(table, axis=0, return_index=True)[1]
    mask: NDArray[np.bool_] = np.asarray(np.isnan(table).any(axis=1), dtype=np.bool_)
    mask[np.setdiff1d(np.arange(len(table)), first)] = True
    return mask


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
