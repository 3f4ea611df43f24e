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


def filled(shares: Sequence[float], pairs: Sequence[Pair], count: int = 400) -> list[Pair]:
    """Return what static mixtures between those that were run would give.

    A straight line between two static mixtures lies above the curve of those between them: against
    it, every other mixture would look better than it is. Both changes are interpolated over the
    target share instead; pairs of equal shares are averaged first.

    Args:
        shares: target share of each static mixture.
        pairs: its changes.
        count: number of shares at which to interpolate.
    """
    known = np.unique(np.array(shares))
    if len(known) < 3:
        return list(pairs)
    table = np.array(
        [np.mean([p for s, p in zip(shares, pairs, strict=True) if s == k], axis=0) for k in known]
    )
    at = np.union1d(np.linspace(known[0], known[-1], count), known)
    curves = [monotone(known, table[:, axis], at) for axis in (0, 1)]
    return [(float(x), float(y)) for x, y in zip(*curves, strict=True)]


def monotone(x: Array, y: Array, at: Array) -> Array:
    """Interpolate by cubics that do not overshoot (F. N. Fritsch and J. Butland, 1984).

    Args:
        x: (N,) rising, three at least.
        y: (N,) values.
        at: where to interpolate, between the first and the last x.
    """
    h, d = np.diff(x), np.diff(y) / np.diff(x)
    slopes = np.zeros_like(y)
    heavy, light = 2 * h[1:] + h[:-1], h[1:] + 2 * h[:-1]
    same = d[:-1] * d[1:] > 0
    before, after = np.where(same, d[:-1], 1.0), np.where(same, d[1:], 1.0)
    slopes[1:-1] = np.where(same, (heavy + light) / (heavy / before + light / after), 0.0)
    slopes[0] = edge(h[0], h[1], d[0], d[1])
    slopes[-1] = edge(h[-1], h[-2], d[-1], d[-2])
    i = np.clip(np.searchsorted(x, at, side="right") - 1, 0, len(h) - 1)
    t = (at - x[i]) / h[i]
    found: Array = (
        (1 + 2 * t) * (1 - t) ** 2 * y[i]
        + t * (1 - t) ** 2 * h[i] * slopes[i]
        + t**2 * (3 - 2 * t) * y[i + 1]
        + t**2 * (t - 1) * h[i] * slopes[i + 1]
    )
    return found


def edge(near: float, far: float, first: float, second: float) -> float:
    """Return the slope at an end, from the two intervals beside it, without overshooting."""
    slope = ((2 * near + far) * first - near * second) / (near + far)
    if slope * first <= 0:
        return 0.0
    return 3 * first if first * second <= 0 and abs(slope) > 3 * abs(first) else slope


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
