"""A policy for an environment that pays vectors of rewards, trained by the policy gradient."""

from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.data import DataLoader, TensorDataset

from automl_reward_weights.influence import measured
from automl_reward_weights.scalarize import Scalarizer, even
from automl_reward_weights.worlds import Episodes, world

VALIDATION, HELD_OUT = 2**50, 2**51  # seeds of the episodes of evaluations
SHARP = 1e6  # makes a softmax take the likeliest action


class EnvironmentPolicy(pl.LightningModule):
    """A softmax policy over the actions of an environment; needs no data.

    Args:
        environment: `fruit-tree`, `deep-sea-treasure` or `deep-sea-treasure-concave`, which are
            tables, or an environment of mo-gymnasium with a finite number of actions.
        hidden: width of the one hidden layer; 0 is a linear policy, a table of its own.
        lr: step of Adam.
        entropy: weight of the policy's entropy, so that it goes on exploring.
        episodes: of one update; they are one group.
        updates: in an epoch.
        evaluation: episodes of an evaluation.
        greedy: evaluate the likeliest actions rather than drawn ones.
        copies: environments side by side, where the environment is no table.
        horizon: steps after which an episode is cut, where the environment is no table.
        bounds: worst and best value of each reward of an episode, where the environment is no
            table; by default what the steps of an episode could pay together.
        network: maps (M, D) observations to (M, A) logits, instead of the layers above.
    """

    def __init__(  # noqa: PLR0913 - these are the settings of a study, each by name
        self,
        *,
        environment: str = "deep-sea-treasure-concave",
        hidden: int = 0,
        lr: float = 0.1,
        entropy: float = 0.05,
        episodes: int = 32,
        updates: int = 5,
        evaluation: int = 16,
        greedy: bool = True,
        copies: int = 8,
        horizon: int = 200,
        bounds: list[tuple[float, float]] | None = None,
        network: Any = None,
    ) -> None:
        super().__init__()
        self.world = world(environment, copies, horizon, bounds)
        self.rewards = self.world.rewards
        self.scalarizer = Scalarizer(even(self.rewards))
        self.policy = network or layers(*self.world.shape, hidden)
        self.lr, self.entropy = lr, entropy
        self.episodes, self.updates, self.evaluation = episodes, updates, evaluation
        self.greedy, self.held_out = greedy, False
        self.example_input_array = torch.zeros(1, self.world.shape[0])

    def forward(self, seen: Tensor) -> Tensor:
        """Return the (M, A) logits of the actions after (M, D) observations."""
        logits: Tensor = self.policy(seen)
        return logits

    def play(self, episodes: int, seed: int, sharpness: float = 1.0) -> Episodes:
        """Play episodes with random numbers of their own, so that a resumed run repeats them."""
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            return self.world.play(
                lambda seen: sharpness * self(seen.to(self.device)), episodes, generator
            )

    def training_step(self, _batch: Any, _index: int) -> Tensor:
        """Play a batch of episodes and return the loss whose gradient is the policy's."""
        played = self.play(self.episodes, self.scalarizer.seed(self.global_step))
        parameters = dict(self.policy.named_parameters())
        seen, actions = played.seen.to(self.device), played.actions.to(self.device)
        whose = played.episodes.to(self.device)

        def log_probs(at: Mapping[str, Tensor]) -> Tensor:
            logits: Tensor = functional_call(self.policy, dict(at), (seen,))
            steps = logits.log_softmax(-1).gather(1, actions.unsqueeze(1)).squeeze(1)
            sums = torch.zeros(self.episodes, device=self.device)
            return sums.index_add(0, whose, steps)

        advantages = self.scalarizer.advantages(
            played.returns.float().to(self.device),
            self.episodes,
            lambda alone, unit: measured(log_probs, parameters, alone, unit=unit),
        )
        log_policy = self(seen).log_softmax(-1)
        entropy = -(log_policy.exp() * log_policy).sum() / self.episodes
        loss: Tensor = -(advantages * log_probs(parameters)).mean() - self.entropy * entropy
        return loss

    def validation_step(self, _batch: Any, _index: int) -> None:
        """Play the evaluation's episodes and log each reward with its standard error."""
        seed = HELD_OUT if self.held_out else VALIDATION
        played = self.play(self.evaluation, seed, SHARP if self.greedy else 1.0)
        for reward, values in zip(self.rewards, played.returns.unbind(1), strict=True):
            error = values.std() / len(values) ** 0.5
            self.log(reward.metric, values.mean().float(), batch_size=1, sync_dist=True)
            self.log(f"{reward.metric}_se", error.float(), batch_size=1, sync_dist=True)

    def configure_optimizers(self) -> Any:
        """Use Adam."""
        return torch.optim.Adam(self.parameters(), lr=self.lr)

    def train_dataloader(self) -> Any:
        """Return as many empty batches as an epoch has updates: the world is the data."""
        return DataLoader(TensorDataset(torch.zeros(self.updates, 1)))

    def val_dataloader(self) -> Any:
        """Return one empty batch: every evaluation plays the same episodes."""
        return DataLoader(TensorDataset(torch.zeros(1, 1)))


def layers(inputs: int, actions: int, hidden: int) -> nn.Module:
    """Return a linear policy that starts uniform, or one with a hidden layer."""
    if hidden:
        return nn.Sequential(nn.Linear(inputs, hidden), nn.Tanh(), nn.Linear(hidden, actions))
    linear = nn.Linear(inputs, actions, bias=False)
    nn.init.zeros_(linear.weight)
    return linear
