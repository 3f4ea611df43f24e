"""Hypervolume against epochs of real trainings: no stopping, our rungs, Syne Tune's MO-ASHA.

Every trial is a Lightning fit of a perceptron on digits or CIFAR-10, run by `automl.run`; Syne
Tune's rule is asked by the same loop, about the same jobs. Objectives: validation accuracy and
MACs, which are known from the start. Only trials that ran to their end count, as a share of the
hypervolume of all such trials of all methods and seeds. Run it after

    pip install --no-deps --target /tmp/syne-tune syne-tune==0.16.0

with

    python tests/benchmarks/bench_stopping_training.py --folder /tmp/runs --syne-tune /tmp/syne-tune

It may be cut and run again: finished studies stay in the folder. `--trials` is the number of trials
of a method that stops none; the others start four times as many, for about as many epochs.
"""

import argparse
import logging
import sys
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path

import bench_early_stopping
import numpy as np
import optuna
from scipy.stats import spearmanr

import automl
from automl.pareto import hypervolume, trace
from automl.rungs import Decision

GOALS = ("maximize", "minimize")
MODEL = {"optimizer": "sgd", "schedule": "cosine"}


@dataclass(frozen=True)
class Task:
    """A perceptron and its data; a reference in accuracy and MACs, and the highest rate."""

    data: dict
    reference: tuple[float, float]
    fastest: float
    inputs: int = 64

    def study(self):
        """Return the keys of a study that tell of the training."""
        accuracy, macs = self.reference
        return {
            "model": {"class_path": "automl.zoo.MLP", "init_args": MODEL | {"inputs": self.inputs}},
            "data": self.data,
            "objectives": {
                "val_accuracy": {"goal": "maximize", "ref": accuracy},
                "macs": {"goal": "minimize", "ref": macs},
            },
            "space": {
                "model.width": {"int": [2, 48], "log": True, "default": 8},
                "model.depth": {"int": [1, 2]},
                "model.lr": {"float": [0.003, self.fastest], "log": True, "default": 0.1},
                "model.momentum": {"float": [0, 0.97]},
                "model.weight_decay": {"float": [1e-5, 0.1], "log": True},
            },
        }


def digits():
    """Return the task of small digits."""
    held = {"batch_size": 256, "val": 0.4, "test": 0.0}
    return Task({"class_path": "automl.zoo.Digits", "init_args": held}, (0.3, 4000), 1.6)


def cifar(path):
    """Return the task of 2,000 colour images of a copy of CIFAR-10."""
    held = {"path": str(path), "subset": 2000, "batch_size": 256, "val": 0.4, "test": 0.0}
    data = {"class_path": "automl.zoo.Images", "init_args": held}
    return Task(data, (0.1, 160_000), 0.4, 3072)


EPOCHS = 27
FIDELITY = {"unit": "epoch", "max": EPOCHS}  # rungs at 3 and 9 epochs
MORE = 4  # times as many trials where most are stopped
PARTS = np.array([1 / 6, 1 / 3, 2 / 3, 1])  # of the epochs of a method that stops none

COUNTS = (itemgetter(0), itemgetter(3), lambda run: len(run[1]))  # epochs, trials, finished


class SyneTune:
    """Syne Tune's rule of stopping, as a study file names it.

    Args:
        seed: of its order of equals.
        repaired: whether its priorities are turned into places; see `bench_early_stopping`.
    """

    def __init__(self, seed, *, repaired):
        kind = bench_early_stopping.Repaired if repaired else bench_early_stopping.SyneTune
        self.rule, self.macs = kind(seed), {}

    def report(self, trial, step, metrics):
        """Say whether a trial goes on."""
        self.macs[trial] = metrics.get("macs", self.macs.get(trial))
        if "val_accuracy" not in metrics:
            return Decision(trial, step)
        found = self.rule.report(trial, int(step), metrics["val_accuracy"], self.macs[trial])
        return Decision(trial, step, goes_on=found)


def optunas(name):
    """Return a sampler with Optuna's own settings, by seed."""
    return lambda seed: {"class_path": f"optuna.samplers.{name}", "init_args": {"seed": seed}}


def synes(*, repaired):
    """Return Syne Tune's rule, by seed."""
    path = "bench_stopping_training.SyneTune"
    return lambda seed: {"class_path": path, "init_args": {"seed": seed, "repaired": repaired}}


# sampler and rule of stopping, by seed, and how many times as many trials
METHODS = {
    "TPE of Optuna, no stopping": (optunas("TPESampler"), lambda _: "off", 1),
    "NSGA-II of Optuna, no stopping": (optunas("NSGAIISampler"), lambda _: "off", 1),
    "random, no stopping": (lambda _: "random", lambda _: "off", 1),
    "TPE, ours": (lambda _: "tpe", lambda _: "asha", MORE),
    "random, ours": (lambda _: "random", lambda _: "asha", MORE),
    "random, ours, min 1": (lambda _: "random", lambda _: "asha", MORE),
    "TPE, ours, min 1": (lambda _: "tpe", lambda _: "asha", MORE),
    "random, MO-ASHA of Syne Tune": (lambda _: "random", synes(repaired=False), MORE),
    "random, MO-ASHA of Syne Tune, repaired": (lambda _: "random", synes(repaired=True), MORE),
}


def search(task, name, seed, folder, trials):
    """Run a study, or read it back, and return its trials."""
    sampler, stop, times = METHODS[name]
    study = automl.Study(
        name=f"{'-'.join(name.replace(',', '').split())}-{seed}",
        trainer={"max_epochs": EPOCHS},
        budget={"trials": times * trials},
        search={"sampler": sampler(seed), "seed": seed},
        fidelity=FIDELITY | {"stop": stop(seed)} | ({"min": 1} if "min 1" in name else {}),
        engine="inline",
        folder=str(folder),
        **task.study(),
    )
    return automl.run(study).trials


def ends(trials):
    """Return the epochs that were spent when each trial finished, and what it reached."""
    spent, when, points = 0, [], []
    for trial in trials:
        spent += max((int(report.step) for report in trial.reports), default=0)
        if trial.state == "done":
            when.append(spent)
            points.append((trial.metrics["val_accuracy"], trial.metrics["macs"]))
    return spent, when, points, len(trials)


def curves(trials):
    """Return the validation accuracy after each epoch of the trials that finished."""
    found = []
    for trial in trials:
        values = [one.metrics for one in trial.reports]
        curve = [one["val_accuracy"] for one in values if "val_accuracy" in one]
        if trial.state == "done" and len(curve) == EPOCHS:
            found.append(curve)
    return found


def shares(runs, whole, budgets, reference):
    """Return the share of the hypervolume at each budget that a run has reached."""
    spent, when, points, _ = runs
    reached = [0.0, *trace(points, reference, GOALS)]
    count = np.searchsorted(when, budgets, side="right")
    return np.where(spent >= budgets, np.take(reached, count) / whole, np.nan)


def main():
    """Run what is missing, then print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--only", nargs="*", default=METHODS, help="names of methods")
    parser.add_argument("--syne-tune", type=Path)
    parser.add_argument("--cifar", type=Path, help="a copy of CIFAR-10 in place of digits")
    asked = parser.parse_args()
    task = cifar(asked.cifar.resolve()) if asked.cifar else digits()
    if asked.syne_tune:
        sys.path.insert(0, str(asked.syne_tune))
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.disable(logging.INFO)
    found = {name: [] for name in asked.only if asked.syne_tune or "Syne" not in name}
    whole = []
    for seed in range(asked.first, asked.first + asked.seeds):
        for name, runs in found.items():
            trials = search(task, name, seed, asked.folder, asked.trials)
            whole += curves(trials) if name == "random, no stopping" else []
            runs.append(ends(trials))
            print(f"seed {seed}: {name}: {runs[-1][0]} epochs", file=sys.stderr, flush=True)
    show(found, np.round(PARTS * asked.trials * EPOCHS), task.reference)
    if whole:
        values = np.array(whole)
        ranks = [spearmanr(values[:, n - 1], values[:, -1]).statistic for n in (1, 3, 9)]
        said = ", ".join(f"{rank:.2f}" for rank in ranks)
        print(f"\nrank correlation of the accuracy after 1, 3 and 9 epochs with the last: {said}")


def show(found, budgets, reference):
    """Print a Markdown table."""
    every = [point for runs in found.values() for run in runs for point in run[2]]
    whole = hypervolume(np.array(every), reference, GOALS)
    heads = [f"{budget:.0f} epochs" for budget in budgets]
    print(f"| method | {' | '.join(heads)} | at the end | epochs | trials | finished |")
    print("|---|" + "---:|" * (len(budgets) + 4))
    for name, runs in found.items():
        table = np.array(
            [shares(run, whole, np.array([*budgets, run[0]]), reference) for run in runs]
        )
        mean, error = table.mean(axis=0), table.std(axis=0, ddof=1) / len(runs) ** 0.5
        cells = [
            f"{m:.3f} ± {e:.3f}" if np.isfinite(m) else "" for m, e in zip(mean, error, strict=True)
        ]
        spent, trials, done = (np.mean([get(run) for run in runs]) for get in COUNTS)
        print(f"| {name} | {' | '.join(cells)} | {spent:.0f} | {trials:.0f} | {done:.0f} |")


if __name__ == "__main__":
    main()
