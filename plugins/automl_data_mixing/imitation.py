"""Teach the agent by imitation that prefers what went well, at every preference at once.

Each recorded mixture is imitated with a weight exp(sharpness * advantage), where the advantage
compares its return with those of other trajectories at the same step and preference: advantage-
weighted regression (X. B. Peng, A. Kumar, G. Zhang and S. Levine, 2019), here with Monte Carlo
returns. Rewards are linear in the preference, so one trajectory teaches nine of them.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from automl_data_mixing.features import features
from automl_data_mixing.trajectories import Experience, advantages, rewards

PREFERENCES = tuple(round(0.1 * i, 1) for i in range(1, 10))


@dataclass(frozen=True, slots=True)
class Lessons:
    """Experience as tensors, for P preferences.

    Attributes:
        x: (P, M, T, K, F) normalized features.
        actions: (M, T, K) mixtures.
        advantages: (P, M, T).
        rewards: (P, M, T), in units of the standard deviation of whole returns.
        target: (K,) whether each domain is a target.
        mean: (F,) of the features.
        spread: (F,) of the features.
        low: (F,) least features.
        high: (F,) largest features.
    """

    x: Tensor
    actions: Tensor
    advantages: Tensor
    rewards: Tensor
    target: Tensor
    mean: Tensor
    spread: Tensor
    low: Tensor
    high: Tensor


def lessons(seen: Experience) -> Lessons:
    """Describe experience at all preferences, and normalize the features."""
    described = np.stack([features(seen, w) for w in PREFERENCES])
    flat = described.reshape(-1, described.shape[-1])
    mean, spread = flat.mean(0), flat.std(0) + 1e-3
    gains = np.stack([rewards(seen, w) for w in PREFERENCES])
    gains = gains / gains.sum(-1).std(axis=1)[:, None, None]
    return Lessons(
        x=single((described - mean) / spread),
        actions=single(seen.weights),
        advantages=single(np.stack([advantages(seen, w) for w in PREFERENCES])),
        rewards=single(gains),
        target=torch.from_numpy(seen.setting.flags),
        mean=single(mean),
        spread=single(spread),
        low=single(flat.min(0)),
        high=single(flat.max(0)),
    )


def single(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Tensor:
    """Return numbers as a tensor of single precision."""
    return torch.from_numpy(np.ascontiguousarray(values)).float()


def draw(taught: Lessons, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw preferences and trajectories by index, (size,) each."""
    counts = taught.x.shape[:2]
    return tuple(torch.randint(n, (size,), generator=generator) for n in counts)  # type: ignore[return-value]


def weights_of(advantage: Tensor, sharpness: float) -> Tensor:
    """Return how much each mixture is imitated, 1 on average."""
    weights = torch.exp(sharpness * advantage)
    return weights / weights.mean()


def cross_entropy(logits: Tensor, mixtures: Tensor) -> Tensor:
    """Return the cross entropy of mixtures (…, K) under logits (…, K), (…)."""
    return -(mixtures * logits.log_softmax(-1)).sum(-1)


def imitate(
    network: nn.Module,
    taught: Lessons,
    *,
    steps: int,
    sharpness: float,
    seed: int = 0,
    batch: int = 16,
) -> list[float]:
    """Train a network by weighted imitation and return its losses."""
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    losses = []
    for _ in range(steps):
        w, m = draw(taught, batch, generator)
        logits = network(taught.x[w, m], taught.target)
        weights = weights_of(taught.advantages[w, m], sharpness)
        loss = (weights * cross_entropy(logits, taught.actions[m])).mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(float(loss.detach()))
    return losses
