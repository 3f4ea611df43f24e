"""The scalarizer of a run: K rewards of a batch in, one advantage for each rollout out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from automl_reward_weights.advantages import combined, constant_groups, per_reward
from automl_reward_weights.archive import Archive, Entry
from automl_reward_weights.ranks import gathered, rank
from automl_reward_weights.rewards import Reward, check_names, checked, gated, normalized, reference
from automl_reward_weights.volume import Array
from automl_reward_weights.weighters import Batch, Evaluation, Fixed, Weighter, Weights

MEMORY = 0.9  # share that the running average of the rewards keeps at each batch
Influence: TypeAlias = Callable[[Tensor, bool], Tensor]


@dataclass(frozen=True, slots=True)
class Rules:
    """What a run does not change.

    Attributes:
        rewards: in the order of the columns.
        preference: (K,) importance of each, which sums to 1.
        weighter: chooses the weights.
        estimator: of the advantages.
        aggregation: of the rewards.
        reference: (K,) normalized reference point of the hypervolume.
        caution: standard errors by which an evaluation must add to the hypervolume to count.
        patience: batches after which a reward that has never varied is an error.
        seed: of the run.
    """

    rewards: tuple[Reward, ...]
    preference: tuple[float, ...]
    weighter: Weighter
    estimator: str = "grpo"
    aggregation: str = "sum"
    reference: tuple[float, ...] = ()
    caution: float = 0.0
    patience: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        check_names(self.rewards)

    def thresholds(self) -> Array:
        """Return the (K,) normalized thresholds, nan where there is none."""
        return np.array(
            [np.nan if r.threshold is None else r.normalized(r.threshold) for r in self.rewards]
        )


def even(rewards: Sequence[Reward]) -> Rules:
    """Return the rules of a model that nobody has given any: fixed weights, all alike."""
    count = len(rewards)
    away = tuple(reference(rewards, [None] * count).tolist())
    return Rules(tuple(rewards), (1 / count,) * count, Fixed(), reference=away)


@dataclass
class Scalarizer:
    """What a run knows about its rewards so far; a model asks it for advantages.

    Attributes:
        rules: what does not change.
        now: the present weights.
        average: (K,) running average of the normalized rewards.
        archive: what evaluations have found.
        batches: number of batches seen.
        lowest, highest: (K,) of each reward over all batches.
        constant: (K,) share of groups of the last batch in which each reward was constant.
    """

    rules: Rules
    now: Weights = field(init=False)
    archive: Archive = field(init=False)
    average: Array = field(init=False)
    lowest: Array = field(init=False)
    highest: Array = field(init=False)
    constant: Array = field(init=False)
    batches: int = 0

    def __post_init__(self) -> None:
        count = len(self.rules.rewards)
        self.now = Weights(np.array(self.rules.preference))
        self.archive = Archive(self.rules.rewards, self.rules.reference)
        self.average = np.zeros(count)
        self.lowest, self.highest = np.full(count, np.inf), np.full(count, -np.inf)
        self.constant = np.zeros(count)

    def seed(self, step: int) -> int:
        """Mix the seed of the trial and the number of an update, so that a cut run repeats it.

        Processes that train one model together draw different rollouts.
        """
        parts = [self.rules.seed, step, *([rank()] if rank() else [])]
        mixed = np.random.SeedSequence(parts).generate_state(1, np.uint64)
        return int(mixed[0] >> np.uint64(2))

    def advantages(self, raw: Tensor, group: int, influence: Influence) -> Tensor:
        """Return one advantage for each rollout, and let the weighter learn from the batch.

        Where several processes train one model, the batch is what all of them rolled out, so that
        all have the same weights.

        Args:
            raw: (N, K) rewards in their own units; the rollouts of a prompt beside each other.
            group: rollouts of a prompt.
            influence: computes (K,) influences from (N, K) advantages; with True, of gradients
                scaled to length 1.

        Returns:
            (N,) advantages times the factor of the loss, on the device of `raw`.
        """
        rules = self.rules
        parts = gathered(raw.detach().double().cpu().numpy())
        values = np.concatenate([checked(rules.rewards, part) for part in parts])
        begin = sum(len(part) for part in parts[: rank()])
        own = slice(begin, begin + len(raw))
        values = gated(rules.rewards, normalized(rules.rewards, values))
        self.watch(values)
        rewards = torch.from_numpy(values)
        self.constant = constant_groups(rewards, group).numpy()

        def influences(unit: bool) -> Array:
            alone = per_reward(rewards, group, rules.estimator)[own].to(raw)
            return influence(alone, unit).detach().double().cpu().numpy()

        preference = np.array(rules.preference)
        signal = Batch(preference, values, self.average, rules.thresholds(), influences)
        self.now = rules.weighter.update(self.now, signal)
        weights = torch.from_numpy(self.now.values)
        made = combined(rewards, weights, group, rules.estimator, rules.aggregation)
        return (made[own] * self.now.scale).to(raw)

    def watch(self, values: Array) -> None:
        """Follow averages and ranges of the (N, K) rewards; refuse one that never varies."""
        mean = values.mean(axis=0)
        self.average = MEMORY * self.average + (1 - MEMORY) * mean if self.batches else mean
        self.batches += 1
        self.lowest = np.minimum(self.lowest, values.min(axis=0))
        self.highest = np.maximum(self.highest, values.max(axis=0))
        flat = np.flatnonzero(self.lowest == self.highest)
        if self.batches >= self.rules.patience and len(flat):
            reward = self.rules.rewards[flat[0]]
            raise ValueError(
                f"reward {reward.name!r}: was {reward.raw(self.lowest[flat[0]]):g} in every "
                f"rollout of the first {self.batches} batches, so nothing can be learned from it; "
                "check its function and bounds, or leave it out"
            )

    def evaluate(self, entry: Entry, step: int) -> bool:
        """Add an evaluation to the archive; say whether it was kept there."""
        gain = self.archive.gain(entry, self.rules.caution)
        values = self.archive.point(entry)
        if gain > 0:
            self.archive = self.archive.add(entry)
        signal = Evaluation(
            step=step,
            seed=self.rules.seed,
            preference=np.array(self.rules.preference),
            values=values,
            front=np.vstack([self.archive.front(), values]),
            reference=np.array(self.rules.reference),
            gain=gain,
        )
        self.now = self.rules.weighter.update(self.now, signal)
        return gain > 0

    def state_dict(self) -> dict[str, Any]:
        """Return everything that a checkpoint needs, as plain values."""
        return {
            "weights": self.now.values.tolist(),
            "scale": self.now.scale,
            "memory": {name: list(values) for name, values in self.now.memory.items()},
            "average": self.average.tolist(),
            "lowest": self.lowest.tolist(),
            "highest": self.highest.tolist(),
            "batches": self.batches,
            "archive": self.archive.rows(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        memory = {name: tuple(values) for name, values in state["memory"].items()}
        self.now = Weights(np.array(state["weights"]), state["scale"], memory)
        self.average = np.array(state["average"])
        self.lowest, self.highest = np.array(state["lowest"]), np.array(state["highest"])
        self.batches = state["batches"]
        self.archive = self.archive.from_rows(state["archive"])
