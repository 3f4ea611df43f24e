"""How the front grew with trials and with what was spent, and what the runs reported meanwhile."""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from automl import pareto
from automl.history import Attempt, History, Trial
from automl.report.points import ended, table
from automl.report.records import Curve, Curves, Point, Step

Reached: TypeAlias = tuple[float, int, tuple[float | None, ...]]  # hypervolume, front, best
MOST_CURVES = 120  # of one metric; a person cannot follow more
MOST_STEPS = 100  # of one curve
MOST_METRICS = 8


def is_gpu(device: str) -> bool:
    """Say whether the name of a device is that of a GPU."""
    return not device.lower().startswith("cpu")


def gpu_seconds(attempt: Attempt, share: float) -> float:
    """Seconds times GPUs of an attempt that has ended; `share` is a trial's part of one GPU."""
    if attempt.ended is None:
        return 0.0
    part = share if 0 < share < 1 else 1.0
    return (attempt.ended - attempt.started) * part * sum(map(is_gpu, attempt.devices))


def spent_gpu_hours(history: History, trials: Sequence[Trial]) -> float:
    """GPU-hours of all ended attempts of some trials."""
    share = history.study.resources.gpus
    return sum(gpu_seconds(a, share) for trial in trials for a in trial.attempts) / 3600


def trace(
    history: History, rows: Sequence[Point], reference: NDArray[np.float64]
) -> tuple[Step, ...]:
    """Follow the front over the trials that ended, whatever became of them."""
    over = [t for t in history.trials if t.state in {"done", "stopped", "failed"}]
    over.sort(key=lambda trial: (ended(trial), trial.number))
    goals = history.study.goals
    feasible = [row for row in rows if row.feasible]
    values = table(feasible, len(goals))
    reached = zip(
        pareto.trace(values, reference, goals).tolist(),
        front_sizes(values, goals),
        best_so_far(values, goals),
        strict=True,
    )
    known = dict(zip((row.trial for row in feasible), reached, strict=True))
    return tuple(_steps(history, over, known))


def _steps(history: History, over: Sequence[Trial], known: Mapping[int, Reached]) -> list[Step]:
    seconds = itertools.accumulate(trial.seconds for trial in over)
    hours = itertools.accumulate(spent_gpu_hours(history, [trial]) for trial in over)
    now: Reached = (0.0, 0, (None,) * len(history.study.objectives))
    steps = []
    for count, (trial, spent, gpu) in enumerate(zip(over, seconds, hours, strict=True), start=1):
        now = known.get(trial.number, now)
        steps.append(Step(count, spent, gpu, *now))
    return steps


def front_sizes(values: NDArray[np.float64], goals: Sequence[str]) -> list[int]:
    """Count the front of the first 1, 2, … n points."""
    front, sizes = np.empty((0, len(goals))), []
    for row in pareto.costs(values, goals):
        beaten = ((front <= row).all(axis=1) & (front < row).any(axis=1)).any()
        if not beaten:
            worse = (row <= front).all(axis=1) & (row < front).any(axis=1)
            front = np.vstack([front[~worse], row])
        sizes.append(len(front))
    return sizes


def best_so_far(
    values: NDArray[np.float64], goals: Sequence[str]
) -> list[tuple[float | None, ...]]:
    """Return the best value of each objective among the first 1, 2, … n points."""
    lowest = np.minimum.accumulate(pareto.costs(values, goals), axis=0)
    return [tuple(row) for row in (lowest * [pareto.SIGNS[goal] for goal in goals]).tolist()]


def curves(history: History, rows: Sequence[Point]) -> tuple[Curves, ...]:
    """Collect what the trials reported, the metrics of objectives first."""
    front = {row.trial for row in rows if row.front}
    told = [trial for trial in history.trials if trial.reports]
    names = dict.fromkeys(name for t in told for report in t.reports for name in report.metrics)
    first = [name for name in history.study.objectives if name in names]
    ordered = [*first, *(name for name in names if name not in first)][:MOST_METRICS]
    return tuple(_curves(name, told, front) for name in ordered)


def _curves(metric: str, trials: Sequence[Trial], front: set[int]) -> Curves:
    found = [_curve(trial, metric, trial.number in front) for trial in trials]
    found = [curve for curve in found if curve.steps]
    kept = sorted(found, key=lambda curve: not curve.front)[:MOST_CURVES]
    return Curves(metric, tuple(kept), len(found) - len(kept))


def _curve(trial: Trial, metric: str, front: bool) -> Curve:
    told = [r for r in trial.reports if math.isfinite(r.metrics.get(metric, math.nan))]
    if len(told) > MOST_STEPS:
        told = [told[i] for i in np.linspace(0, len(told) - 1, MOST_STEPS).round().astype(int)]
    steps, values = [r.step for r in told], [r.metrics[metric] for r in told]
    return Curve(trial.number, trial.state, front, tuple(steps), tuple(values))
