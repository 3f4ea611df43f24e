"""Rebuild the database of a study from the journal beside it and from what trials left."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from automl.archive import folder_of, read_study
from automl.errors import StorageError
from automl.events import Outcome
from automl.files import read_json
from automl.history import Attempt, Point, Trial
from automl.journal import NAME, Journal
from automl.launch import locked
from automl.outcomes import from_json
from automl.record import Record
from automl.rows import trial_folder
from automl.storage import file_of, url_of
from automl.study import Study


@dataclass
class Found:
    """What the files of a study's folder tell of it."""

    study: dict[str, Any] = field(default_factory=dict)
    trials: dict[int, Trial] = field(default_factory=dict)
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    reports: list[dict[str, Any]] = field(default_factory=list)


def repair(named: str) -> str:
    """Rebuild a study's database; the old one is renamed, nothing is deleted.

    Optuna's part is written when the study is run again: a sampler that counts, such as `qmc`,
    begins anew then.

    Args:
        named: its name below `runs`, its folder, or its study file.

    Returns:
        What was done, in one line.

    Raises:
        StorageError: it runs, its database still has it, or there is nothing to rebuild it from.
    """
    home = folder_of(named)
    study = read_study(home)
    with locked(home):
        found = collect(home)
        if not found.study:
            raise StorageError(f"{home / NAME}: tells nothing of a study; it cannot be rebuilt")
        url = url_of(study.storage, home)
        aside = put_aside(file_of(url))
        write(Record(url, study.name, home), found, study)
    ended = sum(trial.state not in {"running", "waiting"} for trial in found.trials.values())
    kept = f"; the old database is {aside}" if aside else ""
    return f"{study.name}: {len(found.trials)} trials rebuilt, {ended} of them ended{kept}"


def write(record: Record, found: Found, study: Study) -> None:
    """Fill an empty record."""
    if record.find() is not None:
        raise StorageError(
            f"the database still has study {study.name!r}; if it is damaged, remove it there first"
        )
    given = found.study
    record.add(given["study"], given["fingerprint"], given["provenance"])
    ordered = [found.trials[number] for number in sorted(found.trials)]
    record.restore([(trial, found.outcomes.get(trial.number)) for trial in ordered])
    if found.reports:
        record.add_reports(found.reports)
    record.took(sum(trial.seconds for trial in ordered))


def put_aside(file: Path | None) -> Path | None:
    """Rename a database file and what SQLite keeps beside it."""
    if file is None or not file.exists():
        return None
    stamp = time.strftime("%Y%m%d-%H%M%S")
    for end in ("-wal", "-shm", ""):
        part = file.with_name(file.name + end)
        if part.exists():
            part.rename(file.with_name(f"{file.name}.{stamp}{end}"))
    return file.with_name(f"{file.name}.{stamp}")


def collect(home: Path) -> Found:
    """Read the journal, and the results of trials that it does not know."""
    found = Found()
    for kind, entry in Journal(home).entries():
        match kind:
            case "study":
                found.study = entry
            case "start":
                start(found, home, entry)
            case "end":
                end(found, entry)
            case "reports":
                found.reports += entry
    for path in sorted((home / "trials").glob("*/result.json")):
        unknown(found, home, path)
    return found


def start(found: Found, home: Path, entry: Mapping[str, Any]) -> None:
    """Take in the start of an attempt."""
    number = entry["number"]
    began = Attempt(entry["attempt"], entry["started"], None, ("cpu",), entry["host"], "")
    blank = Trial(
        number,
        "running",
        entry["params"],
        entry["origin"],
        entry["seed"],
        trial_folder(home, number),
    )
    was = found.trials.get(number, blank) if began.number else blank
    earlier = [one for one in was.attempts if one.number < began.number]
    found.trials[number] = replace(was, state="running", attempts=(*earlier, began))
    found.outcomes.pop(number, None)


def end(found: Found, entry: Mapping[str, Any]) -> None:
    """Take in the end of an attempt."""
    number = entry["number"]
    was = found.trials.get(number)
    if was is None:
        return
    *earlier, last = was.attempts
    last = replace(last, ended=entry["ended"], outcome=entry["word"])
    found.trials[number] = replace(was, state=entry["state"], attempts=(*earlier, last))
    found.outcomes[number] = there(from_json(entry["outcome"]), was.folder)


def there(outcome: Outcome, folder: Path) -> Outcome:
    """Forget artefacts that housekeeping has removed since."""
    points = tuple(
        point if point.artifact and (folder / point.artifact).exists() else _bare(point)
        for point in outcome.points
    )
    own = outcome.artifact
    kept = own if own and (folder / own).exists() else None
    return replace(outcome, points=points, artifact=kept)


def _bare(point: Point) -> Point:
    return replace(point, artifact=None)


def unknown(found: Found, home: Path, path: Path) -> None:
    """Take in a trial of which only its own folder tells; the next run reads its result."""
    result = read_json(path)
    number = int(path.parent.name)
    if number in found.trials or not result or "params" not in result:
        return
    when = path.stat().st_mtime
    for attempt in range(result["attempt"] + 1):
        entry = {"number": number, "params": result["params"], "seed": result["seed"]}
        start(found, home, entry | {"attempt": attempt, "started": when, "host": "", "origin": ""})
