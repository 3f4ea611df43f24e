"""Look for a way of refining that beats linear decay on logistic regression.

Run it with `python tests/benchmarks/bench_lr_refinement_variants.py`. The problems are those of
`bench_lr_refinement_convex.py` without the separable one. Norms are from an exploratory seed under
linear decay or a constant rate, at linear decay's best peak, over all or a quarter of training;
weights have strength 1, 1/2 or 1/4, all guarded; or only the warm-up is refined, before linear
decay. `--strength` finds the strength in other ways. *Reliable* is that of the norms: the
correlation of the logarithms of the smoothed norms of odd and of even steps, after Spearman and
Brown. *No less in all* is the largest at which the mean of the schedule is not below that of linear
decay. *Below the line* is a schedule that is nowhere above the line from its peak to 0. The peak of
each is the best of three around linear decay's, by the mean of seeds 0-4. Judged on seeds 20-29,
paired with linear decay. "Exported" is what a study exports: the refined schedule if the seeds that
chose its peak confirm it, and else linear decay.
"""

import argparse
import itertools
import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from bench_lr_refinement_convex import FAMILY, PEAKS, exported, length, problems, train

from automl_lr_refinement import refine, schedules, verdict


@dataclass(frozen=True)
class Plan:
    """Seeds that explore, choose the peak and judge; the peaks to try; which ways."""

    exploring: int = 98
    choosing: range = range(5)
    fresh: range = range(20, 30)
    octaves: tuple[float, ...] = (-1, 0, 1)
    only: tuple[str, ...] = ()


VERIFY = Plan(
    exploring=97,
    choosing=range(10),
    fresh=range(30, 50),
    octaves=(-1, -0.5, 0, 0.5, 1),
    only=(
        "linear",
        "linear, 100%, strength 1.0, median, tau 0.1",
        "linear, 25%, strength 1.0, median, tau 0.1",
        "linear, 100%, strength 0.5, median, tau 0.1",
        "constant, 100%, strength 1.0, median, tau 0.1",
        "constant, 100%, strength 0.5, median, tau 0.1",
        "constant, 25%, strength 0.5, median, tau 0.1",
        "constant, 25%, strength 0.25, median, tau 0.1",
    ),
)


STRENGTH = Plan(
    exploring=96,
    fresh=range(60, 70),
    only=(
        "linear",
        "linear, 100%, strength 1.0, median, tau 0.1",
        "linear, 100%, reliable",
        "linear, 100%, no less in all",
        "linear, 100%, below the line",
        "linear, 25%, strength 1.0, median, tau 0.1",
        "linear, 25%, reliable",
        "linear, 25%, no less in all",
        "linear, 25%, below the line",
    ),
)
PLANS = {
    "": Plan(),
    "verify": VERIFY,
    "strength": STRENGTH,
    "verify strength": replace(
        VERIFY,
        exploring=95,
        fresh=range(70, 90),
        only=(
            "linear",
            "linear, 100%, strength 1.0, median, tau 0.1",
            "linear, 100%, no less in all",
            "linear, 25%, strength 1.0, median, tau 0.1",
            "linear, 25%, no less in all",
        ),
    ),
}


def logs(problem, optimizer, plan):
    """Norms of the exploratory seed by the schedule and the fraction of training."""
    kind, steps = FAMILY[optimizer][0], length(problem)
    for fraction, base in itertools.product((1.0, 0.25), ("linear", "constant")):
        name = f"{base}, {fraction:.0%}"
        if plan.only and not any(one.startswith(name) for one in plan.only):
            continue
        short = round(fraction * steps)
        line = schedules.linear() if base == "linear" else schedules.constant()
        rates = np.outer(line.multipliers(short), PEAKS[optimizer])
        runs = train(problem, optimizer, rates, (plan.exploring,))
        yield name, runs.norms[kind][:, 0, runs.loss[0].argmin()]


def shapes(problem, optimizer, plan):
    """Every way of refining, by name; the first is linear decay."""
    steps, exponent = length(problem), FAMILY[optimizer][1]
    found = {"linear": schedules.linear().multipliers(steps)}
    known = dict(logs(problem, optimizer, plan))
    for name, norms in known.items():
        print(f"{optimizer}, {name}: reliability {reliability(norms):.2f}", file=sys.stderr)
    ways = itertools.product((1.0, 0.5, 0.25), ("median", "mean"), (0.1, 0.3))
    for (name, norms), (strength, kind, tau) in itertools.product(known.items(), tuple(ways)):
        recipe = refine.Recipe(exponent, tau, kind, strength, guard=4.0, fallback=True)
        result = refine.refine(norms, recipe).multipliers
        values = schedules.from_multipliers(result, "", {}).multipliers(steps)
        found[f"{name}, strength {strength}, {kind}, tau {tau}"] = values
        if (strength, kind) == (1.0, "median"):
            found[f"{name}, warm-up only, tau {tau}"] = warm_up_of(values)
        if plan.only and (strength, kind, tau) == (1.0, "median", 0.1):
            found[f"{name}, below the line"] = np.minimum(values, warm_up_of(values))
            for way, chosen in (
                ("reliable", reliability(norms)),
                ("no less in all", no_less(norms, exponent)),
            ):
                weak = refine.refine(norms, replace(recipe, strength=chosen)).multipliers
                values = schedules.from_multipliers(weak, "", {}).multipliers(steps)
                found[f"{name}, {way}"] = values
    return {name: found[name] for name in plan.only or found}


def reliability(norms, tau=0.1):
    """How much of the differences between smoothed norms is no noise, from two halves."""
    halves = [np.log(refine.smooth(norms[first::2], tau)) for first in (0, 1)]
    count = min(half.size for half in halves)
    correlation = max(0.0, np.corrcoef(halves[0][:count], halves[1][:count])[0, 1])
    return float(2 * correlation / (1 + correlation))


def no_less(norms, exponent):
    """Return the largest strength at which a schedule has the mean of linear decay, or more."""
    for strength in np.linspace(1, 0, 21):
        recipe = refine.Recipe(exponent, strength=float(strength), guard=4.0, fallback=True)
        if refine.refine(norms, recipe).multipliers.mean() >= 0.5:
            return float(strength)
    return 0.0


def warm_up_of(values):
    """Follow a schedule up to its peak, and linear decay from there."""
    peak = int(values.argmax())
    t = np.arange(values.size)
    return np.where(t < peak, values, (values.size - t) / (values.size - peak))


def compare(problem, optimizer, plan):
    """Gain over linear decay with its standard error, and the loss, by name."""
    found, peaks = shapes(problem, optimizer, plan), PEAKS[optimizer]
    columns = np.stack(list(found.values()), axis=1)
    line = train(problem, optimizer, np.outer(found["linear"], peaks), plan.choosing)
    near = peaks[line.loss.mean(0).argmin()] * 2.0 ** np.asarray(plan.octaves)
    every = (columns[:, :, None] * near).reshape(len(columns), -1)
    sweep = train(problem, optimizer, every, plan.choosing).loss
    sweep = sweep.reshape(len(plan.choosing), len(found), -1)
    best = sweep.mean(0).argmin(1)
    end = train(problem, optimizer, columns * near[best], plan.fresh).loss
    places = {name: number for number, name in enumerate(found)}
    chosen = {name: sweep[:, number, best[number]] for name, number in places.items()}
    ways = {f"exported: {name}": (name,) for name in found if name != "linear"}
    for name, candidates in (ways | {"exported: the best": tuple(found)[1:]}).items():
        places[name] = places[exported({one: chosen[one] for one in ("linear", *candidates)})]
    return {
        name: (*verdict.paired(end[:, i], end[:, 0], -1.0), float(end[:, i].mean()))
        for name, i in places.items()
    }


def table(results):
    """Wins, draws and losses against linear decay, and gains in percent of its loss."""
    rows = []
    for name in next(iter(results.values())):
        gains = [rows[name] for rows in results.values()]
        scale = [100 / rows["linear"][2] for rows in results.values()]
        better = sum(gain > 2 * error for gain, error, _ in gains)
        worse = sum(-gain > 2 * error for gain, error, _ in gains)
        parts = [gain * unit for (gain, _, _), unit in zip(gains, scale, strict=True)]
        same = len(gains) - better - worse
        rows.append((name, better, same, worse, np.mean(parts), min(parts), max(parts)))
    rows.sort(key=lambda row: -row[4])
    lines = [
        f"| {n} | {b} / {s} / {w} | {m:+.2f} | {a:+.2f} | {z:+.2f} |"
        for n, b, s, w, m, a, z in rows
    ]
    head = "| refined from, how | better / same / worse | mean gain, % | least | most |"
    return "\n".join([head, "|---|---|---|---|---|", *lines])


def main():
    """Run every problem and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--verify", action="store_true", help="on seeds that chose nothing")
    parser.add_argument("--strength", action="store_true", help="find it in other ways")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    chosen = {name: problem for name, problem in problems().items() if name != "wine"}
    names = ("verify" * given.verify, "strength" * given.strength)
    plan = PLANS[" ".join(filter(None, names))]
    results = {}
    for optimizer, (name, problem) in itertools.product(PEAKS, chosen.items()):
        results[f"{optimizer}, {name}"] = compare(problem, optimizer, plan)
        if given.out:
            given.out.write_text(json.dumps(results))
    print(table(results))


if __name__ == "__main__":
    main()
