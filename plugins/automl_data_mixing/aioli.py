"""Online mixing laws: learn while training what each domain's weight does to every loss.

After M. F. Chen et al., Aioli: A Unified Optimization Framework for Language Model Data Mixing,
2024: the losses of a step fall by A p, linear in the mixture p; A is learned by sweeping over
mixtures that lean towards one domain each, and the mixture moves by exponentiated gradient. The
original averages the losses of all domains and sweeps anew in each round, with a few batches for
each mixture. Here the fields are weighed by a preference, the run begins with one sweep, and from
then on A is fitted to the whole course, late steps weighing more: a step of a course is too long
for a sweep in every round.
"""

from dataclasses import dataclass

import numpy as np

from automl_data_mixing.course import Array, Course, Setting

RIDGE = 1e-4  # keeps A bounded where the mixtures seen hardly differ


@dataclass(frozen=True)
class Aioli:
    """A policy that learns a linear law of its own run; it needs no other run.

    Args:
        preference: weight of the target field, from 0 to 1.
        rate: step of the exponentiated gradient.
        lean: weight that a mixture of the sweep gives to its domain, beyond the even share.
        memory: how much a step counts one step later.
    """

    preference: float
    rate: float = 0.5
    lean: float = 0.5
    memory: float = 0.8

    def weights(self, course: Course) -> Array:
        """Return the next mixture: of the sweep at first, then by all laws so far."""
        domains = len(course.setting.names)
        even = np.full(domains, 1 / domains)
        if course.step < domains:
            swept: Array = (1 - self.lean) * even + self.lean * np.eye(domains)[course.step]
            return swept
        mixtures, losses = np.array(course.weights), np.array(course.losses)
        worth = worth_of(course.setting, self.preference)
        climbed = np.zeros(domains)
        for seen in range(domains, course.step + 1):
            effects = law(mixtures[:seen], -np.diff(losses[: seen + 1], axis=0), self.memory)
            climbed += self.rate * (worth @ effects)
        powers = np.exp(climbed - climbed.max())
        mixture: Array = powers / powers.sum()
        return mixture


def worth_of(setting: Setting, preference: float) -> Array:
    """Return what a nat of each domain's loss is worth, (K,), 1 on average."""
    flags = setting.flags
    field = np.where(flags, preference, 1 - preference)
    found: Array = field / setting.peers * len(flags)
    return found


def law(mixtures: Array, drops: Array, memory: float) -> Array:
    """Fit how much each weight lowers each loss, (K, K): drops = mixtures @ A', by least squares.

    Args:
        mixtures: (N, K) that were trained on.
        drops: (N, K) by how much the losses fell with each.
        memory: a step counts this much one step later.
    """
    count, domains = mixtures.shape
    decay = memory ** np.arange(count - 1, -1, -1, dtype=np.float64)[:, None]
    normal = mixtures.T @ (decay * mixtures) + RIDGE * np.eye(domains)
    found = np.linalg.solve(normal, mixtures.T @ (decay * drops)).T
    return np.asarray(found, np.float64)
