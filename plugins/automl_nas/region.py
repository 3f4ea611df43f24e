"""Parts of a space, and drawing from them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from automl_nas.space import Architecture, Space


@dataclass(frozen=True, slots=True)
class Region:
    """A part of a space: for each edge the indices of the operations that are left."""

    alive: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        if not all(self.alive):
            raise ValueError(f"every edge of a region needs an operation, got {self.alive}")

    @property
    def size(self) -> int:
        """The number of architectures."""
        return math.prod(map(len, self.alive))

    def __contains__(self, architecture: object) -> bool:
        if not isinstance(architecture, tuple) or len(architecture) != len(self.alive):
            return False
        pairs = zip(architecture, self.alive, strict=True)
        return all(index in alive for index, alive in pairs)

    def restrict(self, edge: int, group: Sequence[int]) -> "Region":
        """Return the part in which an edge has the operations of `group` only."""
        alive = (*self.alive[:edge], tuple(group), *self.alive[edge + 1 :])
        return Region(alive)

    def sample(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Draw architectures uniformly, with replacement.

        Returns:
            (count, E) int8 indices of operations.
        """
        columns = [rng.choice(alive, size=count) for alive in self.alive]
        return np.stack(columns, axis=1).astype(np.int8)

    def architectures(self) -> list[Architecture]:
        """List every architecture, the last edge fastest."""
        return list(product(*self.alive))


def whole(space: Space) -> Region:
    """Return the region that is all of a space."""
    return Region(tuple(tuple(range(len(edge.operations))) for edge in space.edges))
