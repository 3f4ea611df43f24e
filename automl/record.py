"""The record of a study: trials, attempts, reports and points in tables beside Optuna's own."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from automl.errors import StorageError
from automl.events import Outcome, Reported
from automl.history import Attempt, History, Report, Trial
from automl.journal import Journal, ended, started
from automl.outcomes import from_json, to_json
from automl.space import Space, Value
from automl.storage import faults, open_engine
from automl.study import Study
from automl.tables import ATTEMPTS, REPORTS, STUDIES, TABLES, TRIALS, VERSION


class Record:
    """One study's part of the database; every write is one transaction.

    Raises:
        StorageError: the database cannot be opened, read or written.
    """

    def __init__(self, url: str, name: str, folder: Path) -> None:
        self.url = url
        self.name = name
        self.folder = folder
        self.engine = open_engine(url)
        self.journal = Journal(folder)
        with faults(url):
            TABLES.create_all(self.engine)
        self.id: int = -1

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """Open a transaction."""
        with faults(self.url), self.engine.begin() as connection:
            yield connection

    def rows(self, query: Any) -> Sequence[sa.Row[Any]]:
        """Read."""
        with faults(self.url), self.engine.connect() as connection:
            return connection.execute(query).all()

    def close(self) -> None:
        """Close the connections; another use opens new ones."""
        self.engine.dispose()

    def find(self) -> sa.Row[Any] | None:
        """Return the row of this study, or None if it is new."""
        found = self.rows(sa.select(STUDIES).where(STUDIES.c.name == self.name))
        if not found:
            return None
        if found[0].version != VERSION:
            raise StorageError(
                f"study {self.name!r} was written in format {found[0].version}, this automl reads "
                f"{VERSION}; update automl, or choose another name"
            )
        self.id = found[0].id
        return found[0]

    def create(self, study: str, fingerprint: str, provenance: Mapping[str, str]) -> None:
        """Add this study."""
        self.journal.write(
            study={"study": study, "fingerprint": fingerprint, "provenance": dict(provenance)}
        )
        self.add(study, fingerprint, provenance)

    def add(self, study: str, fingerprint: str, provenance: Mapping[str, str]) -> None:
        """Add this study to the database alone."""
        with self.write() as connection:
            made = connection.execute(
                STUDIES.insert().values(
                    name=self.name,
                    version=VERSION,
                    study=study,
                    fingerprint=fingerprint,
                    provenance=json.dumps(dict(provenance)),
                    seconds=0.0,
                )
            )
            self.id = made.inserted_primary_key[0]  # type: ignore[index]

    def update(self, **columns: Any) -> None:
        """Change columns of this study's row."""
        with self.write() as connection:
            connection.execute(STUDIES.update().where(STUDIES.c.id == self.id).values(**columns))

    def start(self, trial: Trial, optuna: int | None) -> None:
        """Record that a trial is about to run: its last attempt is the one that starts."""
        attempt = trial.attempts[-1]
        self.journal.write(start=started(trial))
        with self.write() as connection:
            if attempt.number == 0:
                connection.execute(TRIALS.insert().values(**self._trial(trial, optuna)))
            else:
                again = {"state": "running", "attempt": attempt.number, "outcome": None}
                connection.execute(self._of(trial.number).values(**again))
            connection.execute(ATTEMPTS.insert().values(**self._begun(trial.number, attempt)))

    def _begun(self, trial: int, attempt: Attempt) -> dict[str, Any]:
        return {
            "study": self.id,
            "trial": trial,
            "number": attempt.number,
            "started": attempt.started,
            "ended": attempt.ended,
            "devices": "[]",
            "host": attempt.host,
            "outcome": attempt.outcome,
        }

    def restore(self, trials: Sequence[tuple[Trial, Outcome | None]]) -> None:
        """Write whole trials into an empty record, all in one transaction; Optuna is told later."""
        with self.write() as connection:
            for trial, outcome in trials:
                text = json.dumps(to_json(outcome)) if outcome else None
                last = trial.attempts[-1].number
                row = self._trial(trial, None) | {"outcome": text, "attempt": last}
                connection.execute(TRIALS.insert().values(**row))
                rows = [self._begun(trial.number, one) for one in trial.attempts]
                connection.execute(ATTEMPTS.insert(), rows)

    def _trial(self, trial: Trial, optuna: int | None) -> dict[str, Any]:
        return {
            "study": self.id,
            "number": trial.number,
            "state": trial.state,
            "params": json.dumps(dict(trial.params)),
            "origin": trial.origin,
            "seed": trial.seed,
            "optuna": optuna,
            "attempt": 0,
            "told": False,
        }

    def _of(self, number: int) -> sa.Update:
        return TRIALS.update().where(TRIALS.c.study == self.id, TRIALS.c.number == number)

    def placed(self, number: int, attempt: int, devices: Sequence[int]) -> None:
        """Record on which devices an attempt runs."""
        with self.write() as connection:
            connection.execute(
                self._attempt(number, attempt).values(devices=json.dumps(list(devices)))
            )

    def _attempt(self, number: int, attempt: int) -> sa.Update:
        return ATTEMPTS.update().where(
            ATTEMPTS.c.study == self.id, ATTEMPTS.c.trial == number, ATTEMPTS.c.number == attempt
        )

    def report(self, reports: Sequence[Reported]) -> None:
        """Add reports, all in one transaction."""
        rows = [
            {
                "trial": one.spec.number,
                "attempt": one.spec.attempt,
                "step": one.step,
                "seconds": one.seconds,
                "metrics": json.dumps(dict(one.metrics)),
            }
            for one in reports
        ]
        if rows:
            self.journal.write(reports=rows)
            self.add_reports(rows)

    def add_reports(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add reports as rows of the database alone."""
        with self.write() as connection:
            connection.execute(REPORTS.insert(), [{**row, "study": self.id} for row in rows])

    def end(self, trial: Trial, outcome: Outcome, told: Sequence[int] = ()) -> None:
        """Record how the last attempt of a trial ended; this comes before Optuna is told.

        `told` are earlier trials that Optuna has been told of since the last call.
        """
        attempt = trial.attempts[-1]
        self.journal.write(end=ended(trial, outcome))
        text = json.dumps(to_json(outcome))
        with self.write() as connection:
            connection.execute(self._of(trial.number).values(state=trial.state, outcome=text))
            connection.execute(
                self._attempt(trial.number, attempt.number).values(
                    ended=attempt.ended, outcome=attempt.outcome
                )
            )
            self._told(connection, told)

    def keep(self, number: int, outcome: Outcome) -> None:
        """Change what is recorded of how a trial ended."""
        text = json.dumps(to_json(outcome))
        with self.write() as connection:
            connection.execute(self._of(number).values(outcome=text))

    def outcome(self, number: int) -> Outcome | None:
        """Read how a trial ended."""
        where = (TRIALS.c.study == self.id, TRIALS.c.number == number)
        found = self.rows(sa.select(TRIALS.c.outcome).where(*where))
        return from_json(json.loads(found[0].outcome)) if found and found[0].outcome else None

    def proposed(self, number: int, optuna: int) -> None:
        """Record the number that Optuna gave to a trial."""
        with self.write() as connection:
            connection.execute(self._of(number).values(optuna=optuna))

    def told(self, numbers: Sequence[int]) -> None:
        """Record that Optuna has been told of trials; if this is lost, it is told once more."""
        with self.write() as connection:
            self._told(connection, numbers)

    def _told(self, connection: sa.Connection, numbers: Sequence[int]) -> None:
        if numbers:
            which = TRIALS.c.number.in_(list(numbers))
            update = TRIALS.update().where(TRIALS.c.study == self.id, which)
            connection.execute(update.values(told=True))

    def untold(self) -> list[int]:
        """Return the numbers of ended trials that Optuna has not been told of."""
        query = sa.select(TRIALS.c.number).where(
            TRIALS.c.study == self.id,
            TRIALS.c.told.is_(False),
            TRIALS.c.state.in_(("done", "stopped", "failed")),
        )
        return [row.number for row in self.rows(query.order_by(TRIALS.c.number))]

    def proposals(self) -> dict[int, int]:
        """Return the number that Optuna gave to each trial."""
        query = sa.select(TRIALS.c.number, TRIALS.c.optuna).where(TRIALS.c.study == self.id)
        return {row.number: row.optuna for row in self.rows(query) if row.optuna is not None}

    def history(self, study: Study, space: Space) -> History:
        """Read the whole study."""
        found = self.find()
        provenance = json.loads(found.provenance) if found else {}
        return History(study, space, self.trials(), self.folder, provenance)

    def trials(self) -> tuple[Trial, ...]:
        """Read every trial with its attempts and reports."""
        attempts: dict[int, list[Attempt]] = {}
        query = sa.select(ATTEMPTS).where(ATTEMPTS.c.study == self.id)
        for row in self.rows(query.order_by(ATTEMPTS.c.trial, ATTEMPTS.c.number)):
            attempts.setdefault(row.trial, []).append(read_attempt(row))
        reports: dict[int, list[Report]] = {}
        query = sa.select(REPORTS).where(REPORTS.c.study == self.id)
        for row in self.rows(query.order_by(REPORTS.c.id)):
            report = Report(row.step, row.seconds, json.loads(row.metrics))
            reports.setdefault(row.trial, []).append(report)
        query = sa.select(TRIALS).where(TRIALS.c.study == self.id).order_by(TRIALS.c.number)
        return tuple(
            self._read(row, tuple(attempts.get(row.number, ())), tuple(reports.get(row.number, ())))
            for row in self.rows(query)
        )

    def _read(self, row: Any, attempts: tuple[Attempt, ...], reports: tuple[Report, ...]) -> Trial:
        outcome = from_json(json.loads(row.outcome)) if row.outcome else None
        params: Mapping[str, Value] = json.loads(row.params)
        done = outcome is not None and row.state == "done"
        return Trial(
            number=row.number,
            state=row.state,
            params=params,
            origin=row.origin,
            seed=row.seed,
            folder=trial_folder(self.folder, row.number),
            metrics=outcome.metrics if outcome and done else {},
            points=outcome.points if outcome and done else (),
            reports=reports,
            attempts=attempts,
            failure=outcome.failure if outcome else None,
            artifact=outcome.artifact if outcome and done else None,
        )


def read_attempt(row: Any) -> Attempt:
    """Make a record of a row."""
    devices = tuple(f"cuda:{one}" for one in json.loads(row.devices)) or ("cpu",)
    return Attempt(row.number, row.started, row.ended, devices, row.host, row.outcome)


def trial_folder(home: Path, number: int) -> Path:
    """Return the folder of a trial."""
    return home / "trials" / f"{number:05d}"
