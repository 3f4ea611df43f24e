"""Hypervolume of accuracy over density: one pass, a searched decoder, and searches of raw rates.

    python tests/benchmarks/bench_pruning_hypervolume.py

Each method measures the same number of pruned, repaired, not finetuned networks on digits. The
hypervolume is that of (accuracy, log10 of 1/density) above accuracy 0.1 and density 1. Prints a
Markdown table: mean and standard error over seeds, and what was spent besides on curves.
"""

import argparse
import time
from collections import defaultdict

import moocore
import numpy as np
import optuna
import torch
from bench_pruning_models import Setting, accuracy, look, quiet, train

from automl_pruning.allocate import shares
from automl_pruning.masks import apply, make_masks
from automl_pruning.pruner import restore, snapshot
from automl_pruning.repair import repair

SETTING = Setting("digits", "small", 20, 0, 0.3, 256, 24)
LOWEST = 0.02


class Judge:
    """Measures networks, and remembers what it measured."""

    def __init__(self, model, pruner, held_out):
        self.model, self.pruner, self.held_out = model, pruner, held_out
        self.state, self.points = snapshot(model), []

    def __call__(self, keep):
        restore(self.model, self.state)
        apply(self.model, make_masks(self.pruner.units, self.pruner.scores, keep))
        repair(self.model, self.pruner.eye.inputs, self.pruner.eye.dense)
        density = float(np.sum(keep) / sum(unit.size for unit in self.pruner.units))
        found = accuracy(self.model, self.held_out), np.log10(density)
        self.points.append((-found[0], found[1]))
        return found

    def hypervolume(self):
        return moocore.hypervolume(np.array(self.points), ref=(-0.1, 0.0))


def one_pass(judge, trials, seed):
    for density in np.geomspace(1.0, judge.pruner.feasible(LOWEST), trials):
        judge(judge.pruner.keep(float(density)))


def searched(sampler, decode, start=()):
    def run(judge, trials, seed):
        study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler(seed))
        for params in start:
            study.enqueue_trial(params)
        study.optimize(lambda trial: judge(decode(trial, judge.pruner)), n_trials=trials)

    return run


def decoder(trial, pruner):
    lowest = pruner.feasible(LOWEST)
    density = max(lowest, trial.suggest_float("density", LOWEST, 1.0, log=True))
    factors = [trial.suggest_float(f"c{i}", -2, 2) for i in range(len(pruner.units))]
    layers = pruner.layers("mse")
    names = {f"b{i + 1}": factor for i, factor in enumerate(factors)}
    options = pruner.options.model_copy(update={"coefficients": names, "blocks": len(names)})
    tilted = type(pruner)(
        options, pruner.units, pruner.scores, pruner.eye, pruner.most, pruner.curves
    )
    keep = tilted.keep(density)
    assert keep.sum() == layers.total(density)
    return keep


def raw(trial, pruner):
    layers = pruner.layers("mse")
    rates = [trial.suggest_float(f"d{i}", LOWEST, 1.0, log=True) for i in range(len(layers.units))]
    wanted = np.clip(np.rint(rates * layers.sizes), layers.least, layers.most)
    return shares(np.maximum(wanted, 1.0), layers.least, layers.most, int(wanted.sum()))


def tpe(seed):
    return optuna.samplers.TPESampler(seed=seed, multivariate=True)


def nsga(seed):
    return optuna.samplers.NSGAIISampler(seed=seed, population_size=20)


def methods(units):
    flat = {f"c{i}": 0.0 for i in range(units)}
    start = [{"density": float(d)} | flat for d in np.geomspace(1.0, LOWEST, 12)]
    return {
        "one-pass front": one_pass,
        "decoder, TPE": searched(tpe, decoder, start),
        "raw rates, TPE": searched(tpe, raw),
        "raw rates, NSGA-II": searched(nsga, raw),
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=60)
    given = parser.parse_args()
    quiet()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    volumes, spent = defaultdict(list), []
    for seed in range(given.seeds):
        torch.manual_seed(seed)
        model, _, inputs, held_out = train(SETTING, seed)
        start = time.process_time()
        pruner = look(model, inputs, "repair-aware rd", SETTING.points)
        spent.append(time.process_time() - start)
        for name, run in methods(len(pruner.units)).items():
            judge = Judge(model, pruner, held_out)
            run(judge, given.trials, seed)
            restore(model, judge.state)
            volumes[name].append(judge.hypervolume())
    print(f"{given.trials} networks a method, {given.seeds} seeds, {len(pruner.units)} units;")
    print(f"the curves took {np.mean(spent):.1f} s of CPU\n")
    print("| method | hypervolume |\n|---|---|")
    for name, found in volumes.items():
        error = np.std(found, ddof=1) / len(found) ** 0.5 if len(found) > 1 else np.nan
        print(f"| {name} | {np.mean(found):.3f} ± {error:.3f} |")


if __name__ == "__main__":
    main()
