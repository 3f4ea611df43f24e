"""Database settings that keep several processes from harming each other's writes."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from automl.env import mask, resolve
from automl.errors import StorageError

WAIT = 60  # seconds to wait for another writer
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


def open_engine(url: str) -> Engine:
    """Open a database with our settings."""
    if is_sqlite(url):
        engine = create_engine(url, connect_args={"timeout": WAIT, "check_same_thread": False})
    else:
        engine = create_engine(url, pool_pre_ping=True)
    harden(engine)
    return engine


def harden(engine: Engine) -> None:
    """Give SQLite a write-ahead log, and transactions that claim the writer's place at once.

    Without the second two processes read the same state, decide, and both write.
    """
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


def file_of(url: str) -> Path | None:
    """Return the file of a SQLite database, or None if it is another one."""
    name = make_url(url).database if is_sqlite(url) else None
    return Path(name) if name and not name.startswith((":", "file:")) else None


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
        raise StorageError(f"database {mask(url)}: {mask(said)}; {advice}") from error


def cause(error: BaseException | None) -> SQLAlchemyError | None:
    """Return the fault of a database that is behind an error, or None if it is another error."""
    while error is not None and not isinstance(error, SQLAlchemyError):
        error = error.__cause__
    return error
