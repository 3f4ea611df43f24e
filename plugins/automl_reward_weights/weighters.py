"""Weighters: what turns batches and evaluations into the next weights of the rewards.

Sources: Lu et al., 2025, arXiv 2509.11452 (`HvScale`, `Gradient`); Moskovitz et al., "Confronting
reward model overoptimization with constrained RLHF", 2024, arXiv 2310.04373 (`Lagrangian`);
Steuer and Choo, "An interactive weighted Tchebycheff procedure", 1983 (`Chebyshev`). `HvGradient`
is the chain rule: the gradient of the archive's hypervolume is sum_k (dHV/dy_k) grad J_k, so
weights in proportion to dHV/dy_k make the policy gradient climb it.
A weighter is a frozen record whose `update` is a pure function; what it must remember is in
`Weights`, which is what a checkpoint saves.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Protocol, TypeAlias

import numpy as np

from automl_reward_weights.volume import Array, hv_gradient

TINY = 1e-6  # stands for a weight of 0 where its logarithm is needed
Memory: TypeAlias = Mapping[str, tuple[float, ...]]


@dataclass(frozen=True, slots=True)
class Weights:
    """The (K,) weights, which sum to 1; a factor of the loss; what the weighter remembers."""

    values: Array
    scale: float = 1.0
    memory: Memory = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Batch:
    """What is known of a batch of rollouts.

    Attributes:
        preference: (K,) what the user finds important; sums to 1.
        rewards: (N, K) normalized rewards.
        average: (K,) running average of their means.
        thresholds: (K,) normalized thresholds of the rewards, nan where there is none.
        influence: computes the (K,) influences when it is called, and costs nothing otherwise;
            with True, of gradients scaled to length 1.
    """

    preference: Array
    rewards: Array
    average: Array
    thresholds: Array
    influence: Callable[[bool], Array]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What is known after an evaluation.

    Attributes:
        step: updates so far.
        seed: of the trial.
        preference: (K,) what the user finds important; sums to 1.
        values: (K,) normalized values of the policy.
        front: (n, K) normalized front of the archive, this evaluation included.
        reference: (K,) normalized reference point.
        gain: what this evaluation added to the archive's hypervolume.
    """

    step: int
    seed: int
    preference: Array
    values: Array
    front: Array
    reference: Array
    gain: float


class Weighter(Protocol):
    """One way to choose the weights of the rewards."""

    def update(self, now: Weights, signal: Batch | Evaluation) -> Weights:
        """Return the next weights after a batch or an evaluation."""


def floored(weights: Array, floor: float) -> Array:
    """Raise (K,) weights to at least `floor` and scale them to sum to 1."""
    raised = np.maximum(weights, floor)
    return np.asarray(raised / raised.sum(), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Fixed:
    """Keep the preference as weights."""

    def update(self, now: Weights, _signal: Batch | Evaluation) -> Weights:
        """Return the same weights."""
        return now


@dataclass(frozen=True, slots=True)
class Random:
    """Move towards a random point of the simplex after each evaluation: the control."""

    rate: float = 0.5
    floor: float = 0.02

    def update(self, now: Weights, signal: Batch | Evaluation) -> Weights:
        """Move as `HvGradient` does, to a target that is uniform on the simplex."""
        if isinstance(signal, Batch):
            return now
        rng = np.random.default_rng([signal.seed, signal.step])
        target = rng.dirichlet(np.ones(now.values.size))
        moved = (1 - self.rate) * now.values + self.rate * target
        return replace(now, values=floored(moved, self.floor))


@dataclass(frozen=True, slots=True)
class HvGradient:
    """Weigh each reward by how fast the archive's hypervolume grows with it.

    Attributes:
        lookahead: how far each normalized reward is raised to see the growth.
        rate: share of the new weights.
        floor: least weight of a reward.
    """

    lookahead: float = 0.1
    rate: float = 0.5
    floor: float = 0.02

    def update(self, now: Weights, signal: Batch | Evaluation) -> Weights:
        """Move towards preference times growth; towards the preference where nothing grows."""
        if isinstance(signal, Batch):
            return now
        growth = signal.preference * hv_gradient(
            signal.front, signal.values, signal.reference, self.lookahead, cap=1.0
        )
        target = growth / growth.sum() if growth.sum() > 0 else signal.preference
        moved = (1 - self.rate) * now.values + self.rate * target
        return replace(now, values=floored(moved, self.floor))


@dataclass(frozen=True, slots=True)
class HvScale:
    """Scale the loss by what the last evaluation added to the hypervolume, as published.

    The published factor multiplies all rewards alike, and estimators that divide by a standard
    deviation cancel it; here it multiplies the loss, after the advantages are normalized.
    """

    temperature: float = 0.02

    def update(self, now: Weights, signal: Batch | Evaluation) -> Weights:
        """Set the factor to 0.5 + 1.5 tanh(gain / temperature); the weights stay."""
        if isinstance(signal, Batch):
            return now
        return replace(now, scale=float(0.5 + 1.5 * np.tanh(signal.gain / self.temperature)))


@dataclass(frozen=True, slots=True)
class Gradient:
    """Mirror ascent on the simplex towards rewards whose gradients agree with the sum of all.

    Without the anchor the largest weight takes everything: the published update has none.

    Attributes:
        rate: step on the logarithms of the weights.
        anchor: share by which the weights return to the preference in each step.
        floor: least weight of a reward.
        sign: 1 as published; -1 helps the rewards that lag behind.
        unit: compare gradients scaled to length 1, which costs one backward a reward.
    """

    rate: float = 0.1
    anchor: float = 0.02
    floor: float = 0.02
    sign: int = 1
    unit: bool = False

    def update(self, now: Weights, signal: Batch | Evaluation) -> Weights:
        """Add the scaled influence to the logarithms of the weights."""
        if isinstance(signal, Evaluation):
            return now
        influence = signal.influence(self.unit)
        pull = self.sign * influence / max(float(np.abs(influence).max()), 1e-30)
        before = np.log(np.maximum(now.values, TINY))
        held = np.log(np.maximum(signal.preference, max(self.floor, TINY)))
        moved = (1 - self.anchor) * before + self.anchor * held + self.rate * pull
        return replace(now, values=floored(softmax(moved), self.floor))


@dataclass(frozen=True, slots=True)
class Chebyshev:
    """Weigh most the reward that is farthest from its best value."""

    temperature: float = 0.02
    floor: float = 0.02

    def update(self, now: Weights, signal: Batch | Evaluation) -> Weights:
        """Take the gradient of the smoothed largest weighted gap, by the running averages."""
        if isinstance(signal, Evaluation):
            return now
        gap = signal.preference * (1 - signal.average)
        pull = signal.preference * softmax(gap / self.temperature)
        return replace(now, values=floored(pull / pull.sum(), self.floor))


@dataclass(frozen=True, slots=True)
class Lagrangian:
    """Maximize the rewards without a threshold while the others reach theirs.

    Attributes:
        rate: step of the multipliers.
        damping: how far the violation itself adds to its multiplier, against oscillation.
        limit: largest multiplier.
        middle: normalized threshold of every reward but the first, where none has one.
    """

    rate: float = 0.1
    damping: float = 1.0
    limit: float = 4.0
    middle: float = 0.5

    def update(self, now: Weights, signal: Batch | Evaluation) -> Weights:
        """Raise the multipliers of the rewards below their thresholds and lower the others."""
        if isinstance(signal, Evaluation):
            return now
        thresholds = signal.thresholds
        if np.isnan(thresholds).all():
            thresholds = np.where(np.arange(thresholds.size) == 0, np.nan, self.middle)
        free = np.isnan(thresholds)
        missing = np.where(free, 0.0, thresholds - signal.average)
        before = np.array(now.memory.get("multipliers", (0.0,) * thresholds.size))
        multipliers = np.clip(before + self.rate * missing, 0.0, self.limit)
        pull = np.clip(multipliers + self.damping * missing, 0.0, self.limit)
        wanted = floored(signal.preference * free, 1e-9)
        weights = np.where(free, wanted, pull)
        memory = {"multipliers": tuple(multipliers.tolist())}
        return replace(now, values=weights / weights.sum(), memory=memory)


@dataclass(frozen=True, slots=True)
class Variance:
    """Weigh each reward by how much it varies in the batch, times the preference."""

    floor: float = 0.02

    def update(self, now: Weights, signal: Batch | Evaluation) -> Weights:
        """Set the weights to preference times standard deviation."""
        if isinstance(signal, Evaluation):
            return now
        spread = signal.preference * signal.rewards.std(axis=0)
        target = spread / spread.sum() if spread.sum() > 0 else signal.preference
        return replace(now, values=floored(target, self.floor))


def softmax(logits: Array) -> Array:
    """Return exponentials scaled to sum to 1."""
    powers = np.exp(logits - logits.max())
    return np.asarray(powers / powers.sum(), dtype=np.float64)


WEIGHTERS: Mapping[str, Callable[..., Weighter]] = MappingProxyType(
    {
        "hv_gradient": HvGradient,
        "chebyshev": Chebyshev,
        "lagrangian": Lagrangian,
        "gradient": Gradient,
        "variance": Variance,
        "hv_scale": HvScale,
        "fixed": Fixed,
        "random": Random,
    }
)
