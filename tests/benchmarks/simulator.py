"""A study on a simulated clock: trials are rows of a table of learning curves."""

import heapq
from dataclasses import dataclass, field

import numpy as np
from curves import Curves

from automl.pareto import hypervolume, trace

GOALS = ("maximize", "minimize")


@dataclass
class Run:
    """What a simulated study did.

    Attributes:
        ends: epochs spent by all trials when each trial finished, in order.
        points: (accuracy, parameters) of each trial that finished.
        stopped: number of trials that were stopped.
        spent: epochs of all trials together.
    """

    ends: list = field(default_factory=list)
    points: list = field(default_factory=list)
    stopped: int = 0
    spent: int = 0
    seconds: float = 0.0


class Uniform:
    """Draw rows of the table at random."""

    def __init__(self, curves, seed):
        self.rng, self.rows = np.random.default_rng(seed), len(curves.accuracy)

    def ask(self):
        """Return a row."""
        return int(self.rng.integers(self.rows))

    def tell(self, row, point):
        """Learn nothing."""


class Never:
    """Stop nothing."""

    def report(self, trial, epoch, accuracy, parameters):
        """Say that the trial goes on."""
        return True


def simulate(curves: Curves, sampler, stopping, *, epochs: int, workers: int = 8, seed: int = 0):
    """Run trials on `workers` devices until together they have spent `epochs`.

    An epoch takes time in proportion to the network's size, and each device has its own speed, so
    reports of different trials arrive in a mixed order.
    """
    rng = np.random.default_rng((seed, 1))
    speed = rng.uniform(0.8, 1.25, workers)
    pace = 1 + curves.parameters / curves.parameters.mean()
    longest = curves.accuracy.shape[1]
    run, clock, trials = Run(), [], 0
    for worker in range(workers):
        row = sampler.ask()
        heapq.heappush(clock, (pace[row] * speed[worker], trials, worker, row, 1))
        trials += 1
    while clock and run.spent < epochs:
        now, trial, worker, row, epoch = heapq.heappop(clock)
        run.spent += 1
        accuracy, parameters = float(curves.accuracy[row, epoch - 1]), float(curves.parameters[row])
        goes_on = stopping.report(trial, epoch, accuracy, parameters)
        if goes_on and epoch < longest:
            heapq.heappush(clock, (now + pace[row] * speed[worker], trial, worker, row, epoch + 1))
            continue
        point = (accuracy, parameters) if epoch == longest else None
        run.stopped += point is None
        if point is not None:
            run.ends.append(run.spent)
            run.points.append(point)
        sampler.tell(row, point)
        row = sampler.ask()
        heapq.heappush(clock, (now + pace[row] * speed[worker], trials, worker, row, 1))
        trials += 1
    run.seconds = now
    return run


def progress(run: Run, reference, budgets):
    """Return the hypervolume of the trials that had finished at each budget of epochs."""
    reached = trace(run.points, reference, GOALS) if run.points else np.zeros(0)
    count = np.searchsorted(run.ends, budgets, side="right")
    return np.array([reached[n - 1] if n else 0.0 for n in count])


def best(curves: Curves, reference):
    """Return the hypervolume of the whole table."""
    points = np.column_stack([curves.accuracy[:, -1], curves.parameters])
    return hypervolume(points, reference, GOALS)
