"""Do failures teach? A region where jobs run out of memory, with the optimum at its border.

python tests/benchmarks/bench_failures.py [--trials 100] [--seeds 5] [--samplers tpe nsga2]

A job with a model of size x and batches of size y, both in [0, 1], runs out of memory where
x + y > 1; its loss (1 - x)^2 + (1 - y)^2 is least, 0.5, at the border. Optuna's `optimize` with
`catch` is compared with what our driver tells under `on_failure: {oom: learn}`; the samplers have
the same settings and seeds.
"""

import argparse
import platform
import statistics
import tempfile
import time
from pathlib import Path

import optuna

import automl
from automl.optimizer import Optimizer
from automl.planning import plan
from automl.samplers import make
from automl.studyfile import of

BEST = 0.5


def study(sampler, seed, trials):
    return automl.Study(
        name="failures",
        model={"class_path": "automl.zoo.MLP"},
        objectives={"loss": {"goal": "minimize"}},
        space={"model.lr": {"float": [0, 1]}, "model.dropout": {"float": [0, 1]}},
        budget={"trials": trials},
        search={"sampler": sampler, "seed": seed},
    )


def job(x, y):
    if x + y > 1:
        raise MemoryError
    return (1 - x) ** 2 + (1 - y) ** 2


def plain(sampler, seed, trials):
    """Run `study.optimize` and return the losses, None for those that failed."""
    made = study(sampler, seed, trials)
    _, inner = make(made, plan(of(made)).space)
    one = optuna.create_study(sampler=inner)

    def objective(trial):
        return job(trial.suggest_float("x", 0, 1), trial.suggest_float("y", 0, 1))

    one.optimize(objective, n_trials=trials, catch=(MemoryError,))
    return [trial.value for trial in one.trials]


def ours(sampler, seed, trials):
    """Tell failures as the driver does under `learn`, and return the losses."""
    made = study(sampler, seed, trials)
    losses = []
    with tempfile.TemporaryDirectory() as folder:
        one = Optimizer(f"sqlite:///{Path(folder)}/study.db", made, plan(of(made)).space)
        for number in range(trials):
            proposal = one.ask(number)
            try:
                losses.append(job(*proposal.params.values()))
                one.tell_done(proposal.optuna, {"loss": losses[-1]})
            except MemoryError:
                losses.append(None)
                one.tell_failed(proposal.optuna, learn=True)
    return losses


def summary(runs):
    """Return mean and standard error of the failed fraction, and of the gap to the optimum."""
    failed = [sum(loss is None for loss in run) / len(run) for run in runs]
    gaps = [min((loss for loss in run if loss is not None), default=2.0) - BEST for run in runs]
    return [said(failed, 2), said(gaps, 4)]


def said(values, digits):
    error = statistics.stdev(values) / len(values) ** 0.5
    return f"{statistics.mean(values):.{digits}f} ± {error:.{digits}f}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--samplers", nargs="+", default=["tpe", "nsga2", "random"])
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    print(f"{platform.platform()}, {time.strftime('%Y-%m-%d')}, {options.trials} trials\n")
    print("| sampler | who | failed | best loss - optimum |\n|---|---|---|---|")
    for sampler in options.samplers:
        for who, way in (("plain Optuna", plain), ("automl, `oom: learn`", ours)):
            runs = [way(sampler, seed, options.trials) for seed in range(options.seeds)]
            print("|", " | ".join([sampler, who, *summary(runs)]), "|", flush=True)


if __name__ == "__main__":
    main()
