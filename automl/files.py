"""Write files so that a reader finds the old content or the new one, never a part."""

import errno
import fcntl
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from automl.errors import StorageError

# what the system says where a disk is full, broken, read-only or somebody else's, and no folder
DISK = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM)
NO_FOLDER = (errno.ENOTDIR, errno.EEXIST)
TEMPORARY = re.compile(r"^\..+\.[a-z0-9_]{8}$")  # as `write_with` names what is not whole yet


def write_with(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file beside `path`, then rename it into place durably."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    write_with(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_json(path: Path, data: Any) -> None:
    """Write a JSON file whole or not at all; numbers that are not finite become Infinity or NaN."""
    write_text(path, json.dumps(data, indent=1))


def read_json(path: Path) -> Any:
    """Return what a JSON file holds, or None if it is absent or not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sweep(folder: Path) -> None:
    """Remove the temporary files that killed processes have left below a folder."""
    for path in folder.rglob(".*"):
        if TEMPORARY.match(path.name) and path.is_file():
            path.unlink(missing_ok=True)


@contextmanager
def disk_faults() -> Iterator[None]:
    """Turn what the system says of a disk that cannot be written into one line.

    Raises:
        StorageError: the disk is full, read-only or the like.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in {*DISK, *NO_FOLDER}:
            raise
        where = error.filename or "a file of the study"
        said = f"{where}: {str(error.strerror).lower()}; see to it, then run the study again"
        raise StorageError(said) from error


@contextmanager
def held(path: Path, wait: Callable[[], bool]) -> Iterator[None]:
    """Hold a lock file, which its holder's death frees; `wait` says whether to try once more."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        while not _lock(handle) and wait():
            pass
        yield
    finally:
        os.close(handle)


def _lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
