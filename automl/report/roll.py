"""One line for each trial of a study: what became of it, in the order of their numbers."""

import math
from dataclasses import dataclass

from automl.history import History, Trial
from automl.report.text import masked, number


@dataclass(frozen=True, slots=True)
class Line:
    """One trial: `values` are its own point's, else those that it reported last, in `note`.

    NaN stands for a value that is not known; `points` counts the trial's own point too.
    """

    trial: int
    state: str
    origin: str
    seconds: float
    values: tuple[float, ...]
    points: int
    note: str


def roll(history: History) -> tuple[Line, ...]:
    """Return a line for each trial."""
    unit = history.study.fidelity.unit if history.study.fidelity else "epoch"
    return tuple(line(trial, tuple(history.study.objectives), unit) for trial in history.trials)


def line(trial: Trial, objectives: tuple[str, ...], unit: str) -> Line:
    """Say what became of one trial."""
    last = {name: value for report in trial.reports for name, value in report.metrics.items()}
    known = trial.metrics if trial.state == "done" else last
    values = tuple(known.get(name, math.nan) for name in objectives)
    count = 1 + len(trial.points) if trial.state == "done" else 0
    said = note(trial, unit)
    return Line(trial.number, trial.state, masked(trial.origin), trial.seconds, values, count, said)


def note(trial: Trial, unit: str) -> str:
    """Say why a trial failed, or how far one that is not done has come."""
    if trial.state == "failed" and trial.failure:
        return str(masked(f"{trial.failure.kind}: {trial.failure.message}"))
    if trial.state == "done" or not trial.reports:
        return ""
    return f"at {unit} {number(trial.reports[-1].step)}"
