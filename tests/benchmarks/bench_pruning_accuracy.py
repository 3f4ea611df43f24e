"""Accuracy of six ways to share a budget of weights, at equal kept weights and equal finetuning.

    python tests/benchmarks/bench_pruning_accuracy.py digits resnet
    python tests/benchmarks/bench_pruning_accuracy.py digits vit
    python tests/benchmarks/bench_pruning_accuracy.py cifar10 resnet   # hours on a CPU
    python tests/benchmarks/bench_pruning_accuracy.py cifar10 vit      # hours on a CPU
    python tests/benchmarks/bench_pruning_accuracy.py cifar10 vit --small --images 3000 \
        --held-out 0.333 --epochs 20 --finetune 1 --calibration 128 --points 8   # minutes

Prints Markdown tables: held-out accuracy in percent, mean and standard error over seeds, in one
shot (before and after finetuning) and in rounds. The same repair and the same finetuning follow
every method; nothing is chosen by the held-out samples.
"""

import argparse
import time
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from multiprocessing import get_context

import numpy as np
from bench_pruning_models import METHODS, Setting, accuracy, finetune, look, prune, quiet, train

from automl_pruning.pruner import restore, snapshot

DENSITIES = (0.2, 0.1, 0.05, 0.02)
ROUNDS = (0.45, 0.2, 0.1, 0.05, 0.02)  # no round removes much more than half of what is left
SETTINGS = {
    ("digits", "resnet"): Setting("digits", "resnet", 20, 2, 0.3, 128, 12),
    ("digits", "vit"): Setting("digits", "vit", 30, 2, 0.3, 128, 12),
    ("cifar10", "resnet"): Setting("cifar10", "resnet", 60, 4, 0.3, 512, 24),
    ("cifar10", "vit"): Setting("cifar10", "vit", 100, 4, 0.3, 512, 24),
}


def one_seed(setting, seed, methods, rounds):
    """Measure every method on one dense model; return accuracies, and seconds of CPU."""
    quiet()
    start, results = time.process_time(), defaultdict(list)
    model, data, inputs, held_out = train(setting, seed)
    results["dense", 1.0, "-"].append(accuracy(model, held_out))
    state = snapshot(model)
    for method in methods:
        restore(model, state)
        first = look(model, inputs, method, setting.points)
        for density in DENSITIES:
            restore(model, state)
            if density < first.feasible(density):
                continue
            masks = prune(model, first, density)
            results["one shot, repaired", density, method].append(accuracy(model, held_out))
            finetune(model, data, masks, setting, seed)
            results["one shot, finetuned", density, method].append(accuracy(model, held_out))
        restore(model, state)
        for number, density in enumerate(rounds):
            now = first if number == 0 else look(model, inputs, method, setting.points)
            if density < now.feasible(density):
                continue
            masks = prune(model, now, density)
            finetune(model, data, masks, setting, seed)
            results["in rounds, finetuned", density, method].append(accuracy(model, held_out))
    return dict(results), time.process_time() - start


def cell(values, best):
    mean, error = 100 * np.mean(values), standard_error(values)
    return f"**{mean:.1f} ± {error:.1f}**" if best else f"{mean:.1f} ± {error:.1f}"


def standard_error(values):
    return 100 * np.std(values, ddof=1) / len(values) ** 0.5 if len(values) > 1 else np.nan


def table(results, methods):
    """Return Markdown; bold: the best of a row, and what is within one standard error of it."""
    lines = ["| | sparsity | " + " | ".join(methods) + " |", "|---" * (len(methods) + 2) + "|"]
    rows = sorted({key[:2] for key in results if key[0] != "dense"}, key=lambda r: (r[0], -r[1]))
    for kind, density in rows:
        found = {m: results[kind, density, m] for m in methods if results[kind, density, m]}
        top = max(found, key=lambda m: np.mean(found[m]))
        limit = 100 * np.mean(found[top]) - standard_error(found[top])
        cells = [
            cell(found[m], 100 * np.mean(found[m]) >= limit) if m in found else "-" for m in methods
        ]
        lines.append(f"| {kind} | {1 - density:.0%} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def read_arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("data", choices=("digits", "cifar10"))
    parser.add_argument("model", choices=("resnet", "vit"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--processes", type=int, default=1, help="seeds at a time")
    parser.add_argument("--one-shot", action="store_true", help="leave out the rounds")
    parser.add_argument("--small", action="store_true", help="a network of 20 or 95 thousand")
    parser.add_argument("--held-out", type=float, help="share of the images to measure with")
    for name in ("images", "epochs", "finetune", "calibration", "points"):
        parser.add_argument(f"--{name}", type=int)
    return parser.parse_args()


def setting_of(given):
    names = ("images", "held_out", "epochs", "finetune", "calibration", "points")
    asked = {name: value for name in names if (value := getattr(given, name)) is not None}
    asked["size"] = "small" if given.small else "full"
    return replace(SETTINGS[given.data, given.model], **asked)


def main():
    given = read_arguments()
    setting, results, seconds = setting_of(given), defaultdict(list), 0.0
    rounds = () if given.one_shot else ROUNDS
    with ProcessPoolExecutor(given.processes, get_context("spawn")) as pool:
        jobs = [pool.submit(one_seed, setting, n, METHODS, rounds) for n in range(given.seeds)]
        for count, job in enumerate(as_completed(jobs), 1):
            found, spent = job.result()
            seconds += spent
            for key, values in found.items():
                results[key].extend(values)
            dense = cell(results["dense", 1.0, "-"], best=False)
            print(f"{given.data} {given.model}, {count} seeds, dense {dense}", end=", ")
            print(f"{seconds:.0f} s of CPU\n")
            print(table(results, METHODS), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
