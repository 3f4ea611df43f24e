"""What the agent sees of each domain: numbers that say nothing about which domain it is.

A domain is described by what was done with it and what came of it, in units of its field, so that
an agent may be used on other domains, and on another number of them.
"""

import numpy as np

from automl_data_mixing.course import Array, Course
from automl_data_mixing.trajectories import Experience

SCHEMA = 1
NAMES = (
    "weight",
    "log weight",
    "mean weight",
    "total gain",
    "last gain",
    "epochs",
    "log size",
    "target",
    "progress",
    "learning rate",
    "preference",
    "preference for it",
)


def features(seen: Experience, preference: float) -> Array:
    """Describe every step of every course, (M, T, K, F); permuting domains permutes the rows.

    Step t knows the mixtures before it and the losses up to it.
    """
    setting = seen.setting
    count, steps, domains = seen.weights.shape
    peers, flags = setting.peers, setting.flags.astype(np.float64)
    scale = np.where(setting.flags, seen.scale[1], seen.scale[0])
    even = np.broadcast_to(0.5 / peers, (count, 1, domains))
    before = np.concatenate([even, seen.weights[:, :-1]], axis=1)
    spent = np.cumsum(np.concatenate([0 * even, seen.weights[:, :-1]], axis=1), axis=1)
    turn = np.arange(steps)[:, None]
    gain = (seen.losses[:, :1] - seen.losses[:, :-1]) / scale
    last = np.diff(gain, axis=1, prepend=0.0)
    size = np.log(np.array(setting.rows) / np.mean(setting.rows))
    columns = [
        before * peers,
        np.log(before + 1e-2),
        spent / np.maximum(turn, 1) * peers,
        gain,
        last,
        spent * setting.rows_per_step / np.array(setting.rows),
        size,
        flags,
        turn / setting.reweights,
        seen.rates[:, :-1, None],
        preference,
        preference * flags,
    ]
    found: Array = np.stack([np.broadcast_to(c, seen.weights.shape) for c in columns], axis=-1)
    return found


def features_now(course: Course, scale: tuple[float, float], preference: float) -> Array:
    """Describe the steps of a course so far, the one to be decided last, (t + 1, K, F)."""
    domains = len(course.setting.names)
    # features never look at the mixture of their own step, nor at the losses after it
    weights = np.array([*course.weights, [0.0] * domains])
    losses = np.array([*course.losses, course.losses[-1]])
    rates = np.array([*course.rates, 1.0])
    seen = Experience(course.setting, weights[None], losses[None], rates[None], scale)
    now: Array = features(seen, preference)[0]
    return now


def outside(described: Array, low: Array, high: Array) -> float:
    """Return the part of features (…, F) that is outside what training saw, with a margin of half.

    Args:
        described: features of some domains.
        low: (F,) least value of each feature in training.
        high: (F,) largest value.
    """
    margin = 0.5 * (high - low) + 1e-9
    return float(((described < low - margin) | (described > high + margin)).mean())
