"""Hypervolume of a front, what a point adds to it, and how it grows with each objective.

Source: Fonseca, Paquete and López-Ibáñez, "An improved dimension-sweep algorithm for the
hypervolume indicator", 2006, as `moocore` implements it. Every objective is maximized; what is
not above the reference in every objective has no volume.
"""

import moocore
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def hypervolume(front: Array, reference: Array) -> float:
    """Measure the volume between a reference and the points above it.

    Args:
        front: (n, K) points; dominated ones add nothing.
        reference: (K,) the worst values that count.

    Returns:
        The volume; 0 for no points.
    """
    if front.ndim != 2 or front.shape[1:] != reference.shape:
        raise ValueError(
            f"hypervolume: points of shape {front.shape} do not fit a reference of shape "
            f"{reference.shape}; expected (n, {reference.size})"
        )
    above = front[(front > reference).all(axis=1)]
    return float(moocore.hypervolume(above, ref=reference, maximise=True)) if len(above) else 0.0


def delta(front: Array, point: Array, reference: Array) -> float:
    """Measure what a (K,) point adds to the hypervolume of an (n, K) front; never below 0."""
    grown = hypervolume(np.vstack([front, point]), reference)
    return max(0.0, grown - hypervolume(front, reference))


def hv_gradient(
    front: Array, point: Array, reference: Array, lookahead: float = 0.1, cap: float = np.inf
) -> Array:
    """Estimate how the hypervolume grows with each objective of a point, by forward differences.

    Args:
        front: (n, K) the other points.
        point: (K,) the point that moves.
        reference: (K,) the worst values that count.
        lookahead: how far each objective is raised; towards 0 this is the exact gradient, and
            a larger value sees volume beyond the next point.
        cap: no objective is raised above this.

    Returns:
        (K,) growth for each unit of lookahead; zeros where nothing within reach would count.
    """
    now = hypervolume(np.vstack([front, point]), reference)
    growth = np.zeros_like(point)
    for k in range(point.size):
        raised = point.copy()
        raised[k] = max(point[k], min(point[k] + lookahead, cap))
        growth[k] = hypervolume(np.vstack([front, raised]), reference) - now
    return np.maximum(growth, 0.0) / lookahead


def non_dominated(points: Array) -> npt.NDArray[np.bool_]:
    """Return (n,) whether each of (n, K) points is dominated by none; of equal ones, the first."""
    if not len(points):
        return np.zeros(0, dtype=bool)
    return np.asarray(moocore.is_nondominated(points, maximise=True), dtype=bool)
