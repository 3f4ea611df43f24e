"""A byte-level GPT small enough for a CPU, and a text to train it on that needs no download."""

import math
from itertools import pairwise
from pathlib import Path
from pydoc_data import topics
from typing import Any, cast

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader, TensorDataset

BYTES = 256  # every text is a sequence of these, whatever its language


class Attention(nn.Module):
    """Causal self-attention with several heads."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.inward = nn.Linear(width, 3 * width, bias=False)
        self.outward = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Let each place look at itself and what is before it; (B, C, D) to (B, C, D)."""
        batch, context, width = x.shape
        split = self.inward(x).view(batch, context, 3, self.heads, width // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        return cast("Tensor", self.outward(mixed.transpose(1, 2).reshape(batch, context, width)))


class Block(nn.Module):
    """Attention, then a perceptron of four times the width, each beside a residual path."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.before_attention = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.before_perceptron = nn.LayerNorm(width)
        self.perceptron = nn.Sequential(
            nn.Linear(width, 4 * width, bias=False),
            nn.GELU(),
            nn.Linear(4 * width, width, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Transform (B, C, D) to (B, C, D)."""
        x = x + self.attention(self.before_attention(x))
        return cast("Tensor", x + self.perceptron(self.before_perceptron(x)))


class TinyGPT(pl.LightningModule):
    """A decoder-only Transformer over tokens, bytes by default; 119 thousand parameters as it is.

    A batch is a pair: tokens and, one place further on, the tokens to be predicted.

    Args:
        width: of the residual stream.
        layers: number of blocks.
        heads: of each attention; a divisor of the width.
        context: number of tokens that it can look back on.
        vocabulary: number of different tokens.
        lr: peak learning rate.
        warmup: steps over which the learning rate rises to its peak.
        floor: fraction of the peak at which the cosine ends.
        weight_decay: of matrices; vectors are not decayed.
    """

    def __init__(  # noqa: PLR0913 - these are the settings of a study, each by name
        self,
        *,
        width: int = 64,
        layers: int = 2,
        heads: int = 4,
        context: int = 64,
        vocabulary: int = BYTES,
        lr: float = 1e-3,
        warmup: int = 10,
        floor: float = 0.1,
        weight_decay: float = 0.1,
    ) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width must be a multiple of heads, got {width} and {heads}")
        self.save_hyperparameters()
        self.lr, self.warmup, self.floor, self.weight_decay = lr, warmup, floor, weight_decay
        self.embedding = nn.Embedding(vocabulary, width)
        self.position = nn.Parameter(torch.zeros(context, width))
        self.blocks = nn.Sequential(*[Block(width, heads) for _ in range(layers)])
        self.norm = nn.LayerNorm(width)
        self.example_input_array = torch.zeros(1, context, dtype=torch.long)
        for parameter in self.parameters():
            if parameter.ndim > 1:
                nn.init.normal_(parameter, std=0.02)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the logits (B, C, V) of the token after each of `tokens` (B, C)."""
        x = self.embedding(tokens) + self.position[: tokens.shape[1]]
        # the embedding is also the output layer
        return cast("Tensor", self.norm(self.blocks(x)) @ self.embedding.weight.T)

    def loss(self, batch: Any) -> Tensor:
        """Return the mean negative log-likelihood of a batch, in nats a token."""
        tokens, targets = batch
        return functional.cross_entropy(self(tokens).flatten(0, 1), targets.flatten())

    def training_step(self, batch: Any, _index: int) -> Tensor:
        """Return the loss of a batch."""
        loss = self.loss(batch)
        self.log("train_loss", loss, batch_size=len(batch[0]))
        return loss

    def validation_step(self, batch: Any, _index: int) -> None:
        """Log the loss of a batch, in nats and in bits a token."""
        loss = self.loss(batch)
        self.log("val_loss", loss, prog_bar=True, batch_size=len(batch[0]))
        self.log("val_bits", loss / math.log(2), batch_size=len(batch[0]))

    def configure_optimizers(self) -> Any:
        """Use AdamW; the learning rate rises linearly and falls along a cosine."""
        decayed = [p for p in self.parameters() if p.ndim > 1]
        others = [p for p in self.parameters() if p.ndim <= 1]
        groups = [
            {"params": decayed, "weight_decay": self.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, lr=self.lr, betas=(0.9, 0.95))
        schedule = LambdaLR(optimizer, self.lr_fraction)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def lr_fraction(self, step: int) -> float:
        """Return the learning rate of a step as a fraction of its peak."""
        total = float(self.trainer.estimated_stepping_batches)
        rise = min(1.0, (step + 1) / max(1, self.warmup))
        if not math.isfinite(total):
            return rise
        progress = min(1.0, max(0, step - self.warmup) / max(1, total - self.warmup))
        cosine = (1 + math.cos(math.pi * progress)) / 2
        return rise * (self.floor + (1 - self.floor) * cosine)


class Text(pl.LightningDataModule):
    """Windows of a text file, or of the Python reference that comes with the interpreter.

    The last tenth of the text is for validation. A window overlaps the next by one byte, so that
    every byte but the first is predicted once an epoch.

    Args:
        path: a file of any encoding; the Python reference if none.
        context: number of bytes that are predicted in each window.
        batch_size: number of windows in a batch.
        limit: use only so many bytes of the text.
        seed: of the order of the windows.
    """

    def __init__(
        self,
        *,
        path: str | None = None,
        context: int = 64,
        batch_size: int = 32,
        limit: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.path, self.limit = path, limit
        self.context, self.batch_size, self.seed = context, batch_size, seed

    def setup(self, stage: str | None = None) -> None:  # noqa: ARG002 - Lightning's signature
        """Read the text and cut it into windows."""
        content, context = read(self.path)[: self.limit], self.context
        if len(content) < 20 * (context + 1):
            raise ValueError(
                f"text: {len(content)} bytes are too few for windows of {context}; "
                "give a longer text or a smaller context"
            )
        end = len(content) * 9 // 10
        self.training = windows(content[:end], context)
        self.validation = windows(content[end:], context)

    def train_dataloader(self) -> Any:
        """Return the training windows in a new order each epoch."""
        generator = torch.Generator().manual_seed(self.seed)
        return self._loader(self.training, shuffle=True, generator=generator)

    def val_dataloader(self) -> Any:
        """Return the validation windows in their order."""
        return self._loader(self.validation)

    def _loader(self, rows: Tensor, **options: Any) -> Any:
        pairs = TensorDataset(rows[:, :-1], rows[:, 1:])
        return DataLoader(pairs, batch_size=self.batch_size, **options)


def read(path: str | None) -> bytes:
    """Read a file, or the Python reference manual if none is named."""
    if path is not None:
        return Path(path).read_bytes()
    return "\n".join(topics.topics[name] for name in sorted(topics.topics)).encode()


def windows(content: bytes, context: int) -> Tensor:
    """Cut bytes into windows (N, context + 1); a rest that is too short is left out."""
    starts = range(0, len(content), context)
    rows = [content[a : b + 1] for a, b in pairwise(starts) if b < len(content)]
    return (
        torch.frombuffer(bytearray(b"".join(rows)), dtype=torch.uint8).view(-1, context + 1).long()
    )
