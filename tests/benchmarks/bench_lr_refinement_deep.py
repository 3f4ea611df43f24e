"""Compare schedules on small networks.

Run it with `python tests/benchmarks/bench_lr_refinement_deep.py --problems perceptron`.

A byte-level transformer on the Python reference (AdamW), and a convolutional network and a
perceptron on digits (SGD with momentum), with right labels and with a fifth of the training labels
at random; the final validation loss. Schedules are refined from one run of a seed that is used for
nothing else, under linear decay at the peak that was best for it; `--more` tries other ways. Each
schedule has its own best peak by the mean loss of seeds 0 and 1, and is judged at that peak on
fresh seeds, paired with linear decay.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from bench_lr_refinement_variants import reliability
from torch.nn import functional

from automl.zoo import MLP, ConvNet, Digits, Text, TinyGPT
from automl_lr_refinement import logger, refine, schedules, verdict

CHOOSING, FRESH, EXPLORING = range(2), 10, 99
PAPER, GUARDED = refine.PRESETS["paper"], refine.PRESETS["guarded"]
HALF, MEAN = replace(GUARDED, strength=0.5), replace(GUARDED, filter="mean")
VARIANTS = {  # recipe, fraction of training that is explored, and under which schedule
    "refined, paper": (PAPER, 1.0, "linear"),
    "refined, guarded": (GUARDED, 1.0, "linear"),
    "refined, paper, quarter": (PAPER, 0.25, "linear"),
    "refined, guarded, quarter": (GUARDED, 0.25, "linear"),
}
MORE = {
    "half strength": (HALF, 1.0, "linear"),
    "half strength, quarter": (HALF, 0.25, "linear"),
    "mean filter": (MEAN, 1.0, "linear"),
    "from a constant rate": (GUARDED, 1.0, "constant"),
    "from a constant rate, quarter": (GUARDED, 0.25, "constant"),
    "from a constant rate, half strength": (HALF, 1.0, "constant"),
    "from a constant rate, half strength, quarter": (HALF, 0.25, "constant"),
}


@dataclass(frozen=True)
class Problem:
    """Data, and how a network is made and optimized; `cache` keeps final losses."""

    inputs: torch.Tensor
    targets: torch.Tensor
    validation: tuple[torch.Tensor, torch.Tensor]
    model: Callable
    optimizer: Callable
    peaks: tuple[float, ...]
    steps: int
    batch: int
    cache: dict = field(default_factory=dict)

    def train(self, multipliers, peak, seed):
        """Final validation loss of one run; runs that are the same are done once."""
        key = (multipliers.tobytes(), peak, seed)
        if key not in self.cache:
            self.cache[key] = train(self, multipliers, peak, seed)[0]
        return self.cache[key]


def transformer():
    """A byte-level transformer on text."""
    data = Text(context=32, limit=400_000)
    data.setup()
    held = data.validation[:256]

    def optimizer(model):
        matrices = [p for p in model.parameters() if p.ndim > 1]
        others = [p for p in model.parameters() if p.ndim <= 1]
        groups = [{"params": matrices, "weight_decay": 0.1}, {"params": others, "weight_decay": 0}]
        return torch.optim.AdamW(groups, betas=(0.9, 0.95))

    def model():
        return TinyGPT(width=48, layers=1, heads=4, context=32, vocabulary=128)

    rows = data.training.clamp(max=127)
    held = held.clamp(max=127)
    peaks = (2**-9, 2**-8, 2**-7, 2**-6)
    validation = (held[:, :-1], held[:, 1:])
    return Problem(rows[:, :-1], rows[:, 1:], validation, model, optimizer, peaks, 400, 16)


def digits(model, wrong=0.0):
    """A network on digits, a fraction of whose training labels is drawn at random."""
    data = Digits()
    data.setup()
    train, val = data.splits["train"], data.splits["val"]
    rng = torch.Generator().manual_seed(0)
    targets = torch.where(
        torch.rand(len(train), generator=rng) < wrong,
        torch.randint(0, 10, (len(train),), generator=rng),
        train.targets,
    )

    def optimizer(model):
        return torch.optim.SGD(model.parameters(), momentum=0.9, weight_decay=5e-4, lr=0.1)

    peaks = (2**-6, 2**-5, 2**-4, 2**-3, 2**-2, 2**-1)
    validation = (val.inputs, val.targets)
    return Problem(train.inputs, targets, validation, model, optimizer, peaks, 400, 32)


PROBLEMS = {
    "transformer": transformer,
    "perceptron": lambda: digits(MLP),
    "perceptron, wrong labels": lambda: digits(MLP, 0.2),
    "convolutions": lambda: digits(ConvNet),
    "convolutions, wrong labels": lambda: digits(ConvNet, 0.2),
}


def loss_of(model, inputs, targets):
    """Mean cross-entropy."""
    return functional.cross_entropy(model(inputs).flatten(0, -2), targets.flatten())


def train(problem, multipliers, peak, seed):
    """Final validation loss and (steps, 2) gradient norms of one run."""
    torch.manual_seed(seed)
    model, norms = problem.model(), []
    optimizer = problem.optimizer(model)
    rng = np.random.default_rng(seed)
    for multiplier in multipliers:
        rows = torch.as_tensor(rng.integers(0, len(problem.inputs), problem.batch))
        optimizer.zero_grad()
        loss_of(model, problem.inputs[rows], problem.targets[rows]).backward()
        norms.append(logger.norms(logger.gradients(optimizer)))
        for group in optimizer.param_groups:
            group["lr"] = float(peak * multiplier)
        optimizer.step()
    model.eval()
    with torch.no_grad():
        return loss_of(model, *problem.validation).item(), torch.stack(norms).numpy()


def fixed(steps):
    """Schedules that look at nothing."""
    after = np.arange(1, steps + 1)
    return {
        "flat": schedules.constant().multipliers(steps),
        "1/t": 1 / after,
        "1/sqrt t": 1 / np.sqrt(after),
        "step": schedules.step().multipliers(steps),
        "cosine": schedules.cosine().multipliers(steps),
        "linear": schedules.linear().multipliers(steps),
        "warm-up 5 %, linear": schedules.linear(0.05).multipliers(steps),
        "wsd": schedules.wsd().multipliers(steps),
    }


def explore(problem, seed, fraction, under):
    """Gradient norms of a run of a seed under a schedule at its best peak."""
    shape = {"linear": schedules.linear, "constant": schedules.constant}[under]()
    values = shape.multipliers(round(fraction * problem.steps))
    runs = [train(problem, values, peak, seed) for peak in problem.peaks]
    norms = min(runs, key=lambda run: (np.isnan(run[0]), run[0]))[1]
    kind, exponent = refine.family(type(problem.optimizer(problem.model())).__name__)
    return norms[:, 0 if kind == "l1" else 1], exponent


def refined(problem, variants, seed):
    """Refined schedules by name, with what they look like."""
    found, notes = {}, {}
    logs = {how: explore(problem, seed, *how) for how in {how[1:] for how in variants.values()}}
    for name, (recipe, *how) in variants.items():
        norms, exponent = logs[tuple(how)]
        result = refine.refine(norms, replace(recipe, exponent=exponent))
        made = schedules.from_multipliers(result.multipliers, name, {})
        found[name] = made.multipliers(problem.steps)
        if recipe.fallback and not result.verdict.ok:
            found[name] = schedules.linear().multipliers(problem.steps)
        notes[name] = (schedules.describe(result.multipliers), result.verdict.reason)
        mean, sure = result.multipliers.mean(), reliability(norms)
        print(f"{name}: mean {mean:.2f}, norms of reliability {sure:.2f}", file=sys.stderr)
    return found, notes


def compare(problem, seeds, plain, extra):
    """Final losses on fresh seeds, each schedule at its own best peak."""
    made, notes = extra
    rows = {}
    for name, values in (plain | made).items():
        sweep = [np.mean([problem.train(values, p, s) for s in CHOOSING]) for p in problem.peaks]
        peak = problem.peaks[int(np.nanargmin(sweep))]
        rows[name] = {
            "peak": peak,
            "sweep": sweep,
            "edge": peak in {problem.peaks[0], problem.peaks[-1]},
            "losses": [problem.train(values, peak, seed) for seed in seeds],
            "note": notes.get(name, ("", "")),
        }
    for row in rows.values():
        gain = verdict.paired(row["losses"], rows["linear"]["losses"], -1.0)
        row["gain"], row["gain_se"] = gain
    return rows


def table(results):
    """Losses, gains over linear with standard errors, and peaks in Markdown."""
    names = list(next(iter(results.values())))
    lines = [f"| schedule | {' | '.join(results)} |", "|---" * (len(results) + 1) + "|"]
    for name in names:
        cells = []
        for rows in results.values():
            row = rows[name]
            mean, peak = np.mean(row["losses"]), f"2^{np.log2(row['peak']):.0f}"
            gain = f"{row['gain']:+.4f} ± {row['gain_se']:.4f}"
            cells.append(f"{mean:.4f} ({gain}; {peak})")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main():
    """Run what the command line names and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", nargs="*", default=list(PROBLEMS))
    parser.add_argument("--seeds", type=int, default=5, help="fresh ones, to judge on")
    parser.add_argument("--first", type=int, default=FRESH, help="of the fresh seeds")
    parser.add_argument("--exploring", type=int, default=EXPLORING, help="seed to refine from")
    parser.add_argument("--more", nargs="*", help="other ways of refining, all or some, alone")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    seeds = range(given.first, given.first + given.seeds)
    variants = VARIANTS
    if given.more is not None:
        variants = {name: MORE[name] for name in given.more or MORE}
    results = {}
    for name in given.problems:
        began = time.process_time()
        problem = PROBLEMS[name]()
        plain = fixed(problem.steps)
        if given.more is not None:
            plain = {"linear": plain["linear"]}
        results[name] = compare(problem, seeds, plain, refined(problem, variants, given.exploring))
        print(f"{name}: {time.process_time() - began:.0f} s of CPU", file=sys.stderr)
        if given.out:
            given.out.write_text(json.dumps(results, indent=1))
    print(table(results))


if __name__ == "__main__":
    main()
