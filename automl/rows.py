"""Trials as the rows of a study's record tell them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from automl.events import Outcome, Reported
from automl.history import Attempt, Report, Trial
from automl.outcomes import from_json
from automl.space import Value
from automl.tables import ATTEMPTS, REPORTS, TRIALS


def read_trials(
    connection: sa.Connection, study: int, folder: Path, numbers: Sequence[int] | None = None
) -> tuple[Trial, ...]:
    """Read trials of a study with their attempts and reports; all of them, or those of a list."""

    def read(table: sa.Table, column: sa.Column[int], *order: sa.Column[int]) -> Any:
        where = [table.c.study == study]
        where += [] if numbers is None else [column.in_(list(numbers))]
        return connection.execute(sa.select(table).where(*where).order_by(*order))

    attempts: dict[int, list[Attempt]] = {}
    for row in read(ATTEMPTS, ATTEMPTS.c.trial, ATTEMPTS.c.trial, ATTEMPTS.c.number):
        attempts.setdefault(row.trial, []).append(read_attempt(row))
    reports: dict[int, list[Report]] = {}
    for row in read(REPORTS, REPORTS.c.trial, REPORTS.c.id):
        report = Report(row.step, row.seconds, json.loads(row.metrics))
        reports.setdefault(row.trial, []).append(report)
    return tuple(
        read_trial(
            row, folder, tuple(attempts.get(row.number, ())), tuple(reports.get(row.number, ()))
        )
        for row in read(TRIALS, TRIALS.c.number, TRIALS.c.number)
    )


def read_trial(
    row: Any, folder: Path, attempts: tuple[Attempt, ...], reports: tuple[Report, ...]
) -> Trial:
    """Make a trial of its row."""
    outcome = from_json(json.loads(row.outcome)) if row.outcome else None
    params: Mapping[str, Value] = json.loads(row.params)
    done = outcome is not None and row.state == "done"
    return Trial(
        number=row.number,
        state=row.state,
        params=params,
        origin=row.origin,
        seed=row.seed,
        folder=trial_folder(folder, row.number),
        metrics=outcome.metrics if outcome and done else {},
        points=outcome.points if outcome and done else (),
        reports=reports,
        attempts=attempts,
        failure=outcome.failure if outcome else None,
        artifact=outcome.artifact if outcome and done else None,
    )


def read_attempt(row: Any) -> Attempt:
    """Make an attempt of its row."""
    devices = tuple(f"cuda:{one}" for one in json.loads(row.devices)) or ("cpu",)
    return Attempt(row.number, row.started, row.ended, devices, row.host, row.outcome)


def trial_row(study: int, trial: Trial, optuna: int | None, driver: int | None) -> dict[str, Any]:
    """Return the row of a trial whose first attempt starts."""
    return {
        "study": study,
        "number": trial.number,
        "state": trial.state,
        "params": json.dumps(dict(trial.params)),
        "origin": trial.origin,
        "seed": trial.seed,
        "optuna": optuna,
        "attempt": 0,
        "told": False,
        "driver": driver,
    }


def attempt_row(study: int, trial: int, attempt: Attempt) -> dict[str, Any]:
    """Return the row of an attempt, on no device yet."""
    return {
        "study": study,
        "trial": trial,
        "number": attempt.number,
        "started": attempt.started,
        "ended": attempt.ended,
        "devices": "[]",
        "host": attempt.host,
        "outcome": attempt.outcome,
    }


def report_row(one: Reported) -> dict[str, Any]:
    """Return the row of a report, without its study."""
    return {
        "trial": one.spec.number,
        "attempt": one.spec.attempt,
        "step": one.step,
        "seconds": one.seconds,
        "metrics": json.dumps(dict(one.metrics)),
    }


def read_outcome(text: str | None) -> Outcome | None:
    """Read how a trial ended, if it has."""
    return from_json(json.loads(text)) if text else None


def trial_folder(home: Path, number: int) -> Path:
    """Return the folder of a trial."""
    return home / "trials" / f"{number:05d}"
