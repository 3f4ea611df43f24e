"""Compare schedules on logistic regression.

Run it with `python tests/benchmarks/bench_lr_refinement_convex.py`.

Softmax regression from zero on data of scikit-learn: features scaled to [-1, 1] and a bias,
batches of 16, 100 epochs, the final training loss. Schedules are refined from one run of a seed
that is used for nothing else, under linear decay at the peak that was best for it. Then each
schedule has its own best peak from a grid of powers of two, by the mean loss of seeds 0-9, and is
judged at that peak on the fresh seeds 10-19, paired with linear decay. "Exported" is what a study
gives: the refined schedule, or the best of all of them, if seeds 0-9 confirm it, else linear decay.
All seeds, peaks and schedules of a data set are trained at once, as one batch of matrix products.
"""

import argparse
import json
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from sklearn import datasets

from automl_lr_refinement import refine, schedules, verdict

EPOCHS, BATCH = 100, 16
CHOOSING, FRESH, EXPLORING = range(10), range(10, 20), (99,)
PEAKS = {"adam": 2.0 ** np.arange(-9, 3), "sgd": 2.0 ** np.arange(-5, 7)}
FAMILY = {"adam": ("l1", 1.0), "sgd": ("l2", 2.0)}
PAPER = refine.PRESETS["paper"]
GUARDED = refine.PRESETS["guarded"]
VARIANTS = {  # recipe, fraction of training that is explored, and norm if not the family's
    "refined, paper": (PAPER, 1.0, ""),
    "refined, guarded": (GUARDED, 1.0, ""),
    "refined, paper, quarter": (PAPER, 0.25, ""),
    "refined, guarded, quarter": (GUARDED, 0.25, ""),
    "refined, guarded, mean, quarter": (replace(GUARDED, filter="mean"), 0.25, ""),
    "refined, guarded, half strength": (replace(GUARDED, strength=0.5), 1.0, ""),
    "refined, guarded, preconditioned": (GUARDED, 1.0, "preconditioned"),
}

EXPORTED = {  # what is refined, if it is confirmed
    "exported, guarded": ("refined, guarded",),
    "exported, guarded, quarter": ("refined, guarded, quarter",),
    "exported, best of all refined": tuple(VARIANTS),
}


@dataclass(frozen=True)
class Problem:
    """Features (N, F) with a bias, and targets (N,) of some classes."""

    x: torch.Tensor
    y: torch.Tensor
    classes: int


@dataclass(frozen=True)
class Runs:
    """Final losses and accuracies (seeds, runs), and norms (steps, seeds, runs) of each kind."""

    loss: np.ndarray
    accuracy: np.ndarray
    norms: dict[str, np.ndarray]


def problems():
    """The data sets by name."""
    cancer, wine = datasets.load_breast_cancer(), datasets.load_wine()
    diabetes = datasets.load_diabetes()
    return {
        "iris": made(*datasets.load_iris(return_X_y=True)),
        "wine": made(wine.data, wine.target),
        "wine, 3 features": made(wine.data[:, :3], wine.target),
        "diabetes": made(diabetes.data, diabetes.target > np.median(diabetes.target)),
        "cancer": made(cancer.data, cancer.target),
        "cancer, 4 features": made(cancer.data[:, :4], cancer.target),
    }


def made(features, targets):
    """Scale features to [-1, 1] and add a bias."""
    low, high = features.min(0), features.max(0)
    scaled = np.c_[2 * (features - low) / (high - low) - 1, np.ones(len(features))]
    y = torch.as_tensor(np.asarray(targets, dtype=np.int64))
    return Problem(torch.as_tensor(scaled, dtype=torch.float32), y, int(y.max()) + 1)


def length(problem):
    """Optimizer steps of a whole training."""
    return EPOCHS * -(-len(problem.y) // BATCH)


def order(problem, seed):
    """Indices of every batch of a training, the last of an epoch filled from its start."""
    rng = np.random.default_rng(seed)
    count = len(problem.y)
    epochs = [np.resize(rng.permutation(count), -(-count // BATCH) * BATCH) for _ in range(EPOCHS)]
    return np.concatenate(epochs).reshape(-1, BATCH)


def train(problem, optimizer, rates, seeds):
    """Train every seed under every column of rates (steps, runs)."""
    batches = torch.as_tensor(np.stack([order(problem, seed) for seed in seeds]))
    shape = (len(seeds), problem.x.shape[1], rates.shape[1], problem.classes)
    weights = torch.zeros(shape)
    state = [torch.zeros(shape), torch.zeros(shape)]
    rates = torch.as_tensor(rates, dtype=torch.float32)
    norms = {"l1": [], "l2": [], "preconditioned": []}
    for t in range(len(rates)):
        chosen = batches[:, t]
        grad = gradient(problem.x[chosen], problem.y[chosen], weights)
        norms["l1"].append(grad.abs().sum(dim=(1, 3)).numpy())
        norms["l2"].append(grad.square().sum(dim=(1, 3)).sqrt().numpy())
        move = grad if optimizer == "sgd" else adam(grad, state, t + 1)
        metric = 1.0 if optimizer == "sgd" else root(state, t + 1)
        norms["preconditioned"].append((grad.square() / metric).sum(dim=(1, 3)).numpy())
        weights -= rates[t][:, None] * move
    x = problem.x.expand(len(seeds), -1, -1)
    logits = predict(x, weights)
    y = problem.y[None, :, None].expand(logits.shape[:3])
    loss = -logits.log_softmax(-1).gather(-1, y[..., None]).mean(dim=(1, 3))
    accuracy = (logits.argmax(-1) == y).double().mean(dim=1)
    return Runs(loss.numpy(), accuracy.numpy(), {k: np.stack(v) for k, v in norms.items()})


def predict(x, weights):
    """Logits (seeds, batch, runs, classes)."""
    seeds, features, runs, classes = weights.shape
    return (x @ weights.view(seeds, features, -1)).view(seeds, -1, runs, classes)


def gradient(x, y, weights):
    """Gradient of the mean cross-entropy of a batch, in the shape of the weights."""
    error = predict(x, weights).softmax(-1)
    error -= torch.nn.functional.one_hot(y, weights.shape[-1])[:, :, None]
    seeds, batch = y.shape
    return (x.transpose(1, 2) @ error.view(seeds, batch, -1)).view(weights.shape) / batch


def adam(grad, state, t, betas=(0.9, 0.95)):
    """The step of Adam for a rate of one."""
    mean, square = state
    mean.mul_(betas[0]).add_(grad, alpha=1 - betas[0])
    square.mul_(betas[1]).addcmul_(grad, grad, value=1 - betas[1])
    return mean / (1 - betas[0] ** t) / root(state, t)


def root(state, t, beta=0.95):
    """What Adam divides by."""
    return (state[1] / (1 - beta**t)).sqrt_().add_(1e-8)


def fixed(steps):
    """Schedules that look at nothing."""
    t = np.arange(steps)
    return {
        "flat": np.ones(steps),
        "1/t": 1 / (t + 1),
        "1/sqrt t": 1 / np.sqrt(t + 1),
        "step": schedules.step().multipliers(steps),
        "cosine": schedules.cosine().multipliers(steps),
        "linear": schedules.linear().multipliers(steps),
        "warm-up 5 %, linear": schedules.linear(0.05).multipliers(steps),
        "wsd": schedules.wsd().multipliers(steps),
    }


def explore(problem, optimizer, fraction):
    """Gradient norms by kind of the exploratory seed under linear decay at its best peak."""
    steps = round(fraction * length(problem))
    rates = np.outer(schedules.linear().multipliers(steps), PEAKS[optimizer])
    runs = train(problem, optimizer, rates, EXPLORING)
    return {kind: norms[:, 0, runs.loss[0].argmin()] for kind, norms in runs.norms.items()}


def refined(problem, optimizer):
    """Refined schedules by name, and what the paper's recipe is said to be."""
    steps = length(problem)
    logs = {fraction: explore(problem, optimizer, fraction) for fraction in (1.0, 0.25)}
    found, notes = {}, {}
    for name, (recipe, fraction, other) in VARIANTS.items():
        kind, exponent = (other, 1.0) if other else FAMILY[optimizer]
        result = refine.refine(logs[fraction][kind], replace(recipe, exponent=exponent))
        made = schedules.from_multipliers(result.multipliers, name, {})
        found[name] = made.multipliers(steps)
        notes[name] = (schedules.describe(result.multipliers), result.verdict.reason)
    return found, notes


def compare(problem, optimizer):
    """Final losses and accuracies on fresh seeds, each schedule at its own best peak."""
    extra, notes = refined(problem, optimizer)
    shapes = fixed(length(problem)) | extra
    peaks = PEAKS[optimizer]
    columns = np.stack(list(shapes.values()), axis=1)
    every = (columns[:, :, None] * peaks).reshape(len(columns), -1)
    sweep = train(problem, optimizer, every, CHOOSING).loss
    sweep = sweep.reshape(len(CHOOSING), len(shapes), len(peaks))
    best = sweep.mean(0).argmin(1)
    end = train(problem, optimizer, columns * peaks[best], FRESH)
    names = list(shapes)
    chosen = {name: sweep[:, number, best[number]] for number, name in enumerate(names)}
    judged = {name: (names.index(name), "") for name in names}
    for name, candidates in EXPORTED.items():
        taken = exported({one: chosen[one] for one in ("linear", *candidates)})
        judged[name] = names.index(taken), taken
    rows = {}
    for name, (number, taken) in judged.items():
        loss, linear = end.loss[:, number], end.loss[:, names.index("linear")]
        gain, error = verdict.paired(loss, linear, -1.0)
        rows[name] = {
            "loss": float(loss.mean()),
            "loss_se": float(loss.std(ddof=1) / np.sqrt(loss.size)),
            "gain": gain,
            "gain_se": error,
            "accuracy": float(100 * end.accuracy[:, number].mean()),
            "accuracy_se": float(100 * end.accuracy[:, number].std(ddof=1) / np.sqrt(loss.size)),
            "peak": float(peaks[best[number]]),
            "edge": bool(best[number] in {0, len(peaks) - 1}),
            "label": notes.get(name, ("", ""))[0],
            "degenerate": notes.get(name, ("", ""))[1],
            "exported": taken,
        }
    return rows


def exported(chosen):
    """Return the name of what a study exports: the best refined schedule if it is confirmed.

    Args:
        chosen: losses on the choosing seeds by name, of linear decay too, each at its best peak.
    """
    best = min((name for name in chosen if name != "linear"), key=lambda one: chosen[one].mean())
    pairs = tuple(map(tuple, (chosen[best], chosen["linear"])))
    return best if verdict.Comparison("loss", "minimize", *pairs).case() == "better" else "linear"


def mark(row):
    """Say whether a schedule is better or worse than linear beyond two standard errors."""
    if abs(row["gain"]) <= 2 * row["gain_se"]:
        return ""
    return " +" if row["gain"] > 0 else " -"


def table(results):
    """Mean final losses in Markdown, with `+` and `-` where they differ from linear."""
    lines = []
    for optimizer in PEAKS:
        data = {n: rows for n, rows in results.items() if n.startswith(optimizer)}
        if data:
            titles = [name.removeprefix(f"{optimizer}, ") for name in data]
            lines += [f"| {optimizer} | {' | '.join(titles)} | better / same / worse |"]
            lines += ["|---" * (len(data) + 2) + "|"]
            lines += [line(name, data) for name in next(iter(data.values()))] + [""]
    return "\n".join(lines)


def line(name, data):
    """The row of one schedule: losses, and how often it is better, the same and worse."""
    marks = [mark(rows[name]) for rows in data.values()]
    cells = [f"{rows[name]['loss']:.5g}{mark(rows[name])}" for rows in data.values()]
    counts = f"{marks.count(' +')} / {marks.count('')} / {marks.count(' -')}"
    return f"| {name} | {' | '.join(cells)} | {counts} |"


def main():
    """Run what the command line names and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", nargs="*", default=list(problems()))
    parser.add_argument("--optimizers", nargs="*", default=list(PEAKS))
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    results = {}
    for optimizer in given.optimizers:
        for name in given.data:
            began = time.perf_counter()
            rows = results[f"{optimizer}, {name}"] = compare(problems()[name], optimizer)
            control = rows["linear"]
            print(
                f"{optimizer}, {name}: {time.perf_counter() - began:.0f} s, linear "
                f"{control['accuracy']:.2f} ± {control['accuracy_se']:.2f} %",
                file=sys.stderr,
            )
            if given.out:
                given.out.write_text(json.dumps(results, indent=1))
    print(table(results))


if __name__ == "__main__":
    main()
