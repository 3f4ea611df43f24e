"""Grow the split tree of a study, by score, at random or exhaustively."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from automl import PluginError
from automl_nas.gradients import cosines
from automl_nas.paths import seed_of
from automl_nas.supernets import probe_supernet
from automl_nas.tree import Node, Path, candidate, chosen, divided, grown, leaves, undecided
from automl_nas.work import Work, file_of

SCORED = ("gradient_matching", "contribution")


def split_tree(work: Work) -> Node:
    """Cut the space as the criterion says; not at all for whole-space supernets."""
    root = Node(work.root)
    match work.options.criterion:
        case "ensemble" | "one_shot":
            return root
        case "exhaustive":
            edge = random_edge(work, root)
            return divided(root, edge, tuple((index,) for index in root.region.alive[edge]))
        case "random":
            return by_levels(work, root, split_at_random)
        case _:
            return by_levels(work, root, split_by_score)


def by_levels(work: Work, root: Node, split: Any) -> Node:
    """Cut all leaves that still can be, `depth` times."""
    for level in range(work.options.depth):
        ends = [one for one in leaves(root) if undecided(one.region, work.root)]
        root = grown(root, split(work, ends, level)) if ends else root
    return root


def random_edge(work: Work, leaf: Node) -> int:
    """Draw one of the edges that no split has touched."""
    rng = np.random.default_rng(seed_of(work.seed, "edge", leaf.path))
    return int(rng.choice(undecided(leaf.region, work.root)))


def split_at_random(work: Work, ends: Sequence[Node], level: int) -> dict[Path, Node]:
    """Cut random edges into random groups of near-even sizes."""
    del level
    return {one.path: random_split(work, one) for one in ends}


def random_split(work: Work, leaf: Node) -> Node:
    """Cut a random edge of a leaf."""
    edge = random_edge(work, leaf)
    rng = np.random.default_rng(seed_of(work.seed, "groups", leaf.path))
    order = rng.permutation(leaf.region.alive[edge])
    groups = np.array_split(order, min(work.options.groups, len(order)))
    return divided(leaf, edge, tuple(tuple(sorted(map(int, group))) for group in groups))


def split_by_score(work: Work, ends: Sequence[Node], level: int) -> dict[Path, Node]:
    """Train leaves a little, each from its parent's weights, and cut where scores disagree most.

    Weights are handed down between levels; the optimizer and its schedule start anew, unlike in
    the paper's code.
    """
    options = work.options
    budget = options.supernet_budget * options.warmup / options.depth / len(ends)
    tasks = [
        work.task(
            f"probe{one.path}",
            one.region,
            budget=budget,
            start=work.files[one.path[:-1]] if one.path else "",
        )
        for one in ends
    ]
    results = work.map(probe_supernet, tasks, f"level{level}")
    work.files |= {one.path: file_of(f"level{level}", i) for i, one in enumerate(ends)}
    pairs = zip(ends, results, strict=True)
    return {one.path: scored_split(work, one, result["grams"]) for one, result in pairs}


def scored_split(work: Work, leaf: Node, grams: Mapping[int, Any]) -> Node:
    """Cut a leaf where its scores disagree most, at random among cuts that are as good."""
    if not grams:
        raise PluginError("nas: contribution can score no edge of this space; split by another way")
    alive = leaf.region.alive
    seen = [
        candidate(edge, alive[edge], cosines(gram.numpy()), work.options.groups)
        for edge, gram in sorted(grams.items())
    ]
    best = chosen(seen)
    rng = np.random.default_rng(seed_of(work.seed, "tie", leaf.path))
    groups = best.tied[int(rng.integers(len(best.tied)))]
    return divided(leaf, best.edge, groups, seen)
