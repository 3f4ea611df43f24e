"""Policy gradients on tables, vectorized over runs: many weightings are trained as one tensor.

The policy is a softmax over one logit for each state and action (Sutton et al., "Policy gradient
methods for reinforcement learning with function approximation", 1999); its gradient is exact
given the rollouts, so that no graph is kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch
from torch import Tensor

from automl_reward_weights.advantages import combined, per_reward
from automl_reward_weights.archive import Archive, Entry
from automl_reward_weights.influence import summed
from automl_reward_weights.rewards import MARGIN, normalized
from automl_reward_weights.tables import Table
from automl_reward_weights.volume import Array
from automl_reward_weights.weighters import Batch, Evaluation, Weighter, Weights

MEMORY = 0.9  # share that the running average of the rewards keeps at each update


@dataclass(frozen=True, slots=True)
class Recipe:
    """How every run is trained.

    Attributes:
        updates: of the policy.
        group: episodes of an update.
        lr: step of Adam.
        entropy: weight of the policy's entropy at each step, so that it goes on exploring.
        evaluate_every: updates between evaluations.
        estimator: of the advantages.
        aggregation: of the rewards.
    """

    updates: int = 200
    group: int = 32
    lr: float = 0.1
    entropy: float = 0.0
    evaluate_every: int = 10
    estimator: str = "grpo"
    aggregation: str = "sum"


@dataclass(frozen=True, slots=True)
class Run:
    """One run: its weighter, its (K,) preference, its (K,) thresholds or nan, and its seed."""

    weighter: Weighter
    preference: Array
    thresholds: Array
    seed: int


@dataclass(frozen=True, slots=True)
class Track:
    """What a run left: its archive, and the hypervolume and the weights after each evaluation."""

    archive: Archive
    volumes: tuple[float, ...]
    weights: tuple[Weights, ...]
    average: Array


@dataclass(frozen=True, slots=True)
class Rollouts:
    """R runs of G episodes, M steps together.

    Attributes:
        places: (M,) which of the R * S * A states and actions each step took.
        episodes: (M,) which of the R * G episodes each step belongs to.
        returns: (R, G, K) normalized sums of rewards.
    """

    places: Tensor
    episodes: Tensor
    returns: Tensor


def rollouts(table: Table, policy: Tensor, group: int, generator: torch.Generator) -> Rollouts:
    """Follow (R, S, A) log-probabilities for `group` episodes of each run."""
    runs, states, actions = policy.shape
    likely = policy.exp().flatten(0, 1)
    going = torch.arange(runs * group)
    state = torch.zeros_like(going)
    total = torch.zeros(runs * group, len(table.rewards), dtype=policy.dtype)
    places, episodes = [], []
    for _ in range(table.horizon):
        cell = going // group * states + state
        race = torch.empty(len(going), actions, dtype=policy.dtype).exponential_(
            generator=generator
        )
        action = (likely[cell] / race).argmax(-1)  # the first of these clocks to ring
        places.append(cell * actions + action)
        episodes.append(going)
        total.index_add_(0, going, table.paid[state, action])
        on = ~table.ends[state, action]
        going, state = going[on], table.after[state, action][on]
        if not len(going):
            break
    returns = torch.from_numpy(normalized(table.rewards, total.view(runs, group, -1).numpy()))
    return Rollouts(torch.cat(places), torch.cat(episodes), returns)


def tallied(seen: Rollouts, policy: Tensor, values: Tensor) -> Tensor:
    """Sum (R, G) values of the episodes over the steps at each (R, S, A) state and action."""
    sums = torch.zeros(policy.numel(), dtype=policy.dtype)
    sums.index_add_(0, seen.places, values.flatten()[seen.episodes])
    return sums.view(policy.shape) / values.shape[1]


def gradient(seen: Rollouts, policy: Tensor, advantages: Tensor) -> Tensor:
    """Compute the policy gradient: (R, S, A) for (R, G) advantages of the episodes."""
    pushed = tallied(seen, policy, advantages)
    return pushed - policy.exp() * pushed.sum(-1, keepdim=True)


def entropy_gradient(seen: Rollouts, policy: Tensor) -> Tensor:
    """Compute the (R, S, A) gradient of the policy's entropy, summed over the visited states."""
    visits = tallied(seen, policy, torch.ones_like(seen.returns[..., 0])).sum(-1, keepdim=True)
    entropy = -(policy.exp() * policy).sum(-1, keepdim=True)
    return -visits * policy.exp() * (policy + entropy)


def greedy_returns(table: Table, policy: Tensor) -> Array:
    """Return the (R, K) rewards, in their own units, of always taking the likeliest action."""
    best = policy.argmax(-1)
    rows = torch.arange(len(policy))
    state = torch.zeros(len(policy), dtype=torch.long)
    alive = torch.ones(len(policy), dtype=torch.bool)
    total = torch.zeros(len(policy), len(table.rewards), dtype=torch.float64)
    for _ in range(table.horizon):
        action = best[rows, state]
        total += table.paid[state, action] * alive.unsqueeze(-1)
        alive = alive & ~table.ends[state, action]
        state = table.after[state, action]
    return total.numpy()


def train(table: Table, runs: Sequence[Run], recipe: Recipe, seed: int = 0) -> list[Track]:
    """Train all runs side by side and return what each left."""
    generator = torch.Generator().manual_seed(seed)
    shape = len(runs), *table.after.shape
    logits = torch.zeros(shape, dtype=torch.float64)
    optimizer = torch.optim.Adam([logits], lr=recipe.lr)
    tracks = [started(table, run) for run in runs]
    for step in range(recipe.updates + 1):
        policy = logits.log_softmax(-1)
        if step % recipe.evaluate_every == 0:
            values = greedy_returns(table, policy)
            tracks = [
                evaluated(track, run, values[r], step)
                for r, (track, run) in enumerate(zip(tracks, runs, strict=True))
            ]
        if step < recipe.updates:
            seen = rollouts(table, policy, recipe.group, generator)
            tracks = weighted(tracks, runs, seen, policy, recipe.estimator)
            ascent = gradient(seen, policy, advantages(tracks, seen, recipe))
            logits.grad = -ascent - recipe.entropy * entropy_gradient(seen, policy)
            optimizer.step()
    return tracks


def started(table: Table, run: Run) -> Track:
    """Make the track of a run that has done nothing."""
    reference = (-MARGIN,) * len(table.rewards)
    average = np.full(len(table.rewards), np.nan)
    return Track(Archive(table.rewards, reference), (), (Weights(run.preference),), average)


def evaluated(track: Track, run: Run, values: Array, step: int) -> Track:
    """Add an evaluation to the archive of a run and let its weighter see it."""
    now = track.weights[-1]
    entry = Entry(tuple(values), (0.0,) * values.size, step, tuple(now.values))
    archive = track.archive.add(entry)
    signal = Evaluation(
        step=step,
        seed=run.seed,
        preference=run.preference,
        values=archive.point(entry),
        front=archive.front(),
        reference=np.array(archive.reference),
        gain=track.archive.gain(entry),
    )
    weights = (*track.weights, run.weighter.update(now, signal))
    volumes = (*track.volumes, archive.hypervolume())
    return replace(track, archive=archive, volumes=volumes, weights=weights)


def weighted(
    tracks: list[Track], runs: Sequence[Run], seen: Rollouts, policy: Tensor, estimator: str
) -> list[Track]:
    """Let the weighter of each run see its rollouts."""

    @cache
    def gradients() -> Tensor:
        alone = per_reward(seen.returns, seen.returns.shape[1], estimator)
        columns = [gradient(seen, policy, column) for column in alone.unbind(-1)]
        return torch.stack(columns, 1).flatten(2)

    def of(r: int, track: Track, run: Run) -> Track:
        rewards = seen.returns[r].numpy()
        mean = rewards.mean(axis=0)
        kept = MEMORY * track.average + (1 - MEMORY) * mean
        average = np.where(np.isnan(track.average), mean, kept)
        signal = Batch(
            preference=run.preference,
            rewards=rewards,
            average=average,
            thresholds=run.thresholds,
            influence=lambda unit: summed(gradients()[r], unit=unit).numpy(),
        )
        latest = run.weighter.update(track.weights[-1], signal)
        return replace(track, average=average, weights=(*track.weights[:-1], latest))

    return [of(r, track, run) for r, (track, run) in enumerate(zip(tracks, runs, strict=True))]


def advantages(tracks: Sequence[Track], seen: Rollouts, recipe: Recipe) -> Tensor:
    """Return the (R, G) advantages under the present weights, times each run's loss factor."""
    now = [track.weights[-1] for track in tracks]
    weights = torch.from_numpy(np.stack([one.values for one in now]))
    scale = torch.tensor([one.scale for one in now], dtype=torch.float64)
    made = combined(seen.returns, weights, recipe.group, recipe.estimator, recipe.aggregation)
    return made * scale.unsqueeze(1)
