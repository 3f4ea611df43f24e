"""The last resort: a file beside the database with a line for all that the database is told."""

import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from automl.errors import StorageError
from automl.events import Outcome
from automl.history import Trial
from automl.outcomes import to_json

NAME = "journal.jsonl"


class Journal:
    """Appends lines to a file; nothing is ever changed in it.

    A line is one entry, `{"start": {...}}` for instance. It is there before the database knows, so
    what the database loses is still there. Several drivers may write to one file.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME

    def write(self, **entry: Any) -> None:
        """Append an entry.

        Raises:
            StorageError: the file cannot be written.
        """
        line = json.dumps(entry).encode() + b"\n"
        try:
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX)
                torn = ends_torn(handle)
                written = os.write(handle, b"\n" + line if torn else line)
            finally:
                os.close(handle)
        except OSError as error:
            raise StorageError(f"{self.path}: cannot write: {error.strerror}") from error
        if written != len(line) + torn:
            raise StorageError(f"{self.path}: cannot write: no space left on device")

    def entries(self) -> Iterator[tuple[str, Any]]:
        """Yield the kind and the content of every entry; what a kill has torn is left out."""
        if not self.path.is_file():
            return
        with self.path.open("rb") as lines:
            for line in lines:
                try:
                    entry = json.loads(line)
                except ValueError:
                    continue
                if isinstance(entry, dict):
                    yield from entry.items()


def ends_torn(handle: int) -> bool:
    """Say whether a file ends within a line, as a kill in the midst of a write leaves it."""
    size = os.fstat(handle).st_size
    return size > 0 and os.pread(handle, 1, size - 1) != b"\n"


def started(trial: Trial) -> dict[str, Any]:
    """Return what is written of the start of a trial's last attempt."""
    attempt = trial.attempts[-1]
    return {
        "number": trial.number,
        "params": dict(trial.params),
        "origin": trial.origin,
        "seed": trial.seed,
        "attempt": attempt.number,
        "started": attempt.started,
        "host": attempt.host,
    }


def ended(trial: Trial, outcome: Outcome) -> dict[str, Any]:
    """Return what is written of the end of a trial's last attempt."""
    attempt = trial.attempts[-1]
    return {
        "number": trial.number,
        "attempt": attempt.number,
        "state": trial.state,
        "ended": attempt.ended,
        "word": attempt.outcome,
        "outcome": to_json(outcome),
    }
