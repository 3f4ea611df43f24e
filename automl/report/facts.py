"""The facts of a study: everything that a report says, computed once from its history."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from automl import pareto
from automl.history import History
from automl.reading.yamlwrite import write
from automl.report import points as rows_of
from automl.report import progress, timeline
from automl.report.importance import METHOD, importance, relations
from automl.report.noise import noise
from automl.report.records import Constraint, Facts, Objective, Part, Point
from automl.report.roll import roll
from automl.report.text import masked, one_line, unit
from automl.sections import Section
from automl.space import Choice, Float, Int

STATES = ("done", "stopped", "failed", "running", "waiting")
Sections = Iterable[tuple[str, Section | str]]


def facts(
    history: History,
    sections: Sections = (),
    references: Sequence[float | None] = (),
    again: Sequence[History] = (),
) -> Facts:
    """Compute what a report says.

    Args:
        history: the study and its trials.
        sections: what plugins add: their names, and a section or the error in its place.
        references: of the hypervolume, where they shall not be the study's own.
        again: studies that trained points of this one again, for its noise.
    """
    goals = history.study.goals
    given = tuple(references) or tuple(o.ref for o in history.study.objectives.values())
    rows = tuple(rows_of.counted(list(rows_of.points(history)), given, goals))
    reference = reference_of(rows, goals, given)
    rows = rows_of.contributing(rows, reference, goals)
    default = next((r for r in rows if r.origin == "default" and not r.name), None)
    front = [row for row in rows if row.front]
    worth = [row for row in front if row.counts] or front
    knee = pareto.knee(rows_of.table(worth, len(goals)), goals) if len(worth) > 2 else None
    spans = timeline.spans(history)
    devices = timeline.devices(spans)
    return Facts(
        name=history.study.name,
        where=rows_of.shown(history.folder),
        about=about(history),
        states=states(history),
        objectives=objectives(history, rows, reference, given, default),
        constraints=constraints(history, rows),
        parameters=parameters(history),
        points=rows,
        hypervolume=hypervolume(rows, reference, goals),
        knee=None if knee is None else worth[knee].label,
        default=default.label if default else None,
        default_note=default_note(history, default),
        better=better(worth, default, goals),
        trace=progress.trace(history, rows, reference),
        importance=importance(history, rows),
        importance_method=METHOD,
        relations=relations(history, rows),
        curves=progress.curves(history, rows),
        fidelity=history.study.fidelity.unit if history.study.fidelity else "epoch",
        spans=spans,
        devices=devices,
        seconds=sum(trial.seconds for trial in history.trials),
        elapsed=max((span.end for span in spans), default=0.0),
        active=timeline.covered((span.start, span.end) for span in spans),
        lines=roll(history),
        gpu_hours=progress.spent_gpu_hours(history, history.trials),
        retries=sum(max(0, len(trial.attempts) - 1) for trial in history.trials),
        failures=timeline.failures(history),
        noise=noise(history, rows, again),
        provenance=masked(history.provenance),
        resolved=resolved(history),
        sections=tuple(part(name, given) for name, given in sections),
        notes=tuple(notes(history, rows, given)),
    )


def reference_of(
    rows: Sequence[Point], goals: tuple[str, ...], given: Sequence[float | None]
) -> NDArray[np.float64]:
    """Return the reference point: as given, and made from the feasible points where it is not."""
    feasible = [row for row in rows if row.feasible]
    return pareto.reference(rows_of.table(feasible, len(goals)), goals, given)


def hypervolume(
    rows: Sequence[Point], reference: NDArray[np.float64], goals: tuple[str, ...]
) -> float | None:
    """Measure the feasible points; one objective has its best value instead."""
    if len(goals) == 1:
        return None
    feasible = [row for row in rows if row.feasible]
    return pareto.hypervolume(rows_of.table(feasible, len(goals)), reference, goals)


def about(history: History) -> str:
    """Say what was trained and on what."""
    study = history.study
    data = f" on {study.data.class_path}" if study.data else ""
    with_plugins = f", with {', '.join(study.plugins)}" if study.plugins else ""
    return one_line(f"{study.model.class_path}{data}{with_plugins}")


def states(history: History) -> dict[str, int]:
    """Count the trials in each state, those that occur."""
    counts = Counter[str](trial.state for trial in history.trials)
    return {state: counts[state] for state in STATES if counts[state]}


def objectives(
    history: History,
    rows: Sequence[Point],
    reference: NDArray[np.float64],
    given: Sequence[float | None],
    default: Point | None,
) -> tuple[Objective, ...]:
    """Say for each objective what was reached, and what the default point had."""
    found = []
    for index, (name, objective) in enumerate(history.study.objectives.items()):
        best = best_of(rows, index, objective.goal)
        free = best_of(no_worse(rows, default, history.study.goals, index), index, objective.goal)
        found.append(
            Objective(
                name=name,
                goal=objective.goal,
                unit=unit(name),
                ref=float(reference[index]),
                fixed=given[index] is not None,
                best=best.values[index] if best else None,
                best_at=best.label if best else None,
                default=default.values[index] if default else None,
                free=free.values[index] if free else None,
                free_at=free.label if free else None,
            )
        )
    return tuple(found)


def best_of(rows: Sequence[Point], index: int, goal: str) -> Point | None:
    """Return the feasible point that is best in one objective, of equals the best-ranked.

    Points beyond the reference are left out, unless there are no others.
    """
    feasible = [row for row in rows if row.feasible]
    feasible = [row for row in feasible if row.counts] or feasible
    sign = pareto.SIGNS[goal]
    return min(feasible, key=lambda r: (sign * r.values[index], r.rank or 0), default=None)


def no_worse(
    rows: Sequence[Point], default: Point | None, goals: tuple[str, ...], index: int
) -> list[Point]:
    """Return the points at least as good as the default in every objective but one."""
    if default is None or any(map(math.isnan, default.values)):
        return []
    others = [i for i in range(len(goals)) if i != index]
    signs = [pareto.SIGNS[goal] for goal in goals]
    return [
        row
        for row in rows
        if all(signs[i] * row.values[i] <= signs[i] * default.values[i] for i in others)
    ]


def better(front: Sequence[Point], default: Point | None, goals: tuple[str, ...]) -> int:
    """Count the points of the front that dominate the default."""
    if default is None:
        return 0
    pairs = (np.array([row.values, default.values]) for row in front if row is not default)
    return sum(pareto.non_dominated(pair, goals).tolist() == [True, False] for pair in pairs)


def default_note(history: History, default: Point | None) -> str:
    """Say why there is nothing to compare with, or what keeps the default from being feasible."""
    if default is not None:
        broken = ", ".join(default.violated)
        return f"The default point is not feasible: {broken}." if broken else ""
    trial = next((t for t in history.trials if t.origin == "default"), None)
    if trial is None:
        return "The default point was not run, so there is nothing to compare with."
    return f"The default point, trial {trial.number}, has no result: its state is {trial.state!r}."


def constraints(history: History, rows: Sequence[Point]) -> tuple[Constraint, ...]:
    """Return the constraints, and how many points break each."""
    return tuple(
        Constraint(
            name,
            bound.min,
            bound.max,
            sum(bool(rows_of.breach(name, bound, row.metrics)) for row in rows),
        )
        for name, bound in history.study.constraints.items()
    )


def parameters(history: History) -> dict[str, dict[str, object]]:
    """Describe each searched parameter: its kind, whether on a log scale, and its options."""
    found: dict[str, dict[str, object]] = {}
    for name in history.space.searched():
        match history.space[name]:
            case Choice(options):
                found[name] = {"kind": "choice", "options": masked(options)}
            case Float(low, high, log) | Int(low, high, log):
                found[name] = {"kind": "number", "low": low, "high": high, "log": log}
    return found


def resolved(history: History) -> str:
    """Write the study as YAML, every default included, secrets masked."""
    return write(masked(history.study.model_dump(mode="json", by_alias=True)))


def part(plugin: str, given: Section | str) -> Part:
    """Take a plugin's section, or the error that it left."""
    if isinstance(given, Section):
        return Part(plugin, given)
    return Part(plugin, None, masked(str(given)))


def notes(history: History, rows: Sequence[Point], given: Sequence[float | None]) -> Iterable[str]:
    """Say what the reader should know before trusting the rest."""
    counts = states(history)
    if going := counts.get("running", 0) + counts.get("waiting", 0):
        yield f"The study is not finished: {going} trials are running or waiting."
    if not history.trials:
        yield "No trial has started."
    elif counts.get("failed", 0) == len(history.trials):
        yield "Every trial failed; the reasons are below."
    elif not rows:
        yield "No trial is done, so there is nothing to choose from yet."
    elif not any(row.feasible for row in rows):
        yield "No point is feasible: each breaks a constraint or lacks an objective."
    if len(given) > 1 and any(ref is None for ref in given):
        names = [n for n, ref in zip(history.study.objectives, given, strict=True) if ref is None]
        yield (
            f"The study gives no ref for {', '.join(names)}: the reference lies a tenth beyond the "
            "front, so this hypervolume does not compare with that of another study."
        )
    lost = [row for row in rows if any(map(math.isnan, row.values))]
    if lost:
        yield f"{len(lost)} of {len(rows)} points lack an objective or have NaN there."
