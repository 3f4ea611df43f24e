"""Rank 256 chains on digits by supernets of equal cost, against the truth of training them all.

    python tests/benchmarks/bench_nas_digits.py FOLDER [--seeds 5] [--truths 2]

The space is `Chain()`; 800 images train weights, 400 give estimates, 597 tell the truth. The truth
of an architecture is its mean held-out loss over stand-alone trainings of 150 steps. T is 600 steps
of a supernet; every arm says its cost in T, warm-ups of splits included, the passes that score
edges not. Architectures of one canonical form have one truth. The one-shot supernet is the first
member of the ensemble of its seed, and the ensemble of 8 that of two seeds together: its standard
error is too small. Results are kept in FOLDER, and kept ones are not made again.
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional

from automl_nas.backbone import build, stand_alone, supernet
from automl_nas.choices import choose
from automl_nas.estimate import calibrated, fitted, ranks
from automl_nas.features import features
from automl_nas.gradients import Probe, contribution_grams, cosines, gradient_grams
from automl_nas.norms import statistics
from automl_nas.partition import best_cut
from automl_nas.paths import Paths, seed_of
from automl_nas.ranking import kendall_tau, ranking
from automl_nas.region import Region, whole
from automl_nas.space import Chain, named
from automl_nas.tree import (
    Node,
    candidate,
    chosen,
    divided,
    grown,
    leaf_of,
    leaves,
    undecided,
)

STEPS, T, BATCH, BATCHES = 150, 600, 64, 24
SPACE = Chain()
ALL = whole(SPACE).architectures()
ROOT = whole(SPACE)
FORMS = [SPACE.canonical(one) for one in ALL]
FIRST = dict(reversed(list(zip(FORMS, ALL, strict=True))))
PLACE = {form: index for index, form in enumerate(FIRST)}
LABEL = np.array([PLACE[form] for form in FORMS])
DRAWS = 40  # random samples of trainings that calibrate


@dataclass(frozen=True, slots=True)
class Data:
    """Images and classes of the three parts."""

    weights: tuple[Tensor, Tensor]
    score: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]


def digits() -> Data:
    """Part the digits by a fixed permutation."""
    raw = load_digits()
    order = np.random.default_rng(0).permutation(len(raw.target))
    images = torch.tensor(raw.images[order], dtype=torch.float32)[:, None] / 16
    labels = torch.tensor(raw.target[order])
    cut = [slice(0, 800), slice(800, 1200), slice(1200, None)]
    return Data(*((images[part], labels[part]) for part in cut))


def loss_of(network: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Return the cross-entropy."""
    return functional.cross_entropy(network(batch[0]), batch[1])


def batches(data: Data, seed: int) -> Callable[[], tuple[Tensor, Tensor]]:
    """Return a source of random training batches."""
    generator = torch.Generator().manual_seed(seed)
    images, labels = data.weights

    def draw() -> tuple[Tensor, Tensor]:
        rows = torch.randint(len(labels), (BATCH,), generator=generator)
        return images[rows], labels[rows]

    return draw


def train(network: nn.Module, data: Data, steps: int, seed: int, region: Region | None) -> None:
    """Train by SGD with Nesterov momentum and a cosine; with a region, on its random paths."""
    optimizer = torch.optim.SGD(
        network.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    draw = batches(data, seed)
    paths = Paths(region, "uniform", seed) if region else None
    network.train()
    for step in range(steps):
        if paths is not None:
            choose(network, named(SPACE, paths[step]))
        optimizer.zero_grad(set_to_none=True)
        loss_of(network, draw()).backward()
        optimizer.step()
        schedule.step()


def truth(data: Data, seed: int) -> dict[str, list[float]]:
    """Train an architecture of every form by itself: held-out loss and accuracy."""
    found: dict[str, list[float]] = {"loss": [], "accuracy": []}
    for number, architecture in enumerate(FIRST.values()):
        torch.manual_seed(seed_of("truth", seed, number) % 2**63)
        network = stand_alone(SPACE, architecture)
        train(network, data, STEPS, seed_of("data", seed, number) % 2**31, None)
        with torch.no_grad():
            out = network.eval()(data.test[0])
        found["loss"].append(float(functional.cross_entropy(out, data.test[1])))
        found["accuracy"].append(float((out.argmax(1) == data.test[1]).float().mean()))
    return found


def fresh(seed: int) -> nn.Module:
    """Return a supernet with new weights."""
    torch.manual_seed(seed % 2**63)
    return supernet(build(SPACE))


def leaf_scores(data: Data, region: Region, steps: int, seed: int) -> np.ndarray:
    """Train a supernet of a region; minus its loss on the score part for each architecture."""
    network = fresh(seed)
    train(network, data, steps, seed % 2**31, region)
    found = np.full(len(ALL), np.nan)
    network.eval()
    with torch.no_grad():
        for number, architecture in enumerate(ALL):
            if architecture in region:
                choose(network, named(SPACE, architecture))
                with statistics(network):
                    network(data.weights[0][:256])
                found[number] = -float(loss_of(network, data.score))
    return found


def tree_scores(data: Data, tree: Node, steps: int, seed: int) -> dict[str, Any]:
    """Score every architecture in its home leaf."""
    parts = [
        leaf_scores(data, leaf.region, steps, seed_of(seed, "leaf", leaf.path))
        for leaf in leaves(tree)
    ]
    home = [leaf_of(tree, one) for one in ALL]
    return {"scores": np.nanmean(parts, axis=0).tolist(), "home": home}


def whole_space(data: Data, members: int, steps: int, seed: int) -> dict[str, Any]:
    """Score by the mean over supernets of the whole space."""
    parts = [leaf_scores(data, ROOT, steps, seed_of(seed, "member", m)) for m in range(members)]
    mean = np.mean(parts, axis=0).tolist()
    return {"scores": mean, "home": [0] * len(ALL), "first": parts[0].tolist()}


def random_tree(seed: int) -> Node:
    """Cut a random edge of each node into random halves, twice."""
    rng = np.random.default_rng(seed)
    root = Node(ROOT)
    for _ in range(2):
        splits = {}
        for leaf in leaves(root):
            edge = int(rng.choice(undecided(leaf.region, ROOT)))
            order = rng.permutation(leaf.region.alive[edge]).tolist()
            splits[leaf.path] = divided(leaf, edge, (tuple(order[:2]), tuple(order[2:])))
        root = grown(root, splits)
    return root


def exhaustive_tree(seed: int) -> Node:
    """Give every operation of a random edge a leaf of its own."""
    edge = int(np.random.default_rng(seed).integers(len(ROOT.alive)))
    return divided(Node(ROOT), edge, tuple((index,) for index in ROOT.alive[edge]))


def scored_tree(data: Data, kind: str, seed: int) -> Node:
    """Cut where operations conflict, after a warm-up of T/2 for the root and T/4 for each child."""
    root, networks = Node(ROOT), {(): fresh(seed_of(seed, "warm"))}
    for level in range(2):
        splits = {}
        for leaf in leaves(root):
            parent = networks[leaf.path[:-1]].state_dict()
            network = fresh(0)
            network.load_state_dict(parent)
            train(network, data, T // 2 // 2**level, seed_of(seed, leaf.path) % 2**31, leaf.region)
            networks[leaf.path] = network
            draw = batches(data, seed_of(seed, "probe", leaf.path) % 2**31)
            some = [draw() for _ in range(BATCHES)]
            probe = Probe(network, SPACE, some, lambda b, n=network: loss_of(n, b), seed)
            splits[leaf.path] = cut(probe, leaf, kind)
        root = grown(root, splits)
    return root


def cut(probe: Probe, leaf: Node, kind: str) -> Node:
    """Cut one leaf by gradient matching, its opposite, or contributions."""
    edges = undecided(leaf.region, ROOT)
    if kind == "contribution":
        found = contribution_grams(probe, leaf.region)
        similar = {edge: cosines(found[edge]) for edge in edges}
    else:
        similar = {edge: cosines(gradient_grams(probe, leaf.region, edge)) for edge in edges}
    seen = [candidate(edge, leaf.region.alive[edge], similar[edge], 2) for edge in edges]
    if kind != "anti":
        best = chosen(seen)
        return divided(leaf, best.edge, best.groups)
    worst = min(seen, key=lambda one: one.distance)
    groups = best_cut(-similar[worst.edge].mean(axis=0))
    return divided(leaf, worst.edge, groups)


ARMS: dict[str, tuple[float, Callable[[Data, int], dict[str, Any]]]] = {
    "one-shot, longer": (4, lambda d, s: whole_space(d, 1, 4 * T, s)),
    "ensemble of 4": (4, lambda d, s: whole_space(d, 4, T, s)),
    "exhaustive split": (4, lambda d, s: tree_scores(d, exhaustive_tree(s), T, s)),
    "random splits": (4, lambda d, s: tree_scores(d, random_tree(s), T, s)),
    "gradient matching": (
        4,
        lambda d, s: tree_scores(d, scored_tree(d, "gradient", s), 3 * T // 4, s),
    ),
    "contribution": (
        4,
        lambda d, s: tree_scores(d, scored_tree(d, "contribution", s), 3 * T // 4, s),
    ),
    "anti gradient matching": (
        4,
        lambda d, s: tree_scores(d, scored_tree(d, "anti", s), 3 * T // 4, s),
    ),
}


COST = {name: cost for name, (cost, _) in ARMS.items()} | {"one-shot": 1, "ensemble of 8": 8}


def kept(path: Path, make: Callable[[], Any]) -> Any:
    """Read a result, or make and keep it."""
    if not path.exists():
        began = time.process_time()
        result = make()
        path.write_text(json.dumps({"result": result, "seconds": time.process_time() - began}))
    return json.loads(path.read_text())


def first_rows() -> list[int]:
    """Return one row of each form."""
    return [int(np.flatnonzero(index == LABEL)[0]) for index in range(len(FIRST))]


def by_form(scores: np.ndarray) -> np.ndarray:
    """Average the estimates of architectures that compute the same functions."""
    means = np.bincount(LABEL, scores) / np.bincount(LABEL)
    return means[LABEL]


@dataclass(frozen=True, slots=True)
class Truths:
    """Minus the loss and the accuracy of every architecture in each stand-alone training."""

    quality: np.ndarray
    accuracy: np.ndarray


def facts(one: dict[str, Any], truths: Truths, seed: int) -> dict[str, float]:
    """Return what is printed of one arm and seed."""
    result = one["result"]
    scores, home = np.array(result["scores"]), np.array(result["home"])
    mean = truths.quality.mean(axis=0)
    all_of = ranking(scores, mean)
    inside = [kendall_tau(scores[home == i], mean[home == i]) for i in set(result["home"])]
    accuracy = truths.accuracy.mean(axis=0)
    return {
        "tau": all_of.tau,
        "top": all_of.tau_top,
        "inside": float(np.mean(inside)),
        "regret": 100 * float(accuracy.max() - accuracy[scores.argmax()]),
        "forms": kendall_tau(by_form(scores), mean),
        "16 trained": with_trained(scores, home, truths, 16, seed),
        "seconds": one["seconds"],
    }


def with_trained(
    scores: np.ndarray | None, home: np.ndarray, truths: Truths, count: int, seed: int
) -> float:
    """Return tau on the rest after a calibration on single trainings of some architectures."""
    tree_columns = np.eye(home.max() + 1)[home] if home.max() else np.zeros((len(ALL), 0))
    plain = np.concatenate([features(SPACE, Node(ROOT), ALL), tree_columns], axis=1)
    mean, found = truths.quality.mean(axis=0), []
    for draw in range(DRAWS):
        rng = np.random.default_rng([seed, draw])
        some = rng.choice(len(ALL), count, replace=False)
        rest = np.setdiff1d(np.arange(len(ALL)), some)
        y = truths.quality[draw % len(truths.quality)][some]
        if scores is None:
            guess = fitted(plain[some], ranks(y)).predict(plain[rest])
        else:
            merged = by_form(scores)
            guess = calibrated(plain[some], merged[some], y).predict(plain[rest], merged[rest])
        found.append(kendall_tau(guess, mean[rest]))
    return float(np.mean(found))


def main() -> None:
    """Print the table of arms."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--truths", type=int, default=2)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    data = digits()
    raw = [
        kept(given.folder / f"truth{s}.json", lambda s=s: truth(data, s))
        for s in range(given.truths)
    ]
    truths = Truths(
        -np.array([one["result"]["loss"] for one in raw])[:, LABEL],
        np.array([one["result"]["accuracy"] for one in raw])[:, LABEL],
    )
    results: dict[str, list[Any]] = {name: [] for name in ARMS}
    for seed in range(given.seeds):
        for name, (_, arm) in ARMS.items():
            path = given.folder / f"{name.replace(' ', '_').replace(',', '')}{seed}.json"
            results[name].append(kept(path, lambda a=arm, s=seed: a(data, s)))
    results |= derived(results["ensemble of 4"])
    show(
        {name: [facts(*one) for one in listed(found, truths)] for name, found in results.items()},
        truths,
    )


def listed(found: list[Any], truths: Truths) -> list[tuple[Any, Truths, int]]:
    """Return the arguments of `facts` for each seed."""
    return [(one, truths, seed) for seed, one in enumerate(found)]


def derived(ensembles: list[Any]) -> dict[str, list[Any]]:
    """Return the arms that are parts, or pairs, of ensembles of 4."""
    singles = [
        {
            "result": {**one["result"], "scores": one["result"]["first"]},
            "seconds": one["seconds"] / 4,
        }
        for one in ensembles
    ]
    pairs = zip(ensembles, ensembles[1:] + ensembles[:1], strict=True)
    doubles = [
        {
            "result": {
                **one["result"],
                "scores": np.mean([one["result"]["scores"], two["result"]["scores"]], 0).tolist(),
            },
            "seconds": one["seconds"] + two["seconds"],
        }
        for one, two in pairs
    ]
    return {"one-shot": singles, "ensemble of 8": doubles}


def show(rows: dict[str, list[dict[str, float]]], truths: Truths) -> None:
    """Print mean ± standard error over seeds, and paired differences from gradient matching."""
    accuracy = 100 * truths.accuracy.mean(axis=0)
    print("held-out accuracy, quartiles:", np.percentile(accuracy, [0, 25, 50, 75, 100]).round(1))
    if len(truths.quality) > 1:
        print(
            "tau between two trainings of all:",
            round(kendall_tau(*(one[first_rows()] for one in truths.quality[:2])), 3),
        )
    columns = ("tau", "top", "inside", "regret", "forms", "16 trained", "seconds")
    print(f"{'arm':<24}{'T':>3}" + "".join(f"{name:>16}" for name in columns))
    for name, found in rows.items():
        cells = [np.array([one[column] for one in found]) for column in columns]
        text = "".join(f"{c.mean():>9.3f} ±{error(c):.3f}" for c in cells)
        print(f"{name:<24}{COST[name]:>3}{text}")
    for count in (16, 32):
        values = [with_trained(None, np.zeros(len(ALL), int), truths, count, s) for s in range(5)]
        print(f"{count} trained, operations alone ({count * STEPS / T:g} T): {np.mean(values):.3f}")
    print("\npaired differences of tau from gradient matching:")
    own = np.array([one["tau"] for one in rows["gradient matching"]])
    for name, found in rows.items():
        other = own - np.array([one["tau"] for one in found])
        print(f"{name:<24}{other.mean():>8.3f} ±{error(other):.3f}  {np.round(other, 3)}")


def error(values: np.ndarray) -> float:
    """Return the standard error of a mean."""
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0


if __name__ == "__main__":
    main()
