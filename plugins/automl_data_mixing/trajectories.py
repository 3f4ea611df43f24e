"""Draw the mixtures of random trajectories, with the biases that make their effects learnable.

The target share dominates, so it covers both ends; paths are smooth, so that credit can be given;
a static grid is part of the set, so that the agent sees what the honest baseline gives; and now
and then one mixture is replaced, because offline learning needs different actions in like states.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from automl_data_mixing.course import Array, Course, Setting

SHAPES = ("const", "linear", "cosine", "step", "walk")
EXPLORE = 0.1  # probability that a mixture of a path is replaced by a fresh one
WALK = 0.15  # standard deviation of a step of the random walk


def paths(setting: Setting, count: int, grid: Sequence[float], seed: int = 0) -> list[Array]:
    """Return the mixtures (T, K) of a static grid and of random trajectories.

    Args:
        setting: domains and steps.
        count: number of random trajectories, besides the grid.
        grid: target shares of static mixtures, even inside the fields.
        seed: of the draws; the first n trajectories of a longer set are those of a shorter one.
    """
    static = [np.tile(setting.mixture(share), (setting.reweights, 1)) for share in grid]
    return static + [path(setting, np.random.default_rng([seed, i]), i) for i in range(count)]


def path(setting: Setting, draw: np.random.Generator, index: int) -> Array:
    """Draw one trajectory (T, K); shapes take turns, and every tenth is a random simplex point."""
    steps, domains = setting.reweights, len(setting.names)
    if index % 10 == 9:
        return np.tile(draw.dirichlet(np.ones(domains)), (steps, 1))
    shape = SHAPES[index % 5]
    shares = share_path(shape, steps, draw)
    first, last = (composition(setting, draw) for _ in range(2))
    last = first if shape == "const" else last
    progress = np.linspace(0, 1, steps)[:, None]
    inside = first * (1 - progress) + last * progress
    mixtures = [setting.mixture(s, c) for s, c in zip(shares, inside, strict=True)]
    if shape != "const":
        for step in np.flatnonzero(draw.uniform(size=steps) < EXPLORE):
            mixtures[step] = setting.mixture(draw.beta(0.8, 0.8), composition(setting, draw))
    return np.array(mixtures)


def share_path(shape: str, steps: int, draw: np.random.Generator) -> Array:
    """Draw target shares (T,) between two ends that favour the extremes."""
    start, end = draw.beta(0.8, 0.8, size=2)
    progress = np.linspace(0, 1, steps)
    bends: dict[str, Array] = {
        "const": np.zeros(steps),
        "linear": progress,
        "cosine": (1 - np.cos(np.pi * progress)) / 2,
        "step": (progress >= draw.uniform()).astype(np.float64),
    }
    if shape == "walk":
        walked = start + np.cumsum(np.r_[0.0, WALK * draw.standard_normal(steps - 1)])
        reflected: Array = 1 - np.abs(1 - np.abs(walked) % 2)
        return reflected
    found: Array = start + (end - start) * bends[shape]
    return found


def composition(setting: Setting, draw: np.random.Generator) -> Array:
    """Draw weights inside each field around the roots of the sizes, from spread out to peaked."""
    flags, prior = setting.flags, np.sqrt(np.array(setting.rows, np.float64))
    found = np.empty(len(prior))
    for field in (flags, ~flags):
        concentration = math.exp(draw.uniform(math.log(0.5), math.log(10)))
        found[field] = draw.dirichlet(concentration * prior[field] / prior[field].mean()) + 1e-9
    return found


@dataclass(frozen=True, slots=True)
class Experience:
    """Whole courses of one setting, as arrays.

    Attributes:
        setting: of all of them.
        weights: (M, T, K) mixtures.
        losses: (M, T + 1, K) observations.
        rates: (M, T + 1) learning rates.
        scale: standard deviation of the total change of the source and of the target losses.
    """

    setting: Setting
    weights: Array
    losses: Array
    rates: Array
    scale: tuple[float, float]

    def __len__(self) -> int:
        return len(self.weights)

    def part(self, keep: Array) -> "Experience":
        """Return some of the courses, with the scale of all."""
        index = np.asarray(keep, np.int64)
        parts = (self.weights[index], self.losses[index], self.rates[index])
        return Experience(self.setting, *parts, self.scale)


def experience(courses: Sequence[Course]) -> Experience:
    """Stack whole courses."""
    setting = courses[0].setting
    losses = np.array([course.losses for course in courses])
    change = losses[:, -1] - losses[:, 0]
    flags = setting.flags
    spread = [float(change[:, field].mean(axis=1).std()) for field in (~flags, flags)]
    if min(spread) <= 0:
        raise ValueError("trajectories: all ended alike, there is nothing to learn from them")
    return Experience(
        setting,
        np.array([course.weights for course in courses]),
        losses,
        np.array([course.rates for course in courses]),
        (spread[0], spread[1]),
    )


def rewards(seen: Experience, preference: float) -> Array:
    """Return the reward of each step (M, T); they telescope to the value of the whole course.

    The mean losses of both fields, each in units of how much it varies over the courses, are
    weighted by the preference; a reward is how much they fell.
    """
    flags = seen.setting.flags
    source, target = seen.scale
    utility = -(
        preference * seen.losses[..., flags].mean(-1) / target
        + (1 - preference) * seen.losses[..., ~flags].mean(-1) / source
    )
    found: Array = np.diff(utility, axis=1)
    return found


def returns(seen: Experience, preference: float) -> Array:
    """Return the sum of the rewards that are still to come at each step, (M, T)."""
    found: Array = rewards(seen, preference)[:, ::-1].cumsum(axis=1)[:, ::-1]
    return found


def advantages(seen: Experience, preference: float) -> Array:
    """Return how much better each return is than those of other courses at the same step, (M, T).

    In standard deviations, clipped to [-3, 3].
    """
    to_go = returns(seen, preference)
    spread = to_go.std(axis=0)
    found: Array = np.clip((to_go - to_go.mean(axis=0)) / np.maximum(spread, 1e-12), -3, 3)
    return found
