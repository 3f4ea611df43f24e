"""A small vision transformer.

Source: Dosovitskiy et al., An Image is Worth 16x16 Words: Transformers for Image Recognition at
Scale, 2021, section 3.1. The mean of all patches is classified, not a token of its own.
"""

import torch
from torch import Tensor, nn

from automl.zoo.descent import Descent, OptimizerName, ScheduleName
from automl.zoo.predictor import Predictor, blank, positive


class ViT(Predictor):
    """Patches with learned positions, transformer blocks, the mean and a linear map.

    Args:
        width: of a patch's vector; a multiple of `heads`.
        depth: number of blocks.
        heads: of each attention.
        patch: pixels of a patch's side; a divisor of `size`.
        lr: peak learning rate.
        optimizer: `sgd`, `adam` or `adamw`.
        momentum: of sgd.
        weight_decay: of kernels and matrices.
        schedule: of the learning rate: `constant` or `cosine`.
        warmup: fraction of training in which the learning rate rises.
        classes: number of classes.
        channels: of the images.
        size: pixels of an image's side.
    """

    def __init__(  # noqa: PLR0913 - a study reaches each setting by its name
        self,
        *,
        width: int = 64,
        depth: int = 4,
        heads: int = 4,
        patch: int = 4,
        lr: float = 1e-3,
        optimizer: OptimizerName = "adamw",
        momentum: float = 0.9,
        weight_decay: float = 0.05,
        schedule: ScheduleName = "cosine",
        warmup: float = 0.1,
        classes: int = 10,
        channels: int = 3,
        size: int = 32,
    ) -> None:
        positive(width=width, depth=depth, heads=heads, patch=patch, size=size)
        if width % heads:
            raise ValueError(f"width must be a multiple of heads, got {width} and {heads}")
        if size % patch:
            raise ValueError(f"size must be a multiple of patch, got {size} and {patch}")
        network = nn.Sequential(
            Patches(channels, width, size=size, patch=patch),
            *(EncoderBlock(width, heads) for _ in range(depth)),
            nn.LayerNorm(width),
            PatchMean(),
            nn.Linear(width, classes),
        )
        descent = Descent(lr, optimizer, momentum, weight_decay, schedule, warmup)
        super().__init__(network, descent, blank(channels, size, size))
        self.save_hyperparameters()


class Patches(nn.Module):
    """Cut images into patches, and map each to a vector that knows its position."""

    def __init__(self, channels: int, width: int, *, size: int, patch: int) -> None:
        super().__init__()
        self.embed = nn.Conv2d(channels, width, patch, stride=patch)
        self.position = nn.Parameter(0.02 * torch.randn((size // patch) ** 2, width))

    def forward(self, images: Tensor) -> Tensor:
        """Take (N, C, H, W) images to (N, T, D) vectors of T patches."""
        vectors: Tensor = self.embed(images)
        return vectors.flatten(2).transpose(1, 2) + self.position


class SelfAttention(nn.Module):
    """Self-attention of every patch to every patch."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query_key_value = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Take (N, T, D) to (N, T, D)."""
        parts = self.query_key_value(x).unflatten(2, (3, self.heads, -1))  # (N, T, 3, heads, d)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(query, key, value)
        joined: Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return joined


class EncoderBlock(nn.Module):
    """Attention and a perceptron, each normalized before and added to what it read."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention = nn.Sequential(nn.LayerNorm(width), SelfAttention(width, heads))
        self.perceptron = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, 4 * width),
            nn.GELU(),
            nn.Linear(4 * width, width),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Take (N, T, D) to (N, T, D)."""
        x = x + self.attention(x)
        added: Tensor = x + self.perceptron(x)
        return added


class PatchMean(nn.Module):
    """The mean vector of all patches."""

    def forward(self, x: Tensor) -> Tensor:
        """Take (N, T, D) to (N, D)."""
        return x.mean(dim=1)
