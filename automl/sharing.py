"""Several drivers of one study: who is alive, whose trial is whose, and what others have written.

A driver signs in, and beats while it lives. One that has not beaten for `LEASE` seconds by the
database's clock, or whose process is gone from this host, has lost its trials: another takes them.
"""

from pathlib import Path
from typing import Any

import psutil
import sqlalchemy as sa

from automl.history import Trial
from automl.orphans import SLACK
from automl.provenance import host
from automl.record import Record
from automl.tables import DRIVERS, STUDIES, TRIALS

LEASE = 90.0  # seconds; a driver gives up after a minute without its database, before this
NOW = sa.cast(sa.extract("epoch", sa.func.clock_timestamp()), sa.Float)


class Sharing:
    """This driver among those of a study.

    Args:
        record: of the study, whose database several drivers may share.
    """

    def __init__(self, record: Record) -> None:
        self.record = record
        self.seen = 0  # the revision of the study up to which others' trials are known

    def join(self) -> None:
        """Sign in."""
        process = psutil.Process()
        row = {"study": self.record.id, "host": place(), "pid": process.pid, "gone": False}
        insert = DRIVERS.insert().values(**row, started=process.create_time(), beat=NOW)
        with self.record.turn():
            self.record.write(insert)
            newest = sa.select(sa.func.max(DRIVERS.c.id)).where(DRIVERS.c.study == self.record.id)
            self.record.driver = self.record.rows(newest)[0][0]

    def beat(self) -> None:
        """Tell that this driver lives; if it was thought gone, it is back, without its trials."""
        self.record.write(self._me().values(beat=NOW, gone=False))

    def leave(self) -> None:
        """Sign out: others take what is not finished."""
        self.record.write(self._me().values(gone=True))

    def _me(self) -> sa.Update:
        return DRIVERS.update().where(DRIVERS.c.id == self.record.driver)

    def take_over(self) -> list[int]:
        """Take the trials of drivers that are gone; returns their numbers."""
        with self.record.turn():
            gone = [row.id for row in self.record.rows(self._others()) if is_gone(row)]
            here = (TRIALS.c.study == self.record.id, TRIALS.c.driver.in_(gone))
            query = sa.select(TRIALS.c.number).where(*here)
            numbers = [row.number for row in self.record.rows(query)] if gone else []
            if numbers:
                now = sa.select(STUDIES.c.revision).where(STUDIES.c.id == self.record.id)
                taken = {"driver": self.record.driver, "revision": now.scalar_subquery()}
                self.record.write(
                    DRIVERS.update().where(DRIVERS.c.id.in_(gone)).values(gone=True),
                    TRIALS.update().where(*here).values(**taken),
                )
            return sorted(numbers)

    def _others(self) -> Any:
        late = (NOW - DRIVERS.c.beat).label("silent")
        return sa.select(DRIVERS, late).where(
            DRIVERS.c.study == self.record.id, DRIVERS.c.id != self.record.driver
        )

    def news(self) -> tuple[Trial, ...]:
        """Read the trials of other drivers that were written since the last call."""
        query = sa.select(TRIALS.c.number, TRIALS.c.revision).where(
            TRIALS.c.study == self.record.id,
            TRIALS.c.revision > self.seen,
            sa.or_(TRIALS.c.driver.is_(None), TRIALS.c.driver != self.record.driver),
        )
        changed = self.record.rows(query)
        if not changed:
            return ()
        self.seen = max(row.revision for row in changed)
        return self.record.trials([row.number for row in changed])

    def owned(self) -> set[int]:
        """Return the numbers of this driver's trials."""
        mine = (TRIALS.c.study == self.record.id, TRIALS.c.driver == self.record.driver)
        return {row.number for row in self.record.rows(sa.select(TRIALS.c.number).where(*mine))}


def is_gone(row: Any) -> bool:
    """Say whether a driver is dead, has left, or has not beaten for too long."""
    if row.gone or row.silent > LEASE:
        return True
    if row.host != place():
        return False
    try:
        process = psutil.Process(row.pid)
        same = abs(process.create_time() - row.started) < SLACK
        return not same or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def place() -> str:
    """Return where process numbers have the same meaning: the host, and the container on it."""
    spaces = Path("/proc/self/ns/pid")
    return f"{host()} {spaces.readlink()}" if spaces.is_symlink() else host()
