"""Forgetting against gain: the front of static mixtures, and how far a run is beyond it.

All losses are to be small, so that a positive front gain is good.
"""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from automl_data_mixing.course import Array

Pair: TypeAlias = tuple[float, float]  # change of the source losses, change of the target losses


def hypervolume(points: Sequence[Pair], reference: Pair) -> float:
    """Return the area that points dominate below a reference point, both coordinates small."""
    inside = sorted(p for p in points if p[0] < reference[0] and p[1] < reference[1])
    area, level = 0.0, reference[1]
    for x, y in inside:
        if y < level:
            area += (reference[0] - x) * (level - y)
            level = y
    return area


def convex(points: Sequence[Pair]) -> list[Pair]:
    """Return the lower left convex hull of points, from left to right, falling all the way."""
    hull: list[Pair] = []
    for point in sorted(set(points)):
        while len(hull) > 1 and turn(hull[-2], hull[-1], point) <= 0:
            hull.pop()
        hull.append(point)
    lowest = min(range(len(hull)), key=lambda i: hull[i][1])
    return hull[: lowest + 1]


def turn(a: Pair, b: Pair, c: Pair) -> float:
    """Return above 0 if the way from a over b to c turns left."""
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def front_gain(points: Sequence[Pair], static: Sequence[Pair], scale: Pair) -> Array:
    """Return how far points lie beyond the convex front of static mixtures.

    Distance is measured at a right angle to the front, after both axes were divided by `scale`: a
    vertical distance would explode where the front is steep. Beyond the front is positive.

    Args:
        points: (M,) pairs.
        static: the pairs of the static mixtures.
        scale: unit of each axis, such as the noise of one run.
    """
    unit = np.array(scale)
    hull = np.array(convex(static)) / unit
    return np.array([beyond(np.array(point) / unit, hull) for point in points])


def beyond(point: Array, hull: Array) -> float:
    """Return the signed distance of a point from a falling convex line, extended to both sides."""
    if len(hull) == 1:
        return float(-np.sign((point - hull[0]).sum()) * np.linalg.norm(point - hull[0]))
    up = np.array([hull[0, 0], max(hull[0, 1], point[1]) + 1.0])
    right = np.array([max(hull[-1, 0], point[0]) + 1.0, hull[-1, 1]])
    line = np.vstack([up, hull, right])
    starts, along = line[:-1], np.diff(line, axis=0)
    part = np.clip(((point - starts) * along).sum(1) / (along**2).sum(1), 0, 1)
    distance = np.linalg.norm(point - starts - part[:, None] * along, axis=1).min()
    height = np.interp(point[0], line[1:, 0], line[1:, 1]) if point[0] >= hull[0, 0] else np.inf
    return float(distance if point[1] < height else -distance)


def noise_of(runs: Sequence[Pair]) -> Pair:
    """Return the standard deviation of both changes over runs that differ in their seed alone."""
    spread = np.array(runs).std(axis=0, ddof=1) if len(runs) > 1 else np.array([np.nan, np.nan])
    return float(spread[0]), float(spread[1])
