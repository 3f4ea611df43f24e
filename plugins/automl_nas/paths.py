"""Which architecture a supernet runs at each step: drawn in advance, the same after a resume."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from automl_nas.region import Region
from automl_nas.space import Architecture

Sampler: TypeAlias = Literal["uniform", "fair"]
BLOCK = 1024  # steps that are drawn at a time


def seed_of(*parts: Any) -> int:
    """Return a seed that depends on the names of a role alone, so that roles do not disturb."""
    text = "/".join(map(str, parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")


def fair_column(alive: Sequence[int], count: int, rng: np.random.Generator) -> NDArray[np.int8]:
    """Draw operations so that each runs once in every `len(alive)` steps, in random order."""
    rounds = -(-count // len(alive))
    drawn = np.concatenate([rng.permutation(alive) for _ in range(rounds)])
    return drawn[:count].astype(np.int8)


def drawn(region: Region, sampler: Sampler, seed: int, block: int) -> NDArray[np.int8]:
    """Draw the architectures of one block of steps: (BLOCK, E)."""
    rng = np.random.default_rng([seed, block])
    if sampler == "uniform":
        return region.sample(rng, BLOCK)
    return np.stack([fair_column(alive, BLOCK, rng) for alive in region.alive], axis=1)


@dataclass
class Paths:
    """The architecture of every step of a supernet's training.

    Attributes:
        region: from which they are drawn.
        sampler: `uniform`, or `fair`: each operation of an edge equally often.
        seed: the same seed gives the same paths.
    """

    region: Region
    sampler: Sampler
    seed: int
    held: tuple[int, NDArray[np.int8]] | None = field(default=None, repr=False)

    def __getitem__(self, step: int) -> Architecture:
        block, row = divmod(step, BLOCK)
        if self.held is None or self.held[0] != block:
            self.held = block, drawn(self.region, self.sampler, self.seed, block)
        return tuple(map(int, self.held[1][row]))
