"""What a trial costs beyond its training: our engines beside what peers pay.

python tests/benchmarks/bench_overhead.py [--trials 200] [--inline 1000] [--fresh 5]
"""

import argparse
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import optuna

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import toys

import automl
from automl.optimizer import open_storage


def seconds(work):
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def study(engine, trials, sampler):
    """Run a study of jobs that do nothing and return the seconds for each."""
    with tempfile.TemporaryDirectory() as name:
        folder = toys.beside(Path(name))
        changes = {"engine": engine, "search": {"sampler": sampler}}
        first = toys.study(folder, **changes, budget={"trials": 1})
        automl.run(first, here=folder)  # starts the server that trials are forked from
        more = toys.study(folder, **changes, budget={"trials": trials + 1})
        return seconds(lambda: automl.run(more, here=folder)) / trials


def bare(trials, sampler):
    """Run `study.optimize` on the same storage settings and return the seconds for each trial."""
    with tempfile.TemporaryDirectory() as name:
        made = optuna.create_study(
            storage=open_storage(f"sqlite:///{name}/study.db"),
            directions=["minimize", "minimize"],
            sampler=sampler,
        )

        def objective(trial):
            x = trial.suggest_float("model.x", 0, 1)
            return abs(x - 0.3), abs(x - 0.7)

        return seconds(lambda: made.optimize(objective, n_trials=trials)) / trials


def fresh(count):
    """Return the seconds that a fresh process takes which imports torch and Lightning."""
    command = [sys.executable, "-c", "import torch, pytorch_lightning"]
    return seconds(lambda: [subprocess.run(command, check=True) for _ in range(count)]) / count


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--inline", type=int, default=1000)
    parser.add_argument("--fresh", type=int, default=5)
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    rows = [
        ("a fresh process that imports torch and Lightning", fresh(options.fresh)),
        ("a trial of `engine: local`, 2 at once", study("local", options.trials, "random")),
    ]
    for name, sampler in (("random", optuna.samplers.RandomSampler), ("tpe", tpe)):
        rows.append((f"`study.optimize`, {name}", bare(options.inline, sampler(seed=0))))
        rows.append((f"a trial of `engine: inline`, {name}", study("inline", options.inline, name)))
    print(f"{platform.platform()}, {time.strftime('%Y-%m-%d')}\n")
    print("| what | ms each |\n|---|---|")
    for name, each in rows:
        print(f"| {name} | {1000 * each:.1f} |")
    print(f"\nfresh process / local trial: {rows[0][1] / rows[1][1]:.0f}x")
    for at in (2, 4):
        print(f"{rows[at + 1][0]} / {rows[at][0]}: {rows[at + 1][1] / rows[at][1]:.2f}x")


def tpe(seed):
    return optuna.samplers.TPESampler(seed=seed, multivariate=True)


if __name__ == "__main__":
    main()
