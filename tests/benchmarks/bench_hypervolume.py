"""Time the hypervolume of `automl.pareto` against Optuna's, as a Markdown table.

Run `python tests/benchmarks/bench_hypervolume.py`. Optuna's is the function that its own plots and
samplers call, from a private module.
"""

import time
from collections.abc import Callable

import numpy as np
from optuna._hypervolume import compute_hypervolume

from automl import pareto

SIZES = ((2, 100), (2, 1000), (3, 100), (3, 500), (4, 50), (4, 200), (5, 100), (6, 100))
REPEATS = 3


def cloud(count: int, objectives: int) -> np.ndarray:
    """Points near a sphere, so that almost every one is on the front."""
    draw = np.abs(np.random.default_rng(0).normal(size=(count, objectives)))
    return 1 - draw / np.linalg.norm(draw, axis=1, keepdims=True)


def fastest(work: Callable[[], float]) -> tuple[float, float]:
    """Return the value and the seconds of the fastest of a few runs."""
    seconds, value = [], 0.0
    for _ in range(REPEATS):
        start = time.perf_counter()
        value = work()
        seconds.append(time.perf_counter() - start)
    return value, min(seconds)


def main() -> None:
    """Print the table."""
    print("| objectives | points | automl.pareto | Optuna | times faster | difference |")
    print("|--:|--:|--:|--:|--:|--:|")
    for objectives, count in SIZES:
        points, corner = cloud(count, objectives), np.full(objectives, 1.1)
        goals = ("minimize",) * objectives
        ours, quick = fastest(lambda p=points, c=corner, g=goals: pareto.hypervolume(p, c, g))
        theirs, slow = fastest(lambda p=points, c=corner: compute_hypervolume(p, c))
        print(
            f"| {objectives} | {count} | {quick * 1e3:.2f} ms | {slow * 1e3:.1f} ms "
            f"| {slow / quick:.0f} | {abs(ours - theirs) / theirs:.0e} |"
        )


if __name__ == "__main__":
    main()
