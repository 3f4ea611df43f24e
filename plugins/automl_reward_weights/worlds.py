"""Worlds that a policy acts in: tables, and environments of gymnasium with vectors of rewards."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
import torch
from torch import Tensor

from automl_reward_weights.rewards import Reward
from automl_reward_weights.tables import TABLES, Table
from automl_reward_weights.tabular import rollouts

Policy: TypeAlias = Callable[[Tensor], Tensor]
Bounds: TypeAlias = Sequence[tuple[float, float]] | None


@dataclass(frozen=True, slots=True)
class Episodes:
    """N episodes, M steps together.

    Attributes:
        seen: (M, D) observations.
        actions: (M,) what was done.
        episodes: (M,) which of the N episodes each step belongs to.
        returns: (N, K) sums of the rewards, in their own units.
    """

    seen: Tensor
    actions: Tensor
    episodes: Tensor
    returns: Tensor


class World(Protocol):
    """What a policy acts in: D numbers are seen, one of A actions is done, K rewards are paid."""

    @property
    def shape(self) -> tuple[int, int]:
        """D and A."""

    @property
    def rewards(self) -> tuple[Reward, ...]:
        """The K rewards of an episode."""

    def play(self, policy: Policy, episodes: int, generator: torch.Generator) -> Episodes:
        """Play episodes, drawing actions from the (M, A) logits that the policy gives."""


@dataclass(frozen=True, slots=True)
class TableWorld:
    """A table; states are seen as one-hot vectors, and all are asked for at once."""

    table: Table

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers seen and actions."""
        states, actions = self.table.after.shape
        return states, actions

    @property
    def rewards(self) -> tuple[Reward, ...]:
        """The rewards of an episode."""
        return self.table.rewards

    def play(self, policy: Policy, episodes: int, generator: torch.Generator) -> Episodes:
        """Play all episodes side by side."""
        states, actions = self.shape
        seen = torch.eye(states)
        logits = policy(seen).detach().double().cpu()
        rolled = rollouts(self.table, logits.log_softmax(-1).unsqueeze(0), episodes, generator)
        low, high = torch.tensor([reward.bounds for reward in self.rewards]).double().T
        returns = low + rolled.returns[0] * (high - low)
        cells, did = rolled.places // actions, rolled.places % actions
        return Episodes(seen[cells], did, rolled.episodes, returns)


class GymWorld:
    """Copies of an environment of mo-gymnasium or gymnasium, asked for together.

    Args:
        name: under which the environment is registered.
        copies: environments side by side.
        horizon: steps after which an episode is cut.
        bounds: (K, 2) of the rewards of an episode; by default what the steps of an episode of
            `horizon` could pay together.
    """

    def __init__(self, name: str, copies: int, horizon: int, bounds: Bounds = None) -> None:
        self.horizon = horizon
        self.copies = [made(name) for _ in range(copies)]
        first = self.copies[0]
        if not hasattr(first.action_space, "n"):
            raise ValueError(f"environment {name!r}: needs a finite number of actions")
        paid = getattr(first.unwrapped, "reward_space", None)
        if paid is None:
            raise ValueError(f"environment {name!r}: has no reward_space; it pays no vectors")
        if bounds is None:
            low, high = horizon * np.minimum(paid.low, 0.0), horizon * np.maximum(paid.high, 0.0)
            bounds = list(zip(low.tolist(), high.tolist(), strict=True))
        self.rewards = tuple(Reward(f"reward_{k}", bounds=pair) for k, pair in enumerate(bounds))
        self.shape = self.observed(first.reset()[0]).numel(), int(first.action_space.n)

    def observed(self, observation: Any) -> Tensor:
        """Flatten what an environment shows into (D,) numbers."""
        from gymnasium.spaces import flatten

        space = self.copies[0].observation_space
        return torch.as_tensor(flatten(space, observation), dtype=torch.float32)

    def play(self, policy: Policy, episodes: int, generator: torch.Generator) -> Episodes:
        """Play in rounds of as many episodes as there are copies."""
        rounds, start = [], 0
        while start < episodes:
            count = min(len(self.copies), episodes - start)
            rounds.append(self.round(policy, range(start, start + count), generator))
            start += count
        return Episodes(
            torch.cat([one.seen for one in rounds]),
            torch.cat([one.actions for one in rounds]),
            torch.cat([one.episodes for one in rounds]),
            torch.cat([one.returns for one in rounds]),
        )

    def round(self, policy: Policy, numbers: range, generator: torch.Generator) -> Episodes:
        """Play one episode in each copy, with one call of the policy a step."""
        seeds = torch.randint(2**31, (len(numbers),), generator=generator).tolist()
        now = [
            self.observed(env.reset(seed=seed)[0])
            for env, seed in zip(self.copies, seeds, strict=False)
        ]
        going = list(range(len(numbers)))
        returns = torch.zeros(len(numbers), len(self.rewards), dtype=torch.float64)
        seen, did, whose = [], [], []
        for _ in range(self.horizon):
            here = torch.stack([now[i] for i in going])
            likely = policy(here).detach().double().cpu().softmax(-1)
            actions = torch.multinomial(likely, 1, generator=generator).squeeze(1)
            seen.append(here)
            did.append(actions)
            whose.append(torch.tensor([numbers[i] for i in going]))
            on = []
            for i, action in zip(going, actions.tolist(), strict=True):
                shown, paid, ended, cut, _ = self.copies[i].step(action)
                returns[i] += torch.as_tensor(paid, dtype=torch.float64)
                now[i] = self.observed(shown)
                on += [] if ended or cut else [i]
            going = on
            if not going:
                break
        return Episodes(torch.cat(seen), torch.cat(did), torch.cat(whose), returns)


def made(name: str) -> Any:
    """Make an environment of mo-gymnasium, which knows those of gymnasium too."""
    try:
        import mo_gymnasium
    except ModuleNotFoundError as error:
        raise ValueError(
            f"environment {name!r}: is no table ({', '.join(TABLES)}), and mo-gymnasium is not "
            "installed; pip install 'automl[reward]'"
        ) from error
    from gymnasium.error import UnregisteredEnv

    try:
        return mo_gymnasium.make(name)  # type: ignore[attr-defined,unused-ignore]
    except UnregisteredEnv as error:
        raise ValueError(
            f"environment {name!r}: is no table ({', '.join(TABLES)}), and "
            f"mo-gymnasium says: {error}"
        ) from error


def world(name: str, copies: int, horizon: int, bounds: Bounds = None) -> World:
    """Return the world of this name: a table if there is one, else an environment."""
    if name in TABLES:
        return TableWorld(TABLES[name]())
    return GymWorld(name, copies, horizon, bounds)
