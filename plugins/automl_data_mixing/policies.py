"""Policies that follow a rule: static mixtures, schedules, and two online methods.

ODM is after A. Albalak, L. Pan, C. Raffel and W. Wang, Efficient Online Data Mixing For Language
Model Pre-Training, 2023: a bandit whose reward is a domain's loss. DoReMi-like is after S. M. Xie
et al., DoReMi: Optimizing Data Mixtures Speeds Up Language Model Pretraining, 2023: exponentiated
gradient on the clipped excess over a reference model's loss. Both see held-out losses here, where
the originals see training losses, and neither knows which field is the target.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from automl_data_mixing.course import Array, Course

Shape = Literal["linear", "cosine", "step"]


@dataclass(frozen=True)
class Static:
    """The same mixture always."""

    share: float
    composition: Array | None = None

    def weights(self, course: Course) -> Array:
        """Return the mixture."""
        return course.setting.mixture(self.share, self.composition)


@dataclass(frozen=True)
class Constant:
    """A mixture that was computed beforehand, always."""

    mixture: Array

    def weights(self, course: Course) -> Array:
        """Return the mixture."""
        del course
        return self.mixture


@dataclass(frozen=True)
class Fixed:
    """Mixtures that were decided beforehand, one for each step."""

    path: Array

    def weights(self, course: Course) -> Array:
        """Return the mixture of this step."""
        row: Array = self.path[course.step]
        return row


@dataclass(frozen=True)
class Schedule:
    """A target share that goes from one value to another."""

    start: float
    end: float
    shape: Shape = "linear"
    knee: float = 0.5
    composition: Array | None = None

    def weights(self, course: Course) -> Array:
        """Return the mixture of this step."""
        progress = course.step / max(1, course.setting.reweights - 1)
        share = self.start + (self.end - self.start) * bend(self.shape, progress, self.knee)
        return course.setting.mixture(share, self.composition)


def bend(shape: Shape, progress: float, knee: float) -> float:
    """Return how far a schedule has come, from 0 to 1, at some progress from 0 to 1."""
    match shape:
        case "linear":
            return progress
        case "cosine":
            return float(1 - np.cos(np.pi * progress)) / 2
        case "step":
            return float(progress >= knee)


@dataclass(frozen=True)
class Odm:
    """A bandit (Exp3 with a decaying rate) that prefers domains whose loss is high.

    Args:
        floor: least weight of a domain; the paper's exploration rate never falls below it.
        smoothing: of the losses.
    """

    floor: float = 0.02
    smoothing: float = 0.9

    def weights(self, course: Course) -> Array:
        """Return the mixture after all losses so far."""
        domains = len(course.setting.names)
        smooth = np.array(course.losses[0])
        for losses in course.losses[1:]:
            smooth = self.smoothing * smooth + (1 - self.smoothing) * np.array(losses)
        turn = course.step + 1
        rate = max(self.floor, min(1 / domains, float(np.sqrt(np.log(domains) / (domains * turn)))))
        rate = min(rate, 1 / domains)
        return (1 - domains * rate) * softmax(smooth * rate * domains) + rate


@dataclass(frozen=True)
class DoReMi:
    """Weights grow with the clipped excess of a domain's loss over a reference run's last loss.

    Args:
        reference: (K,) losses of a model that was trained on the even mixture.
        rate: step of the exponentiated gradient.
        smoothing: weight of the even mixture in every mixture.
    """

    reference: Array
    rate: float = 1.0
    smoothing: float = 1e-3

    def weights(self, course: Course) -> Array:
        """Return the mixture after all losses so far."""
        domains = len(course.setting.names)
        excess = [np.maximum(np.array(row) - self.reference, 0) for row in course.losses]
        inside = softmax(self.rate * np.sum(excess, axis=0))
        return (1 - self.smoothing) * inside + self.smoothing / domains


def softmax(values: Array) -> Array:
    """Return positive numbers (K,) that sum to 1 and have these logarithms up to a constant."""
    powers = np.exp(values - values.max())
    share: Array = powers / powers.sum()
    return share
