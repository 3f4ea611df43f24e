"""How long the knapsack takes, for every budget at once.

    python tests/benchmarks/bench_pruning_knapsack.py

Prints a Markdown table: seconds of CPU, the least of three, and, where it ends within a minute, the
same recursion written plainly for one budget.
"""

import time

import numpy as np

from automl_pruning import chain, knapsack


def case(layers, ratios, budget):
    rng = np.random.default_rng(0)
    distortions = [np.sort(rng.exponential(size=ratios))[::-1] for _ in range(layers)]
    sizes = rng.dirichlet(np.ones(layers)) * budget * 2
    return distortions, [np.floor(np.linspace(0, size, ratios)).astype(int) for size in sizes]


def seconds(run, times=3):
    found = []
    for _ in range(times):
        start = time.process_time()
        run()
        found.append(time.process_time() - start)
    return min(found)


def plain(distortions, costs, budget):
    values = [0.0] * (budget + 1)
    for loss, cost in zip(distortions, costs, strict=True):
        options = list(zip(loss.tolist(), cost.tolist(), strict=True))
        values = [min(d + values[b - c] for d, c in options if c <= b) for b in range(budget + 1)]
    return values[budget]


def main():
    print("| layers | options | budgets | all budgets | one budget, plainly | ratio |")
    print("|---|---|---|---|---|---|")
    for layers, budget in ((8, 10_000), (54, 10_000), (54, 100_000), (200, 10_000)):
        given = case(layers, 101, budget)
        ours = seconds(lambda given=given, budget=budget: knapsack.frontier(*given, limit=budget))
        row = f"| {layers} | 101 | {budget:,} | {ours:.3f} s |"
        if layers * budget > 600_000:
            print(row + " | |")
            continue
        theirs = seconds(lambda given=given, budget=budget: plain(*given, budget), times=1)
        print(row + f" {theirs:.2f} s | {theirs / ours:.0f} |")
    distortions, costs = case(54, 41, 2000)
    both = [np.stack([c, c[::-1]], axis=1) for c in costs]
    two = seconds(lambda: knapsack.frontier(distortions, both, limit=(256, 256)))
    print(f"\ntwo budgets, 54 layers, 41 options, 257 x 257 pairs: {two:.3f} s")
    rng = np.random.default_rng(1)
    widths = [rng.integers(0, 60, (1 if i == 0 else 24, 24)) for i in range(30)]
    path = seconds(lambda: chain.allocate([rng.random(24) for _ in range(30)], widths, 1500))
    print(f"chain of 30 layers, 24 widths, 1500 budgets: {path:.3f} s")


if __name__ == "__main__":
    main()
