"""Databases: settings that keep processes from harming each other's writes, and their faults."""

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Engine, NullPool, create_engine, event, func, inspect, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import (
    DBAPIError,
    InterfaceError,
    NoSuchModuleError,
    OperationalError,
    PendingRollbackError,
    SQLAlchemyError,
)

from automl.env import mask, resolve
from automl.errors import LostError, StorageError

WAIT = 60  # seconds to wait for another writer
PATIENCE = 60.0  # seconds to wait for a database that does not answer
PAUSE = 1.0  # seconds between two tries
IDLE = 120  # seconds after which the server ends a transaction whose driver sleeps
OPENING = 4_217_003  # the number of the lock under which tables are made
T = TypeVar("T")
HINTS = {
    "locked": f"another process has held it for {WAIT} s; end that, then run the study again",
    "readonly": "make it writable, then run the study again",
    "full": "free some space, then run the study again",
    "disk i/o": "is the disk full? See to it, then run the study again",
    "malformed": "`automl repair` rebuilds it",
    "not a database": "`automl repair` rebuilds it",
}


def url_of(storage: str, home: Path) -> str:
    """Return the database URL of a study: `auto` is a file in its folder; secrets are filled in.

    Raises:
        StorageError: the URL is not one.
    """
    if storage == "auto":
        return f"sqlite:///{home / 'study.db'}"
    try:
        return make_url(resolve(storage)).render_as_string(hide_password=False)
    except (SQLAlchemyError, ValueError) as error:  # whose message may hold the secret
        raise StorageError(f"storage: {mask(storage)!r} is not a database URL") from error


def is_sqlite(url: str) -> bool:
    """Say whether a URL is of SQLite."""
    return url.startswith("sqlite")


def is_shared(url: str) -> bool:
    """Say whether several drivers may share a database: it has row locks and a clock of its own."""
    return url.startswith("postgresql")


def open_engine(url: str) -> Engine:
    """Open a database with our settings."""
    if is_sqlite(url):
        engine = create_engine(url, connect_args={"timeout": WAIT, "check_same_thread": False})
    else:
        engine = other_engine(url, pool_pre_ping=True)
    harden(engine)
    return engine


def other_engine(url: str, **settings: Any) -> Engine:
    """Open a database that is not of SQLite.

    Raises:
        StorageError: there is no such kind of database, or what speaks with it is not installed.
    """
    name = make_url(url).drivername
    known = "for PostgreSQL write postgresql+psycopg://… (extra `postgres`)"
    try:
        return create_engine(url, **settings)
    except NoSuchModuleError:
        raise StorageError(f"storage: no kind of database is called {name!r}; {known}") from None
    except ModuleNotFoundError as error:
        said = f"storage: {name!r} needs the package {error.name!r}, which is not installed"
        raise StorageError(f"{said}; {known}") from error


def harden(engine: Engine) -> None:
    """Give SQLite a write-ahead log, and transactions that claim the writer's place at once.

    Without the second two processes read the same state, decide, and both write. PostgreSQL ends
    the transaction of a driver that sleeps or whose host is gone, for others wait for it.
    """
    if engine.dialect.name == "postgresql":
        event.listen(engine, "connect", limit_idle)
    if engine.dialect.name != "sqlite":
        return

    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # or the driver begins transactions of its own
        cursor = connection.cursor()
        for pragma in (
            "journal_mode=WAL",
            "synchronous=NORMAL",
            f"busy_timeout={int(WAIT * 1000)}",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def on_begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def limit_idle(connection: Any, _record: Any) -> None:
    """Have the server end a transaction in which nothing comes any more."""
    cursor = connection.cursor()
    cursor.execute(f"SET idle_in_transaction_session_timeout = '{IDLE}s'")
    cursor.close()
    connection.commit()


def reach(url: str) -> None:
    """Connect to a database that is a server's, and leave it; a file is made when it is needed.

    Raises:
        StorageError: it cannot be reached.
    """
    if is_sqlite(url):
        return
    with faults(url):
        engine = create_engine(url, poolclass=NullPool)
        engine.connect().close()


@contextmanager
def alone(url: str) -> Iterator[None]:
    """Keep other drivers from opening a shared database at the same time: one makes the tables."""
    if not is_shared(url):
        yield
        return
    engine = other_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with faults(url), engine.connect() as connection:
        connection.execute(select(func.pg_advisory_lock(OPENING)))
        yield


def rename(url: str, study: str, name: str) -> None:
    """Give a study in a database another name, to us and to Optuna, if it is there."""
    engine = other_engine(url, poolclass=NullPool)
    with faults(url), engine.begin() as connection:
        there = inspect(connection)
        for table, column in (("automl_study", "name"), ("studies", "study_name")):
            if there.has_table(table):
                change = f"UPDATE {table} SET {column} = :name WHERE {column} = :study"  # noqa: S608 - both are ours
                connection.execute(text(change), {"name": name, "study": study})


def outlast(url: str, call: Callable[[bool], T], *, wait: bool = True) -> T:
    """Return what a call returns, and call again for a minute while the database does not answer.

    Args:
        url: the database.
        call: what to do; it is told whether an earlier try may have done it already, unheard.
        wait: whether to try again at all.

    Raises:
        StorageError: the database refuses, or has not come back.
    """
    again = False
    first = 0.0  # when the database did not answer; the driver may have slept before that
    while True:
        try:
            with faults(url):
                return call(again)
        except LostError as error:
            first = first or time.monotonic()
            if not wait or time.monotonic() - first > PATIENCE:
                raise
            if not again:
                logging.getLogger("automl").warning("%s; trying for %g s", error, PATIENCE)
            again = True
            time.sleep(PAUSE)


def file_of(url: str) -> Path | None:
    """Return the file of a SQLite database, or None if it is another one."""
    name = make_url(url).database if is_sqlite(url) else None
    return Path(name) if name and not name.startswith((":", "file:")) else None


def settle(url: str) -> None:
    """Have what was committed survive a loss of power, which SQLite leaves for later here."""
    file = file_of(url)
    log = file and file.with_name(f"{file.name}-wal")
    if log and log.exists():
        with log.open("rb") as written:
            os.fsync(written.fileno())


@contextmanager
def faults(url: str) -> Iterator[None]:
    """Turn what a database says, to us or to Optuna, into one line without secrets.

    Raises:
        StorageError: whatever the database has refused.
    """
    try:
        yield
    except Exception as error:
        found = cause(error)
        if found is None:
            raise
        lines = str(getattr(found, "orig", None) or found).splitlines() or [type(found).__name__]
        said = lines[0]
        hints = [hint for word, hint in HINTS.items() if word in said.lower()]
        advice = hints[0] if hints else "see to it, then run the study again"
        kind = LostError if is_lost(url, found) else StorageError
        raise kind(f"database {mask(url)}: {mask(said)}; {advice}") from error


def is_lost(url: str, error: SQLAlchemyError) -> bool:
    """Say whether an error means that a server does not answer, not that it refuses."""
    broken = isinstance(error, DBAPIError) and error.connection_invalidated
    kinds = OperationalError | InterfaceError | PendingRollbackError  # the last comes after others
    return is_shared(url) and (broken or isinstance(error, kinds))


def cause(error: BaseException | None) -> SQLAlchemyError | None:
    """Return the fault of a database that is behind an error, or None if it is another error."""
    while error is not None and not isinstance(error, SQLAlchemyError):
        error = error.__cause__
    return error
