"""Database settings that keep several processes from harming each other's writes."""

from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import make_url

from automl.env import mask, resolve
from automl.errors import StorageError

WAIT = 60  # seconds to wait for another writer


def url_of(storage: str, home: Path) -> str:
    """Return the database URL of a study: `auto` is a file in its folder; secrets are filled in.

    Raises:
        StorageError: the URL is not one.
    """
    if storage == "auto":
        return f"sqlite:///{home / 'study.db'}"
    try:
        return make_url(resolve(storage)).render_as_string(hide_password=False)
    except Exception as error:  # the message of the driver may hold the secret
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
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", f"busy_timeout={WAIT * 1000}"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def on_begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
