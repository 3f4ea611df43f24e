"""The agent's networks: equivariant to the order of domains, for any number of them."""

import math
from typing import cast

import torch
from torch import Tensor, nn

from automl_data_mixing.features import NAMES

FEATURES = len(NAMES)


def by_field(x: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return the means over the source and over the target domains, (…, K, D) to (…, D) each."""
    flag = target.to(x.dtype)[:, None]
    source = (x * (1 - flag)).sum(-2) / (1 - flag).sum().clamp_min(1)
    return source, (x * flag).sum(-2) / flag.sum().clamp_min(1)


class DeepSet(nn.Module):
    """Each domain sees itself and the mean of each field; enough for few trajectories."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inward = nn.Sequential(
            nn.Linear(FEATURES, width), nn.GELU(), nn.Linear(width, width), nn.GELU()
        )
        self.outward = nn.Sequential(nn.Linear(3 * width, width), nn.GELU(), nn.Linear(width, 1))

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        """Return a logit for each domain at each step, (N, T, K, F) to (N, T, K)."""
        hidden = self.inward(x)
        pooled = [part.unsqueeze(-2).expand_as(hidden) for part in by_field(hidden, target)]
        return cast("Tensor", self.outward(torch.cat([hidden, *pooled], -1)).squeeze(-1))


class Crossing(nn.Module):
    """Attention with several heads over the second to last axis."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.inward = nn.Linear(width, 3 * width)
        self.outward = nn.Linear(width, width)

    def attention(self, x: Tensor, *, causal: bool) -> tuple[Tensor, Tensor]:
        """Return how much each place looks at each, (…, H, L, L), and what is there."""
        split = self.inward(self.norm(x)).unflatten(-1, (3, self.heads, -1))
        query, key, value = (part.transpose(-2, -3) for part in split.unbind(-3))
        logits = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
        if causal:
            later = torch.ones(logits.shape[-2:], dtype=torch.bool, device=x.device).triu(1)
            logits = logits.masked_fill(later, -torch.inf)
        return logits.softmax(-1), value

    def forward(self, x: Tensor, *, causal: bool) -> Tensor:
        """Let places look at each other, or at what is before them; (…, L, D) to (…, L, D)."""
        looks, value = self.attention(x, causal=causal)
        return x + cast("Tensor", self.outward((looks @ value).transpose(-2, -3).flatten(-2)))


class Layer(nn.Module):
    """Domains look at each other, then each looks back in time, then a perceptron."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.domains = Crossing(width, heads)
        self.times = Crossing(width, heads)
        self.perceptron = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Transform (N, T, K, D) to (N, T, K, D)."""
        x = self.domains(x, causal=False)
        x = self.times(x.transpose(1, 2), causal=True).transpose(1, 2)
        return x + cast("Tensor", self.perceptron(x))


class Decoder(nn.Module):
    """A Transformer over domains and time, without positions: order in time is a feature."""

    def __init__(self, width: int, layers: int, heads: int = 4) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width: must be a multiple of {heads} for a decoder, got {width}")
        self.inward = nn.Linear(FEATURES, width)
        self.layers = nn.Sequential(*[Layer(width, heads) for _ in range(layers)])
        self.outward = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 1))

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        """Return a logit for each domain at each step, (N, T, K, F) to (N, T, K)."""
        del target  # it is one of the features
        return cast("Tensor", self.outward(self.layers(self.inward(x))).squeeze(-1))


class Critic(nn.Module):
    """Values a mixture in a state, whatever the order of the domains."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inward = nn.Sequential(
            nn.Linear(FEATURES + 3, width), nn.GELU(), nn.Linear(width, width), nn.GELU()
        )
        self.outward = nn.Sequential(nn.Linear(2 * width, width), nn.GELU(), nn.Linear(width, 1))

    def forward(self, x: Tensor, mixture: Tensor, target: Tensor) -> Tensor:
        """Return the value of mixtures (…, K) in states (…, K, F), (…)."""
        flag = target.to(x.dtype)
        peers = torch.where(target, flag.sum(), (1 - flag).sum())
        share = (mixture * flag).sum(-1, keepdim=True).expand_as(mixture)
        said = torch.stack([mixture * peers, torch.log(mixture + 1e-2), share], -1)
        pooled = by_field(self.inward(torch.cat([x, said], -1)), target)
        return cast("Tensor", self.outward(torch.cat(pooled, -1)).squeeze(-1))


def make(arch: str, width: int, layers: int) -> nn.Module:
    """Build an agent's network by the name of its architecture."""
    return DeepSet(width) if arch == "deepset" else Decoder(width, layers)
