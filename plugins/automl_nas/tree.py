"""The split tree: regions of a space that are cut on an edge at a time, as records."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np

from automl_nas.partition import Partition, best_of
from automl_nas.region import Region
from automl_nas.space import Architecture

Path: TypeAlias = tuple[int, ...]  # which child was taken at each split, from the root


@dataclass(frozen=True, slots=True)
class Candidate:
    """An edge that could be split, and what its scores say.

    Attributes:
        edge: index of the edge.
        groups: its best partition, as operations of the edge.
        distance: one minus the mean similarity across the cut.
        se: standard error of `distance` over batches.
        tied: partitions within two standard errors of the best, itself included.
        tried: number of partitions.
        similarity: (K, K) mean similarity of the operations.
    """

    edge: int
    groups: Partition
    distance: float
    se: float
    tied: tuple[Partition, ...]
    tried: int
    similarity: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class Node:
    """A region of the space and, unless it is a leaf, the edge and groups that cut it."""

    region: Region
    path: Path = ()
    edge: int | None = None
    groups: Partition = ()
    children: tuple["Node", ...] = ()
    candidates: tuple[Candidate, ...] = field(default=(), repr=False)


def undecided(region: Region, root: Region) -> list[int]:
    """Return the edges with more than one operation that no split has touched."""
    pairs = zip(region.alive, root.alive, strict=True)
    return [index for index, (own, whole) in enumerate(pairs) if own == whole and len(own) > 1]


def candidate(edge: int, alive: Sequence[int], similarities: Any, parts: int) -> Candidate:
    """Find the best cut of an edge from similarities on batches.

    Args:
        edge: index of the edge.
        alive: its operations.
        similarities: (M, K, K) of the operations, in their order.
        parts: number of groups; as many as there are operations at most.
    """
    batches = np.asarray(similarities)
    cut = best_of(batches, min(parts, len(alive)))
    rows = tuple(tuple(map(float, row)) for row in batches.mean(axis=0))
    tied = tuple(operations(alive, partition) for partition in cut.tied)
    groups = operations(alive, cut.groups)
    return Candidate(edge, groups, cut.distance, cut.se, tied, cut.tried, rows)


def operations(alive: Sequence[int], partition: Partition) -> Partition:
    """Return a partition of positions as one of the operations that stand there."""
    return tuple(tuple(alive[index] for index in group) for group in partition)


def chosen(candidates: Sequence[Candidate]) -> Candidate:
    """Return the candidate whose groups disagree most; the first edge of equals."""
    return max(candidates, key=lambda one: (one.distance, -one.edge))


def divided(node: Node, edge: int, groups: Partition, seen: Sequence[Candidate] = ()) -> Node:
    """Return a leaf with children, one for each group of an edge's operations."""
    if sorted(index for group in groups for index in group) != sorted(node.region.alive[edge]):
        raise ValueError(f"groups {groups} do not part operations {node.region.alive[edge]}")
    children = tuple(
        Node(node.region.restrict(edge, group), (*node.path, index))
        for index, group in enumerate(groups)
    )
    return replace(node, edge=edge, groups=groups, children=children, candidates=tuple(seen))


def grown(node: Node, splits: Mapping[Path, Node]) -> Node:
    """Return the tree in which leaves are replaced by the nodes that `splits` has for them."""
    if not node.children:
        return splits.get(node.path, node)
    return replace(node, children=tuple(grown(child, splits) for child in node.children))


def nodes(node: Node) -> Iterator[Node]:
    """Yield a tree's nodes, parents first."""
    yield node
    for child in node.children:
        yield from nodes(child)


def leaves(node: Node) -> tuple[Node, ...]:
    """Return the leaves from left to right; their regions part the space."""
    return tuple(one for one in nodes(node) if not one.children)


def leaf_of(root: Node, architecture: Architecture) -> int:
    """Return the index of the leaf whose region holds an architecture."""
    for index, leaf in enumerate(leaves(root)):
        if architecture in leaf.region:
            return index
    raise ValueError(f"architecture {architecture} is not in the space of this tree")


def to_json(node: Node) -> dict[str, Any]:
    """Return a tree as what `json` writes."""
    return {
        "alive": [list(alive) for alive in node.region.alive],
        "path": list(node.path),
        "edge": node.edge,
        "groups": [list(group) for group in node.groups],
        "children": [to_json(child) for child in node.children],
        "candidates": [
            {
                "edge": one.edge,
                "groups": [list(group) for group in one.groups],
                "distance": one.distance,
                "se": one.se,
                "tied": [[list(group) for group in partition] for partition in one.tied],
                "tried": one.tried,
                "similarity": [list(row) for row in one.similarity],
            }
            for one in node.candidates
        ],
    }


def from_json(data: Mapping[str, Any]) -> Node:
    """Return the tree that `to_json` wrote."""
    return Node(
        Region(tuples(data["alive"])),
        tuple(data["path"]),
        data["edge"],
        tuples(data["groups"]),
        tuple(from_json(child) for child in data["children"]),
        tuple(
            Candidate(
                **{
                    **one,
                    "groups": tuples(one["groups"]),
                    "tied": tuple(map(tuples, one["tied"])),
                    "similarity": tuples(one["similarity"]),
                }
            )
            for one in data["candidates"]
        ),
    )


def tuples(rows: Sequence[Sequence[Any]]) -> tuple[tuple[Any, ...], ...]:
    """Return nested lists as nested tuples."""
    return tuple(tuple(row) for row in rows)
