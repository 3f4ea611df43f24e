"""Each sampler on problems with a known front: NAS-Bench-201, RegMix, ZDT, DTLZ and WFG.

Prints the share of the hypervolume of the whole table, or of the true front, after so many trials,
mean and standard error; `*` marks the sampler that `auto` takes for so many trials. Samplers are
made, seeded and asked as a study's are, with Optuna's study in memory. Run it, after
`pip install --no-deps --target DIR pymoo==0.6.2 autograd==1.9.1`, with

    PYTHONPATH=DIR python tests/benchmarks/bench_samplers.py --data ../shared/data
"""

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
import optuna
import pandas as pd

import automl
from automl.distributions import decode, distribution
from automl.pareto import hypervolume, trace
from automl.samplers import Reseeded, choose, make
from automl.space import Choice, Float, Space

SAMPLERS = ("random", "qmc", "grid", "nsga2", "nsga3", "tpe", "gp")
LIMITS = {"gp": 60, "tpe": 1000}  # trials, beyond which asking takes minutes
VARIABLES = 6
PROBLEMS = {
    "zdt1": {},
    "zdt3": {},
    "zdt4": {},
    "dtlz2": {"n_obj": 3},
    "wfg4": {"n_obj": 2},
    "wfg9": {"n_obj": 2},
}


class Cells:
    """NAS-Bench-201: true accuracy on CIFAR-10 against the weights of a cell's convolutions."""

    goals = ("maximize", "minimize")
    budgets = (60, 100, 300, 1000, 3000)
    reference = (80.0, 55.0)

    def __init__(self, folder):
        frame = pd.read_parquet(folder / "nasbench201.parquet")
        edges = frame.columns[:6]
        cells = frame[edges].to_numpy()
        weights = 9 * (cells == "nor_conv_3x3") + (cells == "nor_conv_1x1")
        self.points = np.column_stack([frame["cifar10"], weights.sum(axis=1)])
        self.row = {tuple(cell): index for index, cell in enumerate(cells)}
        options = Choice(tuple(sorted(set(cells.flat))))
        self.space = Space({f"model.e{edge[0]}{edge[2]}": options for edge in edges})
        self.whole = hypervolume(self.points, self.reference, self.goals)

    def values(self, params):
        """Return accuracy and weights."""
        return self.points[self.row[tuple(params.values())]]


class Mixtures:
    """RegMix: losses on web text and on code of the recorded mixture nearest to a proposed one."""

    goals = ("minimize", "minimize")
    budgets = (60, 100, 300, 1000, 3000)
    reference = (6.5, 8.0)

    def __init__(self, folder):
        def both(what):
            read = [
                pd.read_csv(folder / "regmix" / f"{k}_{what}_1m.csv") for k in ("train", "test")
            ]
            return pd.concat(
                [one.rename(columns=lambda c: c.split("the_pile_", 1)[-1]) for one in read]
            )

        losses, mixtures = both("pile_loss"), both("mixture").drop(columns="index")
        self.points = losses[["pile_cc_val_loss", "github_val_loss"]].to_numpy()
        self.mixtures = mixtures.to_numpy()
        weight = Float(1e-3, 1.0, log=True)
        self.space = Space({f"data.{name}": weight for name in mixtures})
        self.whole = hypervolume(self.points, self.reference, self.goals)

    def values(self, params):
        """Return both losses."""
        weights = np.array(list(params.values()))
        distance = np.abs(self.mixtures - weights / weights.sum()).sum(axis=1)
        return self.points[distance.argmin()]


class Formula:
    """A problem of pymoo; every variable is bent, so that no optimum lies at the middle."""

    budgets = (60, 100)

    def __init__(self, name, **options):
        from pymoo.problems import get_problem

        self.problem = get_problem(name, n_var=VARIABLES, **options)
        draw = np.random.default_rng(0)
        self.bend = draw.uniform(0.5, 2.0, VARIABLES)
        self.space = Space({f"model.x{k}": Float(0.0, 1.0) for k in range(VARIABLES)})
        self.goals = ("minimize",) * self.problem.n_obj
        front = self.problem.pareto_front()
        usual = np.median([self.at(draw.random(VARIABLES)) for _ in range(1000)], axis=0)
        self.reference = np.maximum(usual, 1.1 * front.max(axis=0))
        self.whole = hypervolume(front, self.reference, self.goals)

    def at(self, x):
        """Return the objectives at a point of the unit cube."""
        low, high = self.problem.xl, self.problem.xu
        return self.problem.evaluate(low + (high - low) * x**self.bend)

    def values(self, params):
        """Return the objectives."""
        return self.at(np.array(list(params.values())))


def study_of(problem, sampler, seed, trials):
    """Return a study of the problem, which is never run."""
    return automl.Study(
        name="x",
        model={"class_path": "x.Y"},
        objectives={f"f{k}": {"goal": goal} for k, goal in enumerate(problem.goals)},
        search={"sampler": {"class_path": sampler} if "." in sampler else sampler, "seed": seed},
        budget={"trials": trials},
    )


def shares(problem, sampler, seed):
    """Return the share of the hypervolume at each budget, and the seconds of asking."""
    trials = min(problem.budgets[-1], LIMITS.get(sampler, problem.budgets[-1]))
    _, inner = make(study_of(problem, sampler, seed, trials), problem.space)
    asked = Reseeded(inner, problem.space, seed)
    study = optuna.create_study(directions=problem.goals, sampler=asked)
    points, seconds = [], 0.0
    for number in range(trials):
        began = time.process_time()
        asked.number = number
        trial = study.ask()
        params = {
            name: decode(one, trial._suggest(name, distribution(one)))
            for name, one in problem.space.items()
        }
        seconds += time.process_time() - began
        points.append(tuple(map(float, problem.values(params))))
        study.tell(trial, points[-1])
    reached = trace(points, problem.reference, problem.goals) / problem.whole
    return [reached[n - 1] if n <= trials else np.nan for n in problem.budgets], seconds / trials


def line(problem, sampler, seeds):
    """Return a line of the table."""
    runs = [shares(problem, sampler, seed) for seed in seeds]
    table = np.array([run[0] for run in runs])
    mean, error = table.mean(axis=0), table.std(axis=0, ddof=1) / len(runs) ** 0.5
    cells = []
    for budget, m, e in zip(problem.budgets, mean, error, strict=True):
        auto = choose(study_of(problem, "auto", 0, budget), problem.space) == sampler
        cells.append(f"{m:.3f} ± {e:.3f}{' *' * auto}" if np.isfinite(m) else "")
    milliseconds = 1000 * np.mean([run[1] for run in runs])
    return f"| {sampler} | {' | '.join(cells)} | {milliseconds:.1f} |"


def main():
    """Print a Markdown table for each problem."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--trials", type=int, default=3000, help="at most, of each problem")
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--samplers", nargs="*", default=SAMPLERS, help="names or class paths")
    asked = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    loads = {
        name: (lambda n=name, o=options: Formula(n, **o)) for name, options in PROBLEMS.items()
    }
    if asked.data:
        loads["NAS-Bench-201"] = lambda: Cells(asked.data)
        loads["RegMix"] = lambda: Mixtures(asked.data)
    seeds = range(asked.first, asked.first + asked.seeds)
    for name in asked.only or loads:
        problem = loads[name]()
        problem.budgets = [budget for budget in problem.budgets if budget <= asked.trials]
        print(f"\n| {name} | {' | '.join(map(str, problem.budgets))} | ms to ask |")
        print("|---|" + "---:|" * (len(problem.budgets) + 1))
        for sampler in asked.samplers:
            grid = all(isinstance(one, Choice) for one in problem.space.values())
            if sampler != "grid" or grid:
                print(line(problem, sampler, seeds), flush=True)


if __name__ == "__main__":
    main()
