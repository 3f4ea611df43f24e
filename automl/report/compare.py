"""Several studies side by side: their fronts and hypervolumes by one reference."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.text import Text

from automl import pareto
from automl.history import History
from automl.report import points as rows_of
from automl.report.facts import facts
from automl.report.html import page
from automl.report.payload import compact, trace
from automl.report.records import Facts
from automl.report.terminal import row, table
from automl.report.text import clean, duration, number

MOST_POINTS = 1500  # of one study in the picture of the fronts


@dataclass(frozen=True, slots=True)
class Compared:
    """One study among others.

    Attributes:
        shared: how many points of its front no point of any study dominates.
        beats: for each study, the share of that study's front which this one's front dominates.
    """

    facts: Facts
    shared: int
    beats: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Studies with the same objectives, measured by the same reference, which is there in words."""

    studies: tuple[Compared, ...]
    shared: int
    reference: str
    notes: tuple[str, ...]


def compare(histories: Sequence[History]) -> Comparison:
    """Compare studies by one reference: the one that all give, else one beyond all their fronts.

    Raises:
        ValueError: the studies do not have the same objectives.
    """
    goals, names = agreed(histories)
    refs, notes = references(histories)
    reference = worst_reference(histories, goals, refs)
    found = [facts(history, references=tuple(map(float, reference))) for history in histories]
    fronts = [rows_of.table(f.front, len(goals)) for f in found]
    shared = shared_counts(fronts, goals)
    beats = [tuple(beaten(mine, other, goals) for other in fronts) for mine in fronts]
    studies = tuple(map(Compared, found, shared, beats))
    where = ", ".join(f"{n} {number(r)}" for n, r in zip(names, reference, strict=True))
    return Comparison(studies, sum(shared), where, notes)


def agreed(histories: Sequence[History]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the goals and the names of the objectives that all studies have."""
    each = [{n: o.goal for n, o in history.study.objectives.items()} for history in histories]
    for other, history in zip(each, histories, strict=True):
        if list(other.items()) != list(each[0].items()):
            raise ValueError(
                f"compare: {histories[0].study.name} has objectives {each[0]}, but "
                f"{history.study.name} has {other}; studies compare in the same objectives"
            )
    return tuple(each[0].values()), tuple(each[0])


def references(histories: Sequence[History]) -> tuple[tuple[float | None, ...], tuple[str, ...]]:
    """Return the references that all studies give alike, and notes about the others."""
    refs: list[float | None] = []
    notes = []
    for name in histories[0].study.objectives:
        given = {history.study.objectives[name].ref for history in histories}
        refs.append(given.pop() if len(given) == 1 else None)
        if given:
            notes.append(f"The studies differ in ref of {name}; one beyond all fronts is used.")
    return tuple(refs), tuple(notes)


def worst_reference(
    histories: Sequence[History], goals: tuple[str, ...], refs: Sequence[float | None]
) -> NDArray[np.float64]:
    """Return the given references, and for the rest the worst of those of the single studies."""
    feasible = [[row for row in rows_of.points(h) if row.feasible] for h in histories]
    tables = [rows_of.table(rows, len(goals)) for rows in feasible if rows]
    made = np.array(
        [pareto.reference(values, goals, refs) for values in tables or [np.empty((0, len(goals)))]]
    )
    signs = np.array([pareto.SIGNS[goal] for goal in goals])
    return np.asarray((made * signs).max(axis=0) * signs)


def shared_counts(fronts: Sequence[NDArray[np.float64]], goals: tuple[str, ...]) -> list[int]:
    """Count the points of each front that are on the front of all studies together."""
    mask = pareto.non_dominated(np.concatenate(fronts), goals)
    ends = np.cumsum([len(front) for front in fronts])[:-1]
    return [int(part.sum()) for part in np.split(mask, ends)]


def beaten(
    mine: NDArray[np.float64],
    other: NDArray[np.float64],
    goals: tuple[str, ...],
) -> float:
    """Return the share of another front's points that a point of mine dominates.

    This is the coverage of two sets (Zitzler, "Evolutionary algorithms for multiobjective
    optimization: methods and applications", 1999), with strict dominance.
    """
    if not len(mine) or not len(other):
        return 0.0
    ours, theirs = pareto.costs(mine, goals), pareto.costs(other, goals)
    no_worse = (ours[:, None] <= theirs[None]).all(axis=2)
    dominated = (no_worse & (ours[:, None] < theirs[None]).any(axis=2)).any(axis=0)
    return float(dominated.mean())


def render(found: Comparison) -> str:
    """Return the comparison as one HTML file."""
    first = found.studies[0].facts
    context = {
        "title": ", ".join(study.facts.name for study in found.studies),
        "about": ", ".join(f"{o.name} ({o.goal})" for o in first.objectives),
        "kicker": "Studies compared",
        "notes": found.notes,
        "found": found,
    }
    return page("compare.html.j2", payload(found), ("compare.js",), context)


def payload(found: Comparison) -> dict[str, Any]:
    """Return what the page of a comparison draws."""
    first = found.studies[0].facts
    return {
        "columns": [
            {"name": clean(o.name), "goal": o.goal, "unit": o.unit, "values": []}
            for o in first.objectives
        ],
        "objectives": [{"ref": compact(o.ref)} for o in first.objectives],
        "points": {"label": []},
        "hypervolume": first.hypervolume is not None,
        "studies": [
            {
                "name": clean(study.facts.name),
                "front": [[clean(p.label), *map(compact, p.values)] for p in study.facts.front],
                "others": [
                    [clean(p.label), *map(compact, p.values)]
                    for p in study.facts.points
                    if p.feasible and not p.front
                ][:MOST_POINTS],
                "trace": trace(study.facts.trace),
            }
            for study in found.studies
        ],
    }


def numbers(found: Comparison) -> dict[str, Any]:
    """Return the tables of the page as plain values, for programs."""
    return {
        "reference": {o.name: exact(o.ref) for o in found.studies[0].facts.objectives},
        "joint_front": found.shared,
        "table": [
            {
                "study": clean(study.facts.name),
                "folder": clean(study.facts.where),
                "hypervolume": exact(study.facts.hypervolume),
                "front": len(study.facts.front),
                "of_joint_front": study.shared,
                "best": {clean(o.name): exact(o.best) for o in study.facts.objectives},
                "trials": study.facts.trials,
                "seconds": study.facts.seconds,
                "gpu_hours": study.facts.gpu_hours,
                "dominates": list(study.beats),
            }
            for study in found.studies
        ],
        "notes": [clean(note) for note in found.notes],
    }


def exact(value: float | None) -> float | str | None:
    """Return a number in full; what JSON has not becomes text."""
    return value if value is None or math.isfinite(value) else str(value)


def show(found: Comparison, console: Console) -> None:
    """Print the comparison as tables."""
    measured = found.studies[0].facts.hypervolume is not None
    heads = ["study", *(["hypervolume"] if measured else []), "front", "of the joint front"]
    made = table("Studies", *heads, "trials", "computing", numeric=range(1, 6))
    names = [clean(o.name) for o in found.studies[0].facts.objectives]
    best = table("Best of each objective", "study", *names, numeric=range(1, 1 + len(names)))
    for study in found.studies:
        f = study.facts
        volume = [f.hypervolume] if measured else []
        shared = f"{study.shared} of {found.shared}"
        row(made, f.name, *volume, len(f.front), shared, f.trials, duration(f.seconds))
        row(best, f.name, *(o.best for o in f.objectives))
    for one in (made, best):
        console.print(one)
        console.print()
    names = [study.facts.name for study in found.studies]
    covers = table("Dominates of the front of", "", *names, numeric=range(1, 1 + len(names)))
    for study in found.studies:
        row(covers, study.facts.name, *(f"{share:.0%}" for share in study.beats))
    console.print(covers)
    for note in (f"Reference for all: {found.reference}.", *found.notes):
        console.print(Text(clean(note), "dim"))
