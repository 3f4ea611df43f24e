"""Dominance, fronts and hypervolume of points; a thin face of the library moocore.

Rules that hold for every function here:

- `values` is (n, m): n points, m objectives; `goals` has m of `"maximize"` or `"minimize"`.
- A point dominates another when it is at least as good in every objective and better in one.
- Points with equal values do not dominate each other: duplicates of a front point are all on it.
- A point with a NaN is never on a front, has no volume and the last rank.
- Infinities are compared as they are. For the hypervolume, a point at or beyond the reference in
  any objective adds nothing; one that is infinitely good in an objective makes it infinite.

The hypervolume is that of Zitzler and Thiele, "Multiobjective evolutionary algorithms: a
comparative case study and the strength Pareto approach", 1999; moocore computes it exactly.
"""

from collections.abc import Iterable, Sequence
from typing import TypeAlias

import moocore
import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats: TypeAlias = NDArray[np.float64]
MARGIN = 0.1  # of the front's extent, between its worst values and a reference made from it
SIGNS = {"minimize": 1.0, "maximize": -1.0}


def costs(values: ArrayLike, goals: Sequence[str]) -> Floats:
    """Turn every objective into one to minimize.

    Args:
        values: (n, m) points; none at all may be given as an empty sequence.
        goals: m goals.

    Returns:
        (n, m) values, negated where the goal is to maximize.
    """
    if unknown := [goal for goal in goals if goal not in SIGNS]:
        raise ValueError(f"goals: expected 'maximize' or 'minimize', got {unknown[0]!r}")
    table = np.asarray(values, dtype=np.float64)
    if table.size == 0:
        return np.empty((0, len(goals)))
    if table.ndim != 2 or table.shape[1] != len(goals):
        raise ValueError(f"values: expected (n, {len(goals)}) for the goals, got {table.shape}")
    return table * [SIGNS[goal] for goal in goals]


def non_dominated(values: ArrayLike, goals: Sequence[str]) -> NDArray[np.bool_]:
    """Mark the points that no other point dominates.

    Returns:
        (n,) True for the front, every duplicate of a front point included.
    """
    table = costs(values, goals)
    mask = _usable(table)
    if not mask.any():
        return mask
    if len(goals) == 1:
        mask[mask] = table[mask, 0] == table[mask, 0].min()
    else:
        mask[mask] = moocore.is_nondominated(_levels(table[mask]), keep_weakly=True)
    return mask


def ranks(values: ArrayLike, goals: Sequence[str]) -> NDArray[np.int64]:
    """Sort points by dominance: 0 for the front, 1 for the front of what remains, and so on.

    Returns:
        (n,) ranks; points with a NaN share one rank behind all others.
    """
    table = costs(values, goals)
    usable = _usable(table)
    found = np.zeros(len(table), dtype=np.int64)
    if usable.any():
        found[usable] = _ranks(table[usable])
        found[~usable] = found[usable].max() + 1
    return found


def _usable(table: Floats) -> NDArray[np.bool_]:
    return np.asarray(~np.isnan(table).any(axis=1), dtype=np.bool_)


def _ranks(table: Floats) -> NDArray[np.int64]:
    if table.shape[1] == 1:
        return np.unique(table[:, 0], return_inverse=True)[1].astype(np.int64)
    return np.asarray(moocore.pareto_rank(_levels(table)), dtype=np.int64)


def _levels(table: Floats) -> Floats:
    """Number the values of each objective in order: all that dominance needs.

    moocore 0.3.2 reads beyond its memory when a point of three or more objectives is infinite.
    """
    levels = [np.unique(column, return_inverse=True)[1] for column in table.T]
    return np.column_stack(levels).astype(np.float64)


def hypervolume(values: ArrayLike, reference: ArrayLike, goals: Sequence[str]) -> float:
    """Measure the region that the points dominate, up to the reference.

    Args:
        values: (n, m) points; dominated ones change nothing.
        reference: (m,) finite worst values that count.
        goals: m goals.

    Returns:
        The hypervolume; 0 if no point is better than the reference in every objective.
    """
    table, corner = _inside(values, reference, goals)
    if not len(table):
        return 0.0
    if np.isneginf(table).any():
        return float("inf")
    if len(goals) == 1:
        return float(corner[0] - table.min())
    return float(moocore.hypervolume(table, ref=corner))


def contributions(values: ArrayLike, reference: ArrayLike, goals: Sequence[str]) -> Floats:
    """Measure what the hypervolume would lose without each point.

    Returns:
        (n,) losses; 0 for dominated points and for those that have a duplicate. All NaN when the
        hypervolume is infinite, where differences mean nothing.
    """
    table = np.asarray(values, dtype=np.float64)
    whole = hypervolume(table, reference, goals)
    if np.isinf(whole):
        return np.full(len(table), np.nan)
    depth = ranks(table, goals)
    near = np.flatnonzero(depth <= 1)  # what a front point alone covered, the second front may keep
    lost = np.zeros(len(table))
    for index in np.flatnonzero(depth == 0):
        lost[index] = whole - hypervolume(table[near[near != index]], reference, goals)
    return np.maximum(lost, 0.0)


def trace(values: ArrayLike, reference: ArrayLike, goals: Sequence[str]) -> Floats:
    """Follow the hypervolume while the points arrive one after the other.

    Returns:
        (n,) hypervolume of the first 1, 2, … n points; it never falls.
    """
    table = costs(values, goals)
    corner = _corner(reference, goals)
    minimize = ("minimize",) * len(goals)
    front: Floats = np.empty((0, len(goals)), dtype=np.float64)
    steps, reached = np.zeros(len(table)), 0.0
    for step, row in enumerate(table):
        if (row < corner).all() and not (front <= row).all(axis=1).any():
            front = np.vstack([front[~(row <= front).all(axis=1)], row])
            reached = max(reached, hypervolume(front, corner, minimize))
        steps[step] = reached
    return steps


def reference(
    values: ArrayLike, goals: Sequence[str], given: Iterable[float | None] = ()
) -> Floats:
    """Return a reference point: what the study gives, and for the rest one made from the points.

    Where an objective has no reference of its own, it is the worst finite value on the front, one
    tenth of the front's extent further out. A front without extent takes that of all points, and
    points without extent the tenth of their size, at least 0.1. Such a reference moves when points
    come in, so hypervolumes of different studies or moments do not compare.

    Args:
        values: (n, m) points.
        goals: m goals.
        given: m references, None where there is none; no more than that when empty.
    """
    table = costs(values, goals)
    front = table[non_dominated(table, ("minimize",) * len(goals))]
    refs = tuple(given) or (None,) * len(goals)
    made = [_outside(front[:, i], table[:, i]) for i in range(len(goals))]
    return np.array(
        [
            SIGNS[goal] * worst if ref is None else ref
            for goal, worst, ref in zip(goals, made, refs, strict=True)
        ]
    )


def knee(values: ArrayLike, goals: Sequence[str]) -> int | None:
    """Choose the point of the front where giving up a little of one objective buys most of others.

    Each objective is scaled to 0 (best of the front) … 1 (worst of the front); the knee has the
    smallest sum, as in Chiu, Yen and Juan, "Minimum Manhattan distance approach to multiple
    criteria decision making in multiobjective optimization problems", 2016. With two objectives it
    is the point furthest from the line between the two ends of the front.

    Returns:
        The index of the knee, the first one of equals. None without a point whose values are all
        finite, and for a front that bends the other way, where an end would have the smallest sum.
    """
    table = costs(values, goals)
    chosen = np.flatnonzero(np.isfinite(table).all(axis=1))
    chosen = chosen[non_dominated(table[chosen], ("minimize",) * len(goals))]
    if not len(chosen):
        return None
    front = table[chosen]
    low, extent = front.min(axis=0), np.ptp(front, axis=0)
    scaled = (front - low) / np.where(extent > 0, extent, 1.0)
    sums = scaled.sum(axis=1)
    best = int(sums.argmin())
    bent = sums[best] < 1 - 1e-9 or not (scaled[best] == 0).any()
    return int(chosen[best]) if bent or len(front) == 1 else None


def _corner(point: ArrayLike, goals: Sequence[str]) -> Floats:
    corner: Floats = costs(np.atleast_2d(np.asarray(point, dtype=np.float64)), goals)[0]
    if not np.isfinite(corner).all():
        raise ValueError(f"reference: expected finite numbers, got {np.asarray(point).tolist()}")
    return corner


def _inside(values: ArrayLike, point: ArrayLike, goals: Sequence[str]) -> tuple[Floats, Floats]:
    """Return the costs better than the reference in every objective, and the reference's own."""
    table, corner = costs(values, goals), _corner(point, goals)
    return table[(table < corner).all(axis=1)], corner


def _outside(front: Floats, every: Floats) -> float:
    """Return a cost a little worse than the front's worst."""
    front, every = front[np.isfinite(front)], every[np.isfinite(every)]
    if not len(every):
        return 1.0
    worst = front.max() if len(front) else every.max()
    extent = np.ptp(front) if len(front) else 0.0
    extent = extent or np.ptp(every) or max(abs(worst), 1.0)
    return float(worst + MARGIN * extent)
