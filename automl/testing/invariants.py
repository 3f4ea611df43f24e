"""What must hold of a study's files at any moment at which no driver runs."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from automl.archive import read_study
from automl.files import TEMPORARY
from automl.history import Trial
from automl.housekeeping import points
from automl.record import Record
from automl.report.points import points as ranked
from automl.storage import faults, open_engine, url_of
from automl.study import Study

ENDED = {"done": "COMPLETE", "stopped": "PRUNED", "failed": None}
Rows = Sequence[Mapping[str, Any]]


def broken(
    home: Path,
    announced: Mapping[int, Mapping[str, float]] | None = None,
    budget: int | None = None,
) -> list[str]:
    """Return every promise that a study's folder does not keep, in words; none is right.

    Args:
        home: the study's folder; no driver may be running.
        announced: the metrics of trials that a driver has said to be done.
        budget: of trials, if it has changed since the study began.
    """
    study = read_study(home)
    url = url_of(study.storage, home)
    engine = open_engine(url)
    record = Record(url, study.name, home)
    record.find()
    with faults(url), engine.connect() as connection:
        ours = read(connection, "select * from automl_trial order by number")
        attempts = read(connection, "select * from automl_attempt order by trial, number")
        theirs = read(connection, "select * from trials order by number")
        said = "select * from trial_user_attributes"
        notes = read(connection, said)
    engine.dispose()
    history = record.history(study, read_space(study))
    record.close()
    return [
        *numbers(ours, budget or study.budget.trials),
        *tries(ours, attempts),
        *told(ours, theirs, notes),
        *lost(ours, announced or {}),
        *fronts(study, history.trials, ranked(history)),
        *files(home, history.trials),
    ]


def read(connection: sa.Connection, query: str) -> Rows:
    """Return the rows of a query as mappings."""
    return [dict(row) for row in connection.execute(sa.text(query)).mappings()]


def read_space(study: Study) -> Any:
    """Return the space of a resolved study."""
    from automl.archive import space_of

    return space_of(study)


def numbers(ours: Rows, budget: int | None) -> Iterator[str]:
    """Trials are numbered from 0 without a gap, within the budget, and none is under way."""
    if [row["number"] for row in ours] != list(range(len(ours))):
        yield f"trials are numbered {[row['number'] for row in ours]}"
    if budget is not None and len(ours) > budget:
        yield f"{len(ours)} trials were started, the budget is {budget}"


def tries(ours: Rows, attempts: Rows) -> Iterator[str]:
    """The attempts of a trial follow each other, and the last one has ended if the trial has."""
    for row in ours:
        mine = [one for one in attempts if one["trial"] == row["number"]]
        if [one["number"] for one in mine] != list(range(row["attempt"] + 1)):
            yield f"trial {row['number']} has attempts {[one['number'] for one in mine]}"
        elif row["state"] in ENDED and mine[-1]["ended"] is None:
            yield f"trial {row['number']} is {row['state']}, its attempt has no end"
        if any(one["ended"] is not None and one["ended"] < one["started"] for one in mine):
            yield f"trial {row['number']} ended before it began"


def told(ours: Rows, theirs: Rows, notes: Rows) -> Iterator[str]:
    """Optuna knows each ended trial once, with the same end; no point of a trial is there twice."""
    states = {row["number"]: str(row["state"]) for row in theirs}
    proposals = Counter(row["optuna"] for row in ours if row["optuna"] is not None)
    yield from (f"two trials are Optuna's {n}" for n, count in proposals.items() if count > 1)
    for row in ours:
        state, expected = states.get(row["optuna"], "nothing"), ENDED.get(row["state"])
        if row["told"] and expected and not state.endswith(expected):
            yield f"trial {row['number']} is {row['state']}, Optuna says {state}"
        if row["told"] and state.endswith(("RUNNING", "WAITING")):
            yield f"trial {row['number']} was told, Optuna says {state}"
    values: dict[int, dict[str, str]] = {}
    for note in notes:
        values.setdefault(note["trial_id"], {})[note["key"]] = note["value_json"]
    named = Counter(
        (one.get("automl:trial"), one["automl:point"])
        for one in values.values()
        if "automl:point" in one
    )
    yield from (f"point {key} was told {count} times" for key, count in named.items() if count > 1)


def lost(ours: Rows, announced: Mapping[int, Mapping[str, float]]) -> Iterator[str]:
    """What was announced is recorded, with the values that were announced."""
    rows = {row["number"]: row for row in ours}
    for number, metrics in announced.items():
        row = rows.get(number)
        if row is None or row["state"] != "done":
            yield f"trial {number} was announced as done, it is {row and row['state']}"
        elif json.loads(row["outcome"])["metrics"] != dict(metrics):
            yield f"trial {number} was announced with other values"


def fronts(study: Study, trials: Sequence[Trial], rows: Sequence[Any]) -> Iterator[str]:
    """The front of the report is that of the record, by comparing each point with every other."""
    found = [point for trial in trials for point in points(study, trial)]
    every = [(one, one.values) for one in found if one.values is not None]
    signs = [1 if goal == "minimize" else -1 for goal in study.goals]
    costs = [tuple(s * v for s, v in zip(signs, values, strict=True)) for _, values in every]
    front = {
        (one.trial, one.name)
        for (one, _), mine in zip(every, costs, strict=True)
        if not any(dominates(other, mine) for other in costs)
    }
    shown = {(row.trial, row.name) for row in rows if row.front}
    if front != shown:
        yield f"the front is {sorted(front)}, the report shows {sorted(shown)}"
    keep = study.checkpoints.keep
    for one, _ in every:
        if keep == "pareto" and not one.name and (one.trial, "") in front and not one.artifact:
            weights = [o for o in found if o.artifact is not None]
            if weights:
                yield f"the artefact of trial {one.trial}{one.name} on the front is gone"


def dominates(left: Sequence[float], right: Sequence[float]) -> bool:
    """Say whether a vector to minimize dominates another."""
    return all(a <= b for a, b in zip(left, right, strict=True)) and tuple(left) != tuple(right)


def files(home: Path, trials: Sequence[Trial]) -> Iterator[str]:
    """Every file that is named exists, and none that is half written is left."""
    for trial in trials:
        names = [trial.artifact, *(point.artifact for point in trial.points)]
        for name in filter(None, names):
            if not (trial.folder / name).exists():
                yield f"trial {trial.number} names {name}, which is gone"
    for path in home.rglob(".*"):
        if TEMPORARY.match(path.name):
            yield f"{path.relative_to(home)} is half written"
