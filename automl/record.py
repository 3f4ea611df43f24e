"""The record of a study: trials, attempts, reports and points in tables beside Optuna's own."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa

from automl.errors import StorageError, TakenError
from automl.events import Outcome, Reported
from automl.history import History, Trial
from automl.journal import Journal, ended, started
from automl.outcomes import to_json
from automl.rows import attempt_row, read_outcome, read_trials, report_row, trial_row
from automl.space import Space
from automl.storage import faults, is_shared, open_engine, outlast, settle
from automl.study import Study
from automl.tables import ATTEMPTS, REPORTS, STUDIES, TABLES, TRIALS, VERSION

T = TypeVar("T")
Numbers = Sequence[int]
Change = sa.Executable | tuple[sa.Executable, Sequence[Mapping[str, Any]]]  # with rows to insert


class Record:
    """One study's part of the database; every write is one transaction.

    Where several drivers share a study, every write is in its turn: it takes the row of the study
    first, and leaves a higher revision there and in the trials that it changes.

    Attributes:
        shared: whether several drivers may write at the same time.
        driver: the number of this driver, where drivers have one.

    Raises:
        StorageError: the database cannot be opened, read or written.
        TakenError: a trial is written that another driver has taken over.
    """

    def __init__(self, url: str, name: str, folder: Path) -> None:
        self.url = url
        self.name = name
        self.folder = folder
        self.shared = is_shared(url)
        self.driver: int | None = None
        self.engine = open_engine(url)
        self.journal = Journal(folder)
        self.held: sa.Connection | None = None  # the transaction of a turn
        with faults(url):
            TABLES.create_all(self.engine)
        self.id: int = -1

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Keep other drivers from writing to this study meanwhile; what is read stays true."""
        if not self.shared or self.held is not None:
            yield
            return
        with faults(self.url), self.engine.begin() as connection:
            connection.execute(sa.select(STUDIES.c.id).where(self._mine).with_for_update())
            self.held = connection
            try:
                yield
            finally:
                self.held = None

    @property
    def _mine(self) -> sa.ColumnElement[bool]:
        return STUDIES.c.id == self.id

    def write(
        self,
        *changes: Change,
        trials: Numbers = (),
        again: Sequence[Change] = (),
    ) -> None:
        """Make changes in one transaction, or in that of the turn.

        Args:
            changes: what to execute.
            trials: those that they change.
            again: what comes first when an earlier try may have been committed unheard.
        """
        if self.held is not None:
            self._write(self.held, [*again, *changes], trials)
            return

        def attempt(repeated: bool) -> None:
            with self.engine.begin() as connection:
                self._write(connection, [*again, *changes] if repeated else changes, trials)

        outlast(self.url, attempt, wait=self.shared)

    def _write(self, connection: sa.Connection, changes: Sequence[Change], trials: Numbers) -> None:
        if self.shared and self.id >= 0:
            revision = STUDIES.update().where(self._mine).values(revision=STUDIES.c.revision + 1)
            connection.execute(revision)
            self._refuse_taken(connection, trials)
        for change in changes:
            statement, *rows = change if isinstance(change, tuple) else (change,)
            connection.execute(statement, *rows)
        if self.shared and trials:
            now = sa.select(STUDIES.c.revision).where(self._mine).scalar_subquery()
            connection.execute(self._of(*trials).values(revision=now))

    def _refuse_taken(self, connection: sa.Connection, trials: Numbers) -> None:
        if self.driver is None or not trials:
            return
        query = sa.select(TRIALS.c.number).where(
            TRIALS.c.study == self.id,
            TRIALS.c.number.in_(list(trials)),
            TRIALS.c.driver != self.driver,
        )
        if taken := connection.execute(query).scalars().all():
            raise TakenError(f"another driver has trial {taken[0]} now")

    def read(self, look: Callable[[sa.Connection], T]) -> T:
        """Return what a function reads over a connection, that of the turn if there is one."""
        if self.held is not None:
            return look(self.held)

        def attempt(_again: bool) -> T:
            with self.engine.connect() as connection:
                return look(connection)

        return outlast(self.url, attempt, wait=self.shared)

    def rows(self, query: Any) -> Sequence[sa.Row[Any]]:
        """Read rows."""
        return self.read(lambda connection: connection.execute(query).all())

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
        row = {
            "name": self.name,
            "version": VERSION,
            "study": study,
            "fingerprint": fingerprint,
            "provenance": json.dumps(dict(provenance)),
        }
        self.write(STUDIES.insert().values(**row, seconds=0.0, revision=0))
        self.find()

    def took(self, seconds: float) -> None:
        """Record how long the study has taken; another driver may have seen more of it."""
        known = sa.case((STUDIES.c.seconds > seconds, STUDIES.c.seconds), else_=seconds)
        self.write(STUDIES.update().where(self._mine).values(seconds=known))

    def start(self, trial: Trial, optuna: int | None) -> None:
        """Record that a trial is about to run: its last attempt is the one that starts."""
        attempt = trial.attempts[-1]
        self.journal.write(start=started(trial))
        if attempt.number == 0:
            first = trial_row(self.id, trial, optuna, self.driver)
            change: Change = TRIALS.insert().values(**first)
        else:
            later = {"state": "running", "attempt": attempt.number, "outcome": None}
            change = self._of(trial.number).values(**later)
        begun = ATTEMPTS.insert().values(**attempt_row(self.id, trial.number, attempt))
        here = self._where_attempt(trial.number, attempt.number)
        forget = ATTEMPTS.delete().where(here)
        self.write(change, begun, trials=[trial.number], again=[forget])

    def restore(self, trials: Sequence[tuple[Trial, Outcome | None]]) -> None:
        """Write whole trials into an empty record, all in one transaction; Optuna is told later."""
        changes: list[Change] = []
        for trial, outcome in trials:
            text = json.dumps(to_json(outcome)) if outcome else None
            last = {"outcome": text, "attempt": trial.attempts[-1].number}
            row = trial_row(self.id, trial, None, self.driver) | last
            changes.append(TRIALS.insert().values(**row))
            rows = [attempt_row(self.id, trial.number, one) for one in trial.attempts]
            changes.append((ATTEMPTS.insert(), rows))
        self.write(*changes)

    def _of(self, *numbers: int) -> sa.Update:
        return TRIALS.update().where(TRIALS.c.study == self.id, TRIALS.c.number.in_(numbers))

    def placed(self, number: int, attempt: int, devices: Sequence[int], host: str) -> None:
        """Record on which host and devices an attempt runs."""
        where = self._where_attempt(number, attempt)
        given = {"devices": json.dumps(list(devices)), "host": host}
        self.write(ATTEMPTS.update().where(where).values(given), trials=[number])

    def _where_attempt(self, number: int, attempt: int) -> sa.ColumnElement[bool]:
        return sa.and_(
            ATTEMPTS.c.study == self.id, ATTEMPTS.c.trial == number, ATTEMPTS.c.number == attempt
        )

    def report(self, reports: Sequence[Reported]) -> None:
        """Add reports, all in one transaction."""
        rows = [report_row(one) for one in reports]
        if rows:
            self.journal.write(reports=rows)
            self.add_reports(rows)

    def add_reports(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add reports as rows of the database alone."""
        keys = [(row["trial"], row["attempt"], row["step"], row["seconds"]) for row in rows]
        one = sa.tuple_(REPORTS.c.trial, REPORTS.c.attempt, REPORTS.c.step, REPORTS.c.seconds)
        forget = REPORTS.delete().where(REPORTS.c.study == self.id, one.in_(keys))
        insert = (REPORTS.insert(), [{**row, "study": self.id} for row in rows])
        self.write(insert, trials=sorted({row["trial"] for row in rows}), again=[forget])

    def end(self, trial: Trial, outcome: Outcome, told: Sequence[int] = ()) -> None:
        """Record durably how a trial's last attempt ended; this comes before Optuna is told.

        `told` are earlier trials that Optuna has been told of since the last call.
        """
        attempt = trial.attempts[-1]
        self.journal.write(end=ended(trial, outcome))
        text = json.dumps(to_json(outcome))
        where = self._where_attempt(trial.number, attempt.number)
        self.write(
            self._of(trial.number).values(state=trial.state, outcome=text),
            ATTEMPTS.update().where(where).values(ended=attempt.ended, outcome=attempt.outcome),
            *([self._of(*told).values(told=True)] if told else []),
            trials=[trial.number],
        )
        settle(self.url)

    def keep(self, number: int, outcome: Outcome) -> None:
        """Change what is recorded of how a trial ended."""
        text = json.dumps(to_json(outcome))
        self.write(self._of(number).values(outcome=text), trials=[number])

    def outcome(self, number: int) -> Outcome | None:
        """Read how a trial ended."""
        where = (TRIALS.c.study == self.id, TRIALS.c.number == number)
        found = self.rows(sa.select(TRIALS.c.outcome).where(*where))
        return read_outcome(found[0].outcome) if found else None

    def proposed(self, number: int, optuna: int) -> None:
        """Record the number that Optuna gave to a trial."""
        self.write(self._of(number).values(optuna=optuna), trials=[number])

    def told(self, numbers: Numbers) -> None:
        """Record that Optuna has been told of trials; if this is lost, it is told once more."""
        if numbers:
            self.write(self._of(*numbers).values(told=True))

    def untold(self) -> list[int]:
        """Return the numbers of this driver's ended trials that Optuna has not been told of."""
        query = sa.select(TRIALS.c.number).where(
            TRIALS.c.study == self.id,
            TRIALS.c.told.is_(False),
            TRIALS.c.state.in_(("done", "stopped", "failed")),
            *([] if self.driver is None else [TRIALS.c.driver == self.driver]),
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

    def trials(self, numbers: Numbers | None = None) -> tuple[Trial, ...]:
        """Read trials with their attempts and reports: every one, or those of these numbers."""
        return self.read(lambda one: read_trials(one, self.id, self.folder, numbers))
