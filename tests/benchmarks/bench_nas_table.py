"""Search on the table of NAS-Bench-201: promotion in rounds beside random search and TPE.

    python tests/benchmarks/bench_nas_table.py ../shared/data/nasbench201.parquet

Each search may look up 100 true accuracies on CIFAR-10; looking up a cell of the same canonical
form again is free for every method. Prints mean and standard deviation of the best over 20 seeds.
"""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import optuna
import pandas as pd

from automl_nas.estimate import one_hot
from automl_nas.promotion import Pool, Rounds, promote
from automl_nas.region import whole
from automl_nas.space import Cell

NAMES = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
LOOKUPS = 100
SEEDS = 20


class Table:
    """True accuracies, a published supernet's estimates, and canonical forms of all cells."""

    def __init__(self, path: Path) -> None:
        frame = pd.read_parquet(path)
        cells = frame[frame.columns[:6]].map(NAMES.index).to_numpy()
        self.space = Cell(operations=("none", "skip", "conv1", "conv3", "avg3"))
        self.row = {tuple(map(int, cell)): index for index, cell in enumerate(cells)}
        self.forms = [self.space.canonical(tuple(cell)) for cell in cells]
        self.truth = frame["cifar10"].to_numpy()
        self.plain = one_hot(self.space, [tuple(cell) for cell in cells])
        self.frame = frame


def rounds(table: Table, estimates: np.ndarray, seed: int) -> list[float]:
    """Return what promotion in rounds of 5 trains, after 10 at random."""
    pool = Pool(table.plain, estimates, np.zeros((len(table.truth), 0)), table.forms)
    how = Rounds(start=10, batch=5, total=LOOKUPS, random=0.1)
    rng = np.random.default_rng(seed)
    return list(promote(pool, lambda rows: table.truth[rows].tolist(), how, rng).values())


def first_of_each_form(table: Table, rows: Iterator[int]) -> list[float]:
    """Return the truth of the first 100 different cells of a stream of proposals."""
    seen: dict[str, float] = {}
    for row in rows:
        seen.setdefault(table.forms[row], float(table.truth[row]))
        if len(seen) == LOOKUPS:
            break
    return list(seen.values())


def random_rows(table: Table, seed: int) -> Iterator[int]:
    """Propose cells uniformly."""
    yield from np.random.default_rng(seed).permutation(len(table.truth))


def tpe_rows(table: Table, seed: int) -> Iterator[int]:
    """Propose cells with Optuna's multivariate TPE."""
    sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for _ in range(3 * LOOKUPS):
        trial = study.ask()
        cell = tuple(
            trial.suggest_categorical(edge.name, range(len(edge.operations)))
            for edge in table.space.edges
        )
        yield table.row[cell]
        study.tell(trial, float(table.truth[table.row[cell]]))


def main() -> None:
    """Print the best after 20, 50 and 100 lookups, by method."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    table = Table(Path(sys.argv[1]))
    assert whole(table.space).size == len(table.truth)
    nothing = np.zeros(len(table.truth))
    methods: dict[str, Callable[[int], list[float]]] = {
        "random": lambda seed: first_of_each_form(table, random_rows(table, seed)),
        "TPE, multivariate": lambda seed: first_of_each_form(table, tpe_rows(table, seed)),
        "rounds, operations alone": lambda seed: rounds(table, nothing, seed),
        "rounds, one-shot": lambda seed: rounds(table, table.frame["one_shot"].to_numpy(), seed),
        "rounds, few-shot": lambda seed: rounds(table, table.frame["few_shot"].to_numpy(), seed),
    }
    print(f"{'method':<26}{'20':>15}{'50':>15}{'100':>15}  optimum found")
    for name, method in methods.items():
        runs = [np.maximum.accumulate(method(seed)) for seed in range(SEEDS)]
        cells = [[run[min(n, len(run)) - 1] for run in runs] for n in (20, 50, 100)]
        text = "".join(f"{np.mean(c):>9.2f} ±{np.std(c, ddof=1):.2f}" for c in cells)
        print(f"{name:<26}{text}  {np.mean(np.equal(cells[-1], table.truth.max())):.0%}")


if __name__ == "__main__":
    main()
