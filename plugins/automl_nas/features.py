"""What a calibration sees of an architecture without training it."""

from collections.abc import Mapping, Sequence

import numpy as np

from automl_nas.estimate import Vector, one_hot
from automl_nas.space import Architecture, Space
from automl_nas.tree import Node, leaf_of, leaves


def features(space: Space, tree: Node, architectures: Sequence[Architecture]) -> Vector:
    """Return (n, F) indicators of operations and home leaves, and the logarithm of MACs."""
    columns = [one_hot(space, architectures)]
    count = len(leaves(tree))
    if count > 1:  # leaves do not judge on one scale
        home = [leaf_of(tree, one) for one in architectures]
        columns.append(np.eye(count)[home])
    costs = [space.costs(one) for one in architectures]
    if all(costs):
        columns.append(np.log([[max(1, one.macs)] for one in costs if one]))
    return np.concatenate(columns, axis=1)


def supernet_value(metrics: Mapping[str, float], metric: str, sign: int) -> float:
    """Return what validation says of quality, larger is better.

    Minus the loss if one is logged, since it tells more architectures apart; else the metric.

    Raises:
        ValueError: neither is logged.
    """
    losses = sorted(name for name in metrics if "loss" in name)
    if losses:
        return -metrics[losses[0]]
    if metric not in metrics:
        there = ", ".join(metrics) or "nothing"
        raise ValueError(f"validation logs neither a loss nor {metric!r}, but {there}")
    return sign * metrics[metric]
