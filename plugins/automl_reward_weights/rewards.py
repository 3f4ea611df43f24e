"""Rewards: what each is called, which way is better, its range, its gate and its checks."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
MARGIN = 0.1  # of the range: how far below the worst bound the default reference lies


@dataclass(frozen=True, slots=True)
class Reward:
    """One reward of a policy.

    Attributes:
        name: tells the rewards apart.
        goal: which way is better.
        bounds: worst and best value that matter, in its own unit, the smaller first; they fix
            the normalization of rewards, archives and hypervolumes.
        gate: another reward; where that one is below the middle of its bounds, this one counts
            as its worst, so that a short or well-formed wrong answer earns nothing.
        metric: the validation metric that is its value; `val_<name>` by default.
        threshold: what the `lagrangian` weighter must reach, in the reward's own unit.
    """

    name: str
    goal: Literal["maximize", "minimize"] = "maximize"
    bounds: tuple[float, float] = (0.0, 1.0)
    gate: str | None = None
    metric: str = ""
    threshold: float | None = None

    def __post_init__(self) -> None:
        low, high = self.bounds
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise ValueError(
                f"reward {self.name!r}: bounds must be finite, low < high; got {low}, {high}"
            )
        if self.gate == self.name:
            raise ValueError(f"reward {self.name!r}: cannot be its own gate; name another reward")
        if not self.metric:
            object.__setattr__(self, "metric", f"val_{self.name}")

    def normalized(self, value: float) -> float:
        """Map the worst bound to 0 and the best to 1."""
        low, high = self.bounds
        return (value - low if self.goal == "maximize" else high - value) / (high - low)

    def raw(self, value: float) -> float:
        """Map a normalized value back to the reward's own unit."""
        low, high = self.bounds
        return (
            low + value * (high - low) if self.goal == "maximize" else high - value * (high - low)
        )


def check_names(rewards: Sequence[Reward]) -> None:
    """Refuse no rewards, two of one name, and gates that name no reward."""
    names = [reward.name for reward in rewards]
    if len(names) < 2:
        raise ValueError(f"rewards: at least two are needed to weigh them, got {names}")
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"rewards: {twice[0]!r} is given twice; name each reward once")
    for reward in rewards:
        if reward.gate is not None and reward.gate not in names:
            raise ValueError(
                f"reward {reward.name!r}: its gate {reward.gate!r} is none of {', '.join(names)}"
            )


def normalized(rewards: Sequence[Reward], values: Array) -> Array:
    """Map (..., K) values in their own units to (..., K) values where 0 is worst and 1 best."""
    low, high = np.array([reward.bounds for reward in rewards]).T
    up = np.array([reward.goal == "maximize" for reward in rewards])
    better = np.where(up, values - low, high - values) / (high - low)
    return np.asarray(better, dtype=np.float64)


def gated(rewards: Sequence[Reward], values: Array) -> Array:
    """Set (N, K) normalized rewards to 0 where their gate is below the middle of its bounds."""
    names = [reward.name for reward in rewards]
    closed = np.zeros(values.shape, dtype=bool)
    for k, reward in enumerate(rewards):
        if reward.gate is not None:
            closed[:, k] = values[:, names.index(reward.gate)] < 0.5
    return np.where(closed, 0.0, values)


def checked(rewards: Sequence[Reward], values: Array) -> Array:
    """Return (N, K) rewards as they are; refuse other shapes and values that are not finite."""
    names = ", ".join(reward.name for reward in rewards)
    if values.ndim != 2 or values.shape[1] != len(rewards):
        raise ValueError(
            f"rewards: got an array of shape {values.shape}; "
            f"expected (rollouts, {len(rewards)}), one column for each of {names}"
        )
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        row, k = bad[0]
        raise ValueError(
            f"reward {rewards[k].name!r}: rollout {row} of {len(values)} got {values[row, k]}; "
            "return a finite number for every rollout"
        )
    return values


def column(name: str, values: Sequence[float], count: int) -> Array:
    """Return what a reward function gave as (count,) numbers; refuse another length or shape."""
    given = np.asarray(values, dtype=np.float64)
    if given.shape != (count,):
        raise ValueError(
            f"reward {name!r}: returned shape {given.shape} for {count} rollouts; "
            "return one number for each"
        )
    return given


def reference(rewards: Sequence[Reward], refs: Sequence[float | None]) -> Array:
    """Return the (K,) normalized reference point: the study's own, or a tenth below the worst."""
    return np.array(
        [
            -MARGIN if ref is None else reward.normalized(ref)
            for reward, ref in zip(rewards, refs, strict=True)
        ]
    )


def default_preference(rewards: Sequence[Reward], importance: dict[str, float]) -> Array:
    """Return the (K,) preference: importances, 1 where none is given, scaled to sum to 1."""
    names = [reward.name for reward in rewards]
    if unknown := sorted(set(importance) - set(names)):
        raise ValueError(f"preference: {unknown[0]!r} is none of {', '.join(names)}")
    values = np.array([importance.get(name, 1.0) for name in names], dtype=np.float64)
    return np.asarray(values / values.sum(), dtype=np.float64)
