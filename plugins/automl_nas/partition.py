"""Cut the operations of an edge into balanced groups that are as dissimilar as can be.

The cut is that of Hu et al., Generalizing Few-Shot NAS with Gradient Matching (ICLR 2022): the
sum of similarities between operations of different groups is least. Group sizes differ by one at
most, so the sum and the mean across the cut have the same minimum.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Partition: TypeAlias = tuple[tuple[int, ...], ...]
Matrix: TypeAlias = NDArray[np.float64]
EXACT = 12  # operations; up to here every balanced partition is tried
STARTS = 32  # of the local search beyond


@dataclass(frozen=True, slots=True)
class Cut:
    """The best partition of an edge and how sure it is.

    Attributes:
        groups: operations by group.
        distance: one minus the mean similarity across the cut.
        se: standard error of `distance` over the batches; 0 for a single one.
        tied: partitions that are not worse by more than two standard errors, the best among them.
        tried: number of partitions that were compared.
    """

    groups: Partition
    distance: float
    se: float
    tied: tuple[Partition, ...]
    tried: int

    @property
    def informative(self) -> bool:
        """Whether the batches tell some partitions apart; an only partition is no choice."""
        return len(self.tied) < self.tried


def best_cut(similarity: Any, groups: int = 2) -> Partition:
    """Return the balanced partition with the least similarity across its groups.

    Args:
        similarity: (K, K) symmetric; the diagonal does not count.
        groups: number of groups, at most K; their sizes differ by one at most.

    Returns:
        The groups as sorted tuples of indices, ordered by their first. The first in the order of
        enumeration where several are equal. Up to 12 operations the optimum by enumeration, beyond
        the best of a local search by swaps.
    """
    matrix = checked(similarity, groups)
    count = len(matrix)
    if count <= EXACT:
        return min(balanced(tuple(range(count)), groups), key=lambda p: across(matrix, p))
    return searched(matrix, groups)


def best_of(similarities: Any, groups: int = 2) -> Cut:
    """Return the best cut of the mean similarity, with its noise over batches.

    Args:
        similarities: (M, K, K) similarity on each of M batches.
        groups: number of groups.
    """
    batches = np.asarray(similarities, dtype=np.float64)
    mean = checked(batches.mean(axis=0), groups)
    best = best_cut(mean, groups)
    count = len(mean)
    others = list(balanced(tuple(range(count)), groups)) if count <= EXACT else [best]
    values = mean_across(batches, best)
    tied = tuple(p for p in others if close(mean_across(batches, p) - values))
    return Cut(best, 1 - float(values.mean()), error(values), tied, len(others))


def checked(similarity: Any, groups: int) -> Matrix:
    """Return the similarity as symmetric float64 with an empty diagonal."""
    matrix = np.array(similarity, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not len(matrix):
        raise ValueError(f"a similarity must be a square matrix, got shape {matrix.shape}")
    if not 1 <= groups <= len(matrix):
        raise ValueError(f"groups must lie in 1…{len(matrix)} for {len(matrix)} operations")
    if not np.isfinite(matrix).all():
        raise ValueError("a similarity must be finite, got nan or infinity")
    np.fill_diagonal(matrix, 0)
    return (matrix + matrix.T) / 2


def across(matrix: Matrix, partition: Partition) -> float:
    """Return the sum of similarities between operations of different groups."""
    inside = sum(matrix[np.ix_(group, group)].sum() for group in partition)
    return float(matrix.sum() - inside) / 2


def mean_across(batches: Matrix, partition: Partition) -> Matrix:
    """Return for each batch the mean similarity between groups; (M,), 0 for a single group."""
    label = np.zeros(batches.shape[1], dtype=int)
    for index, group in enumerate(partition):
        label[list(group)] = index
    different = label[:, None] != label[None, :]
    if not different.any():
        return np.zeros(len(batches))
    means: Matrix = batches[:, different].mean(axis=1)
    return means


def error(values: Matrix) -> float:
    """Return the standard error of a mean; 0 for one value."""
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0


def close(excess: Matrix) -> bool:
    """Say whether an excess over the best is within two standard errors, from paired batches."""
    return float(excess.mean()) <= 2 * error(excess) + 1e-12


def sizes(count: int, groups: int) -> tuple[int, ...]:
    """Return near-even group sizes, larger first."""
    small, larger = divmod(count, groups)
    return (small + 1,) * larger + (small,) * (groups - larger)


def balanced(items: tuple[int, ...], groups: int) -> Iterator[Partition]:
    """Yield every partition into groups whose sizes differ by one at most, once each."""
    yield from parts(items, sizes(len(items), groups))


def parts(items: tuple[int, ...], left: tuple[int, ...]) -> Iterator[Partition]:
    """Yield partitions of `items` into groups of the sizes that are left.

    The first item's group is drawn first, in every size that is still to be had.
    """
    if not left:
        yield ()
        return
    first, rest = items[0], items[1:]
    for size in sorted(set(left), reverse=True):
        smaller = list(left)
        smaller.remove(size)
        for friends in combinations(rest, size - 1):
            others = tuple(item for item in rest if item not in friends)
            for tail in parts(others, tuple(smaller)):
                yield ((first, *friends), *tail)


def searched(matrix: Matrix, groups: int) -> Partition:
    """Return the best of local searches by swaps, from spectral and from random starts."""
    count = len(matrix)
    rng = np.random.default_rng(count)
    order = np.linalg.eigh(matrix)[1]
    starts = [np.argsort(order[:, -column - 1]) for column in range(min(3, count))]
    starts += [rng.permutation(count) for _ in range(STARTS)]
    found = [swapped(matrix, dealt(start, groups)) for start in starts]
    label = max(found, key=lambda chosen: within(matrix, chosen))
    members = [tuple(map(int, np.flatnonzero(label == group))) for group in range(groups)]
    return tuple(sorted(members))


def dealt(order: NDArray[np.intp], groups: int) -> NDArray[np.intp]:
    """Give consecutive operations of an order to the groups; returns the group of each."""
    label = np.empty(len(order), dtype=np.intp)
    label[order] = np.repeat(np.arange(groups), sizes(len(order), groups))
    return label


def within(matrix: Matrix, label: NDArray[np.intp]) -> float:
    """Return the sum of similarities inside groups; largest where the cut is least."""
    return float(matrix[label[:, None] == label[None, :]].sum())


def swapped(matrix: Matrix, label: NDArray[np.intp]) -> NDArray[np.intp]:
    """Swap the pair of operations that gains most until no swap gains."""
    label = label.copy()
    rows = np.arange(len(matrix))
    while True:
        member = np.eye(label.max() + 1)[label]
        pull = matrix @ member  # (K, groups): similarity of each operation to each group
        own = pull[rows, label]
        gain = pull[:, label] - own[:, None]
        gain = gain + gain.T - 2 * matrix
        gain[label[:, None] == label[None, :]] = 0
        i, j = np.unravel_index(int(gain.argmax()), gain.shape)
        if gain[i, j] <= 1e-12:
            return label
        label[i], label[j] = label[j], label[i]


def names_of(partition: Partition, operations: Sequence[str]) -> str:
    """Write a partition with the names of its operations."""
    return " | ".join(" ".join(operations[index] for index in group) for group in partition)
