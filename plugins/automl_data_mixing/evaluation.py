"""Held-out losses of every domain, in nats a byte whatever the tokens are."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from automl_data_mixing.corpus import Corpus
from automl_data_mixing.course import Array
from automl_data_mixing.loader import pair

CHUNK = 256  # rows in one pass


class Evaluator:
    """Measures a model that turns tokens (B, C) into logits (B, C, V).

    The rows are spread evenly over what is held out and are always the same, so that differences
    are far more exact than the losses themselves.

    Args:
        corpus: held-out rows by domain.
        rows: at most so many of each domain.
    """

    def __init__(self, corpus: Corpus, rows: int) -> None:
        kept = [spread(held, rows) for held in corpus.held]
        self.sizes = [len(part) for part in kept]
        self.tokens, self.targets = pair(np.concatenate(kept))
        self.per_byte = np.array([tokens_per_byte(corpus, k) for k in range(len(kept))])

    @property
    def count(self) -> int:
        """Number of tokens that are predicted in one evaluation."""
        return self.targets.numel()

    def __call__(self, model: nn.Module) -> Array:
        """Return the mean loss of each domain, (K,), and leave the model in the mode it was in."""
        mode = model.training
        model.eval()
        device = next(model.parameters()).device
        with torch.no_grad():
            pairs = zip(
                torch.split(self.tokens, CHUNK), torch.split(self.targets, CHUNK), strict=True
            )
            losses = [row_losses(model, x.to(device), y.to(device)).cpu() for x, y in pairs]
        model.train(mode)
        means = [float(part.mean()) for part in torch.split(torch.cat(losses), self.sizes)]
        found: Array = np.array(means) * self.per_byte
        return found


def row_losses(model: nn.Module, tokens: Tensor, targets: Tensor) -> Tensor:
    """Return the mean loss of each row, (B,); a model may return logits or hold them."""
    said: Any = model(tokens)
    logits: Tensor = getattr(said, "logits", said)
    losses = functional.cross_entropy(
        logits.flatten(0, 1).float(), targets.flatten(), reduction="none"
    )
    return losses.view(targets.shape).mean(1)


def spread(held: Any, rows: int) -> Any:
    """Return at most so many rows, evenly spaced."""
    return held[np.linspace(0, len(held) - 1, min(rows, len(held))).astype(np.int64)]


def tokens_per_byte(corpus: Corpus, domain: int) -> float:
    """Return how many tokens stand for a byte of a domain; bytes stand for themselves."""
    held = corpus.held[domain]
    if held.dtype == np.uint8:
        return 1.0
    return float(len(held) * (held.shape[1] - 1) / corpus.entries[domain].held_bytes)
