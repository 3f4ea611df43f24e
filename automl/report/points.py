"""The points of a study, from its history: labels, feasibility, ranks and contributions."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from automl import pareto
from automl.history import History, Trial
from automl.report.records import Point
from automl.report.text import masked
from automl.study import Constraint, Study

LARGEST = 300  # front points for which contributions are computed: each costs a hypervolume


def label(trial: int, name: str = "") -> str:
    """Name a point: `12` for the trial's own, `12/density=0.1` for a further one."""
    return f"{trial}/{name}" if name else str(trial)


def shown(path: Path) -> str:
    """Write a path, relative where it lies below the working directory, without secrets."""
    here = Path.cwd()
    return str(masked(str(path.relative_to(here) if path.is_relative_to(here) else path)))


def violations(study: Study, metrics: Mapping[str, float]) -> tuple[str, ...]:
    """Say in words what keeps metrics from being those of a feasible point; nothing if they are."""
    missing = [f"{name} is missing" for name in study.objectives if name not in metrics]
    lost = [f"{name} is NaN" for name in study.objectives if math.isnan(metrics.get(name, 0.0))]
    broken = [breach(name, bound, metrics) for name, bound in study.constraints.items()]
    return (*missing, *lost, *filter(None, broken))


def breach(name: str, bound: Constraint, metrics: Mapping[str, float]) -> str:
    """Say how a metric breaks its constraint, or nothing."""
    value = metrics.get(name, math.nan)
    if math.isnan(value):
        return f"{name} is missing"
    if bound.max is not None and value > bound.max:
        return f"{name} {value:.4g} > {bound.max:.4g}"
    if bound.min is not None and value < bound.min:
        return f"{name} {value:.4g} < {bound.min:.4g}"
    return ""


def points(history: History) -> tuple[Point, ...]:
    """Return every point of the trials that are done, ranked, in the order of their ends."""
    found = [p for trial in in_order(history) for p in _of_trial(history.study, trial)]
    return tuple(ranked(found, history.study.goals))


def in_order(history: History) -> list[Trial]:
    """Return the trials that are done in the order in which they ended."""
    return sorted(history.finished(), key=lambda trial: (ended(trial), trial.number))


def ended(trial: Trial) -> float:
    """Return when a trial's last attempt ended, 0 when that is not known."""
    return max((a.ended for a in trial.attempts if a.ended is not None), default=0.0)


def _of_trial(study: Study, trial: Trial) -> Iterator[Point]:
    if trial.metrics:
        yield _point(study, trial, "", trial.metrics, {}, trial.artifact)
    for point in trial.points:
        yield _point(study, trial, point.name, point.metrics, point.params, point.artifact)


def _point(
    study: Study,
    trial: Trial,
    name: str,
    metrics: Mapping[str, float],
    params: Mapping[str, object],
    artifact: str | None,
) -> Point:
    return Point(
        label=label(trial.number, name),
        trial=trial.number,
        name=name,
        origin=trial.origin,
        seconds=trial.seconds,
        values=tuple(float(metrics.get(objective, math.nan)) for objective in study.objectives),
        metrics={key: float(value) for key, value in metrics.items()},
        params=masked({**trial.params, **params}),
        violated=violations(study, metrics),
        artifact=shown(trial.folder / artifact) if artifact else None,
    )


def table(rows: Sequence[Point], objectives: int) -> NDArray[np.float64]:
    """Return the (n, m) values of points."""
    return np.array([row.values for row in rows], dtype=np.float64).reshape(-1, objectives)


def ranked(rows: list[Point], goals: tuple[str, ...]) -> list[Point]:
    """Give every feasible point its rank."""
    feasible = [index for index, row in enumerate(rows) if row.feasible]
    ranks = pareto.ranks(table([rows[i] for i in feasible], len(goals)), goals)
    for index, rank in zip(feasible, ranks, strict=True):
        rows[index] = replace(rows[index], rank=int(rank))
    return rows


def counted(rows: list[Point], refs: Sequence[float | None], goals: tuple[str, ...]) -> list[Point]:
    """Mark the points that are at or beyond a reference that the study gives."""
    found = []
    for row in rows:
        pairs = zip(row.values, refs, goals, strict=True)
        beyond = any(
            ref is not None and pareto.SIGNS[goal] * (value - ref) >= 0
            for value, ref, goal in pairs
        )
        found.append(replace(row, counts=not beyond))
    return found


def contributing(
    rows: tuple[Point, ...], reference: NDArray[np.float64], goals: tuple[str, ...]
) -> tuple[Point, ...]:
    """Give every point of the front its contribution, unless there are too many."""
    near = [row for row in rows if row.rank is not None and row.rank <= 1]
    if sum(row.front for row in near) > LARGEST:
        return rows
    lost = pareto.contributions(table(near, len(goals)), reference, goals)
    found = {row.label: float(loss) for row, loss in zip(near, lost, strict=True)}
    return tuple(replace(p, contribution=found[p.label]) if p.front else p for p in rows)
