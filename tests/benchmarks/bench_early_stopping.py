"""Hypervolume against epochs spent: no stopping, our rungs, and the MO-ASHA of Syne Tune.

Trials are rows of tables of real learning curves on a simulated clock: 648 perceptrons of 27 epochs
on digits, as many on grey images of CIFAR-10, and on few colour images in large batches, where
little is learned in the first epochs. Objectives: validation accuracy and number of parameters.
Only trials that ran to their end count, as a share of the hypervolume of the whole table. Run it
with

    python tests/benchmarks/bench_early_stopping.py --cifar ../shared/data/cifar10-train.parquet

and, for the comparison with Syne Tune, after

    pip install --no-deps --target /tmp/syne-tune syne-tune==0.16.0

with `--syne-tune /tmp/syne-tune`. `--one` is about accuracy alone: how far the best trial that
finished is from the best of the table.
"""

import argparse
import sys
from pathlib import Path
from types import SimpleNamespace

import curves
import numpy as np
import optuna
from simulator import GOALS, Never, Uniform, best, progress, simulate

from automl.rungs import Rungs
from automl.study import Fidelity, Objective
from automl.tpe import Finishers

OBJECTIVES = {
    "accuracy": Objective(goal="maximize"),
    "parameters": Objective(goal="minimize"),
}
ACCURACY = {"accuracy": OBJECTIVES["accuracy"]}
FIDELITY = Fidelity(max=27)  # rungs at 3 and 9 epochs
REFERENCE = {"digits": (0.3, 4000), "CIFAR-10": (0.12, 4000), "slow CIFAR-10": (0.1, 40_000)}
SLOW = curves.Grid(lr=(0.003, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8))
BUDGETS = np.array([180, 360, 540, 1080, 3240])


class Ours:
    """The rungs of a study, told of the cost from the start."""

    fidelity = FIDELITY
    order = "epsilon-net"
    names = ("accuracy", "parameters")
    objectives = OBJECTIVES

    def __init__(self, seed):
        self.rungs = Rungs(self.fidelity, self.objectives, seed=seed, order=self.order)

    def report(self, trial, epoch, accuracy, parameters):
        """Say whether the trial goes on."""
        metrics = {"accuracy": accuracy, "parameters": parameters}
        known = {name: metrics[name] for name in self.names}
        return self.rungs.report(trial, epoch, known).goes_on


class ByVolume(Ours):
    """Rungs that order a front by hypervolume."""

    order = "hypervolume"


class InBrackets(Ours):
    """Rungs in three brackets, the second and third of which start later."""

    fidelity = Fidelity(max=27, brackets=3)


class Halves(Ours):
    """Rungs that keep one in two."""

    fidelity = Fidelity(max=27, eta=2)


class Quarters(Ours):
    """Rungs that keep one in four."""

    fidelity = Fidelity(max=27, eta=4)


class Sooner(Ours):
    """Rungs of which the first is at the first epoch."""

    fidelity = Fidelity(min=1, max=27)


class WithoutCost(Ours):
    """Rungs that learn the cost only at the end."""

    names = ("accuracy",)


class Alone(Ours):
    """Rungs of a study of accuracy alone."""

    names = ("accuracy",)
    objectives = ACCURACY


class AloneSooner(Alone):
    """The same, the first of which is at the first epoch."""

    fidelity = Sooner.fidelity


class Knows:
    """A rule that knows how each trial will end: no rule can be better.

    A trial goes on if it will end outside of what those that went on dominate.
    """

    def __init__(self, table):
        self.table, self.front, self.fate = table, [], {}

    def report(self, trial, epoch, accuracy, parameters):
        """Say whether the trial goes on."""
        if trial not in self.fate:
            same = (self.table.accuracy[:, epoch - 1] == np.float32(accuracy)) & (
                self.table.parameters == parameters
            )
            end = self.table.accuracy[same, -1].max()
            self.fate[trial] = not any(a >= end and p <= parameters for a, p in self.front)
            if self.fate[trial]:
                self.front.append((end, parameters))
        return self.fate[trial]


class SyneTune:
    """The multi-objective scheduler of Syne Tune, as it is or with places for its priorities.

    Its `NonDominatedPriority` returns the indices of the trials in sorted order, where the caller
    reads one priority of each trial; `repaired` turns the first into the second.
    """

    repaired = False

    def __init__(self, seed):
        from syne_tune.optimizer.schedulers.multiobjective import moasha, multiobjective_priority

        class Places(multiobjective_priority.NonDominatedPriority):
            def priority_unsafe(self, objectives):
                order = super().priority_unsafe(objectives)
                return np.argsort(order)

        np.random.seed(seed)  # noqa: NPY002 - it draws from numpy's global generator
        self.scheduler = moasha.MOASHA(
            {},
            ["error", "parameters"],
            time_attr="epoch",
            max_t=int(FIDELITY.max),
            grace_period=int(FIDELITY.first),
            reduction_factor=FIDELITY.eta,
            random_seed=seed,
            multiobjective_priority=Places() if self.repaired else None,
        )
        self.known = set()

    def report(self, trial, epoch, accuracy, parameters):
        """Say whether the trial goes on."""
        record = SimpleNamespace(trial_id=trial)
        if trial not in self.known:
            self.known.add(trial)
            self.scheduler.on_trial_add(record)
        result = {"epoch": epoch, "error": 1 - accuracy, "parameters": parameters}
        return epoch >= FIDELITY.max or self.scheduler.on_trial_result(record, result) != "STOP"


class Repaired(SyneTune):
    """Syne Tune's scheduler with places for its priorities."""

    repaired = True


class Sampler:
    """A sampler of Optuna on the grid of a table; stopped trials are told as pruned."""

    goals = GOALS

    def __init__(self, table, sampler):
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.study = optuna.create_study(directions=self.goals, sampler=sampler)
        grid = table.grid
        self.options = (grid.width, grid.lr, grid.momentum, grid.weight_decay)
        self.space = {
            name: optuna.distributions.IntDistribution(0, len(options) - 1)
            for name, options in zip("wlmd", self.options, strict=True)
        }
        self.trials = {}

    def ask(self):
        """Return the row that the sampler proposes."""
        trial = self.study.ask(self.space)
        shape = [len(options) for options in self.options]
        row = int(np.ravel_multi_index([trial.params[name] for name in "wlmd"], shape))
        self.trials.setdefault(row, []).append(trial)
        return row

    def tell(self, row, point):
        """Tell how a trial ended; None where it was stopped."""
        trial = self.trials[row].pop(0)
        if point is None:
            self.study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        else:
            self.study.tell(trial, point[: len(self.goals)])


class OfOne(Sampler):
    """The same for accuracy alone."""

    goals = GOALS[:1]


def tpe(table, seed):
    """Return the sampler that Optuna users choose most."""
    return Sampler(table, optuna.samplers.TPESampler(seed=seed))


def own(table, seed):
    """Return TPE as a study has it: together, and learning from trials that finished."""
    return Sampler(table, Finishers(seed=seed, multivariate=True))


def together(table, seed):
    """Return TPE as a study has it, but for what it takes as good."""
    return Sampler(table, optuna.samplers.TPESampler(seed=seed, multivariate=True))


def gp(table, seed):
    """Return the Gaussian process that `auto` takes where the parameters are few numbers."""
    return Sampler(table, optuna.samplers.GPSampler(seed=seed, warn_independent_sampling=False))


def nsga2(table, seed):
    """Return Optuna's own choice for several objectives."""
    return Sampler(table, optuna.samplers.NSGAIISampler(seed=seed))


# sampler, rule of stopping, and epochs: few where they take minutes to propose or to decide
METHODS = {
    "random search, a rule that knows the ends": (Uniform, Knows, 1080),
    "TPE as a study has it, a rule that knows the ends": (own, Knows, 1080),
    "random search, no stopping": (Uniform, lambda _: Never(), 3240),
    "NSGA-II of Optuna, no stopping": (nsga2, lambda _: Never(), 3240),
    "TPE of Optuna, no stopping": (tpe, lambda _: Never(), 3240),
    "TPE as a study has it, no stopping": (own, lambda _: Never(), 3240),
    "random search, our rungs": (Uniform, Ours, 3240),
    "random search, our rungs, hypervolume order": (Uniform, ByVolume, 1080),
    "random search, our rungs, 3 brackets": (Uniform, InBrackets, 1080),
    "random search, our rungs, cost unknown": (Uniform, WithoutCost, 1080),
    "random search, our rungs, eta 2": (Uniform, Halves, 1080),
    "random search, our rungs, eta 4": (Uniform, Quarters, 1080),
    "random search, our rungs, min 1": (Uniform, Sooner, 1080),
    "TPE, our rungs": (tpe, Ours, 1080),
    "TPE as a study has it, our rungs, min 1": (own, Sooner, 1080),
    "TPE as a study has it, our rungs": (own, Ours, 1080),
    "TPE, good as Optuna has it, our rungs": (together, Ours, 1080),
    "NSGA-II, our rungs": (nsga2, Ours, 1080),
    "Gaussian process, no stopping": (gp, lambda _: Never(), 1080),
    "Gaussian process, our rungs": (gp, Ours, 1080),
    "random search, MO-ASHA of Syne Tune": (Uniform, SyneTune, 540),
    "random search, MO-ASHA of Syne Tune, repaired": (Uniform, Repaired, 1080),
}
LONG = {"Gaussian process, no stopping", "Gaussian process, our rungs"}  # only if they are named


def alone(kind, **options):
    """Return a sampler for accuracy alone, by table and seed."""
    return lambda table, seed: OfOne(table, kind(seed=seed, **options))


ONE = {
    "random search, no stopping": (Uniform, lambda _: Never()),
    "TPE of Optuna, no stopping": (alone(optuna.samplers.TPESampler), lambda _: Never()),
    "TPE as a study has it, no stopping": (alone(Finishers, multivariate=True), lambda _: Never()),
    "random search, our rungs": (Uniform, Alone),
    "TPE of Optuna, our rungs": (alone(optuna.samplers.TPESampler), Alone),
    "TPE as a study has it, our rungs": (alone(Finishers, multivariate=True), Alone),
    "random search, our rungs, min 1": (Uniform, AloneSooner),
    "TPE as a study has it, our rungs, min 1": (alone(Finishers, multivariate=True), AloneSooner),
}


def distances(name, table, seeds, devices):
    """Return a line of the table of one objective: mean and standard error at each budget."""
    sampler, stopping = ONE[name]
    found = []
    for seed in seeds:
        run = simulate(
            table,
            sampler(table, seed),
            stopping(seed),
            epochs=BUDGETS[3],
            workers=devices,
            seed=seed,
        )
        reached = np.maximum.accumulate([0.0, *[accuracy for accuracy, _ in run.points]])
        count = np.searchsorted(run.ends, BUDGETS[:4], side="right")
        found.append(table.accuracy[:, -1].max() - reached[count])
    mean, error = np.mean(found, axis=0), np.std(found, axis=0, ddof=1) / len(seeds) ** 0.5
    cells = [f"{m:.4f} ± {e:.4f}" for m, e in zip(mean, error, strict=True)]
    return f"| {name} | {' | '.join(cells)} |"


def row(name, table, reference, seeds, devices):
    """Return a line of the table: mean and standard error at each budget."""
    sampler, stopping, epochs = METHODS[name]
    whole = best(table, reference)
    shares, finished, stopped = [], [], []
    for seed in seeds:
        rule = stopping(table if stopping is Knows else seed)
        run = simulate(table, sampler(table, seed), rule, epochs=epochs, workers=devices, seed=seed)
        shares.append(progress(run, reference, BUDGETS) / whole)
        finished.append(len(run.points))
        stopped.append(run.stopped)
    mean = np.mean(shares, axis=0)
    error = np.std(shares, axis=0, ddof=1) / len(seeds) ** 0.5
    cells = [
        f"{m:.3f} ± {e:.3f}" if budget <= epochs else "-"
        for m, e, budget in zip(mean, error, BUDGETS, strict=True)
    ]
    return f"| {name} | {' | '.join(cells)} | {np.mean(finished):.0f} | {np.mean(stopped):.0f} |"


def lines(table, reference, methods, seeds, devices):
    """Print a table of hypervolumes, or of distances where there is no reference."""
    heads = [f"{budget} epochs" for budget in BUDGETS]
    if reference is None:
        print(f"| method | {' | '.join(heads[:4])} |\n|---|---:|---:|---:|---:|")
        for name in ONE:
            print(distances(name, table, seeds, devices), flush=True)
        return
    print(f"| method | {' | '.join(heads)} | finished | stopped |")
    print("|---|" + "---:|" * (len(BUDGETS) + 2))
    for name in methods:
        print(row(name, table, reference, seeds, devices), flush=True)


def main():
    """Print one Markdown table for each table of curves."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--devices", type=int, default=8)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--only", nargs="*", help="names of methods")
    parser.add_argument("--cifar", type=Path)
    parser.add_argument("--syne-tune", type=Path)
    parser.add_argument("--one", action="store_true", help="accuracy alone")
    asked = parser.parse_args()
    loads = {"digits": lambda: curves.table("digits", curves.digits)}
    if asked.cifar:
        loads["CIFAR-10"] = lambda: curves.table("CIFAR-10", lambda: curves.cifar(asked.cifar))
        loads["slow CIFAR-10"] = lambda: curves.table(
            "colour", lambda: curves.colour(asked.cifar), grid=SLOW, inputs=768, batch_size=256
        )
    if asked.syne_tune:
        sys.path.insert(0, str(asked.syne_tune))
    methods = [name for name in METHODS if asked.syne_tune or "Syne" not in name]
    methods = [name for name in methods if name in (asked.only or METHODS.keys() - LONG)]
    seeds = range(asked.first, asked.first + asked.seeds)
    for data, load in loads.items():
        print(f"\n{data}, {asked.seeds} seeds, {asked.devices} devices\n")
        lines(load(), None if asked.one else REFERENCE[data], methods, seeds, asked.devices)
    if not asked.syne_tune:
        print("\nSyne Tune was left out: no --syne-tune was given.")


if __name__ == "__main__":
    main()
