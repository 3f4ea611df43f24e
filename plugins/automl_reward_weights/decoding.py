"""Draw continuations of prompts token by token, with the keys and values of the past kept.

All sequences of a batch advance together from their first token, and a token of the prompt is put
in place of what would be drawn: positions agree with those of training, and nothing is masked.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from automl.zoo.text import TinyGPT

PAD = 0


class Decoder(Protocol):
    """A language model that reads one token of each sequence at a time."""

    def __call__(self, tokens: Tensor) -> Tensor:
        """Read the next (B,) tokens and return the (B, V) logits of those after them."""


class CachedGPT:
    """Reads with the zoo's GPT; each layer keeps the keys and values of what it has read."""

    def __init__(self, network: TinyGPT) -> None:
        self.network = network
        self.place = 0
        self.past: list[tuple[Tensor, Tensor] | None] = [None] * len(network.blocks)

    def __call__(self, tokens: Tensor) -> Tensor:
        """Read the next (B,) tokens and return the (B, V) logits of those after them."""
        network = self.network
        x = network.embedding(tokens).unsqueeze(1) + network.position[self.place]
        for layer in range(len(network.blocks)):
            x = self.through(layer, x)
        self.place += 1
        logits: Tensor = network.norm(x[:, 0]) @ network.embedding.weight.T
        return logits

    def through(self, layer: int, x: Tensor) -> Tensor:
        """Pass (B, 1, D) through one layer, whose attention sees its past."""
        block: Any = self.network.blocks[layer]
        attention = block.attention
        batch, _, width = x.shape
        split = attention.inward(block.before_attention(x))
        split = split.view(batch, 1, 3, attention.heads, width // attention.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)
        past = self.past[layer]
        if past is not None:
            key, value = torch.cat([past[0], key], 2), torch.cat([past[1], value], 2)
        self.past[layer] = key, value
        mixed = functional.scaled_dot_product_attention(query, key, value)
        x = x + attention.outward(mixed.transpose(1, 2).reshape(batch, 1, width))
        return x + block.perceptron(block.before_perceptron(x))  # type: ignore[no-any-return]


class CachedCausalLM:
    """Reads with a causal language model of `transformers`, which keeps its own cache."""

    def __init__(self, network: Any) -> None:
        self.network = network
        self.past: Any = None

    def __call__(self, tokens: Tensor) -> Tensor:
        """Read the next (B,) tokens and return the (B, V) logits of those after them."""
        read = self.network(tokens.unsqueeze(1), past_key_values=self.past, use_cache=True)
        self.past = read.past_key_values
        logits: Tensor = read.logits[:, -1]
        return logits


class Uncached:
    """Reads with any network from (B, C) tokens to (B, C, V) logits, anew at every token."""

    def __init__(self, network: Callable[[Tensor], Tensor]) -> None:
        self.network = network
        self.read: list[Tensor] = []

    def __call__(self, tokens: Tensor) -> Tensor:
        """Read the next (B,) tokens and return the (B, V) logits of those after them."""
        self.read.append(tokens)
        return self.network(torch.stack(self.read, 1))[:, -1]


def decoder(network: Any) -> Decoder:
    """Return the fastest way to read with a network."""
    if isinstance(network, TinyGPT):
        return CachedGPT(network)
    if hasattr(network, "prepare_inputs_for_generation"):
        return CachedCausalLM(network)
    return Uncached(network)


@dataclass(frozen=True, slots=True)
class Drawn:
    """N sequences of T tokens.

    Attributes:
        tokens: (N, T) prompts and what was drawn after them; `PAD` after the end.
        drawn: (N, T) whether a token was drawn: neither of the prompt nor after the end.
    """

    tokens: Tensor
    drawn: Tensor


@dataclass(frozen=True, slots=True)
class Drawing:
    """How to draw: tokens of prompt and completion together, the token that ends, and chance.

    `temperature` 0 takes the likeliest token.
    """

    length: int
    end: int
    temperature: float = 1.0
    generator: torch.Generator | None = None


@torch.no_grad()
def draw(read: Decoder, prompts: Sequence[Sequence[int]], how: Drawing, device: Any) -> Drawn:
    """Continue prompts until each has ended or is `how.length` tokens long."""
    lengths = torch.tensor([len(prompt) for prompt in prompts], device=device)
    if not prompts or int(lengths.min()) < 1 or int(lengths.max()) >= how.length:
        raise ValueError(
            f"prompts: need 1 to {how.length - 1} tokens each, got "
            f"{[len(prompt) for prompt in prompts][:8]}"
        )
    padded = [[*prompt, *[PAD] * (how.length - len(prompt))] for prompt in prompts]
    tokens = torch.tensor(padded, device=device)
    drawn = torch.zeros_like(tokens, dtype=torch.bool)
    ended = torch.zeros_like(lengths, dtype=torch.bool)
    for place in range(1, how.length):
        logits = read(tokens[:, place - 1])
        free = (lengths <= place) & ~ended
        if free.any():
            tokens[:, place] = torch.where(free, chosen(logits, how), tokens[:, place])
        drawn[:, place] = free
        ended = ended | (free & (tokens[:, place] == how.end))
        if ended.all():
            break
    return Drawn(tokens, drawn)


def chosen(logits: Tensor, how: Drawing) -> Tensor:
    """Return the likeliest token of each row, or one drawn at the temperature."""
    if how.temperature == 0:
        return logits.argmax(-1)
    likely = (logits / how.temperature).softmax(-1)
    return torch.multinomial(likely, 1, generator=how.generator).squeeze(1)


def log_probs(logits: Tensor, drawn: Drawn) -> Tensor:
    """Return the (N, T - 1) log-probabilities of the drawn tokens, 0 elsewhere.

    Args:
        logits: (N, T - 1, V) after each token but the last.
        drawn: the sequences.
    """
    targets = drawn.tokens[:, 1:].unsqueeze(-1)
    each = logits.log_softmax(-1).gather(-1, targets).squeeze(-1)
    return each * drawn.drawn[:, 1:]
