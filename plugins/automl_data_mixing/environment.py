"""What a policy acts on: one rollout for every environment, and one whose best course is known."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from automl_data_mixing.course import Array, Course, Policy, Setting


class Environment(Protocol):
    """Something that trains on mixtures and says what the held-out losses are."""

    def observe(self) -> tuple[Array, float]:
        """Return the losses (K,) now, and the learning rate as a fraction of its peak."""

    def train(self, weights: Array) -> None:
        """Train with one mixture until the next is due."""


def rollout(policy: Policy, environment: Environment, setting: Setting) -> Course:
    """Let a policy choose every mixture of a run."""
    course = Course(setting).observe(*environment.observe())
    while not course.done:
        course = course.decide(policy)
        environment.train(np.array(course.weights[-1]))
        course = course.observe(*environment.observe())
    return course


@dataclass
class Toy:
    """Learning with diminishing returns, forgetting that heals: the best course is known.

    With target share s, each step lowers the target losses by `learning` * (s - s^2 / 2) and turns
    the rise f of the source losses into `memory` * f + `harm` * s. Hence a unit of harm at step t
    counts memory^(T-1-t) at the end: late harm stays, early harm heals.

    Args:
        setting: domains and number of steps.
        learning: how fast targets are learned.
        harm: how much a target share costs the sources.
        memory: how much of the harm is left a step later.
        noise: standard deviation of what is observed.
        seed: of the noise.
    """

    setting: Setting
    learning: float = 0.1
    harm: float = 0.1
    memory: float = 0.8
    noise: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        self.rise, self.learned = 0.0, 0.0
        self.draw = np.random.default_rng(self.seed)

    def observe(self) -> tuple[Array, float]:
        """Return the losses and the learning rate, which is constant."""
        exact = np.where(self.setting.flags, 3.0 - self.learned, 1.5 + self.rise)
        return exact + self.noise * self.draw.standard_normal(len(exact)), 1.0

    def train(self, weights: Array) -> None:
        """Learn and forget by the target share of a mixture."""
        share = float(weights[self.setting.flags].sum())
        self.learned += self.learning * (share - share**2 / 2)
        self.rise = self.memory * self.rise + self.harm * share

    def best(self, preference: float) -> Array:
        """Return the target shares (T,) that maximize w * learned - (1 - w) * rise.

        Both are sums over steps, so each step is maximized alone:
        w * learning * (1 - s) = (1 - w) * harm * memory^(T-1-t).
        """
        steps = self.setting.reweights
        left = self.memory ** (steps - 1 - np.arange(steps, dtype=np.float64))
        price = (1 - preference) * self.harm * left / max(preference * self.learning, 1e-12)
        found: Array = np.clip(1 - price, 0, 1)
        return found


def value(course: Course, preference: float) -> float:
    """Return what a course is worth: learned targets and kept sources, weighted by a preference."""
    return -preference * course.gain() - (1 - preference) * course.forgetting()
