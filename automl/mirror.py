"""A study's folder in an object store: a working copy here, and the same files at a URL.

Everything else works on the working copy. While a study runs, what changed in it is copied to the
URL every few seconds, the database last; on another machine it is copied back before the study goes
on. Any URL that fsspec knows will do.
"""

import os
import sqlite3
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import psutil

from automl.errors import AutomlError, StorageError
from automl.files import TEMPORARY, read_json, write_json, write_with
from automl.folders import working
from automl.orphans import NAME as SIGNED
from automl.provenance import host

LEASE = 60.0  # seconds after which a driver that gave no sign is gone
STATE = ".mirror.json"  # what working copy and URL were when they were last equal
DATABASE = "study.db"
DRIVER = "driver.json"  # at the URL: who writes there
LIGHT = 16_000_000  # bytes; a file above is copied only where it is needed
HERE = {STATE, SIGNED, "driver.lock", "prepare.lock", f"{DATABASE}-wal", f"{DATABASE}-shm"}
TOKENS = ("ETag", "etag", "md5Hash", "mtime", "LastModified", "last_modified", "created")

Stamp = list[Any]


class Mirror:
    """One study's folder, here and at its URL.

    Args:
        url: of the study's folder.
        home: the working copy.

    Raises:
        AutomlError: fsspec does not know the URL, or lacks the package for it.
    """

    def __init__(self, url: str, home: Path) -> None:
        from fsspec.core import url_to_fs

        self.url = url.rstrip("/")
        self.home = home
        try:
            self.files, self.root = url_to_fs(self.url)
        except (ImportError, ValueError) as error:
            raise AutomlError(f"folder: {self.url}: {error}") from error
        self.root = self.root.rstrip("/")
        state = read_json(home / STATE) or {}
        self.here: dict[str, Stamp] = state.get("here", {})
        self.there: dict[str, Stamp] = state.get("there", {})

    def listing(self, below: str = "") -> dict[str, Mapping[str, Any]]:
        """Return what fsspec knows of each file at the URL, by its path in the study's folder."""
        self.files.invalidate_cache()
        found = self.files.find(f"{self.root}/{below}".rstrip("/"), detail=True)
        return {name.removeprefix(f"{self.root}/"): found[name] for name in sorted(found)}

    def pull(self, below: str = "", *, most: float = float("inf"), but: str = "\n") -> None:
        """Copy to here what has changed at the URL.

        Args:
            below: the part of the folder that is wanted.
            most: bytes; larger files stay there until they are asked for.
            but: the part that is not wanted.

        Raises:
            StorageError: the study has gone on here and there, apart from each other.
        """
        for name, info in self.listing(below).items():
            large = info["size"] > most or name.startswith(but)
            if PurePosixPath(name).name in HERE | {DRIVER} or large:
                continue
            path, token = self.home / name, stamp_of(info)
            if path.exists() and (token == self.there.get(name) or self.changed(name, token)):
                continue
            if name == DATABASE:
                for tail in ("-wal", "-shm"):  # they belong to the file that goes
                    path.with_name(path.name + tail).unlink(missing_ok=True)
            write_with(path, self.getting(name))
            self.here[name], self.there[name] = stamp(path), token
        self.save()

    def getting(self, name: str) -> Callable[[Path], object]:
        """Return what copies one file to where it is told."""
        return lambda path: self.files.get_file(f"{self.root}/{name}", str(path))

    def changed(self, name: str, token: Stamp) -> bool:
        """Say whether a file that differs from the URL's is newer here, and not there."""
        if stamp(self.home / name) == self.here.get(name):
            return False
        if name == DATABASE and self.there.get(name) not in (None, token):
            raise StorageError(
                f"{self.home} and {self.url} have both gone on since they were last equal; "
                "move the working copy away to go on from the URL"
            )
        return True

    def push(self) -> None:
        """Copy to the URL what has changed here, and remove there what was removed here."""
        now = {path: stamp(self.home / path) for path in present(self.home)}
        for name in sorted(now, key=lambda name: (name == DATABASE, name)):
            if now[name] and now[name] != self.here.get(name):
                self.put(name)
                self.here[name] = now[name]
                self.there[name] = stamp_of(self.files.info(f"{self.root}/{name}"))
        for name in self.here.keys() - now.keys():
            if self.files.exists(f"{self.root}/{name}"):
                self.files.rm_file(f"{self.root}/{name}")
            del self.here[name]
            self.there.pop(name, None)
        self.save()

    def put(self, name: str) -> None:
        """Copy one file to the URL; of the database what it is at one moment."""
        target = f"{self.root}/{name}"
        self.files.makedirs(self.files._parent(target), exist_ok=True)  # noqa: SLF001 - no public one
        if name != DATABASE:
            self.files.put_file(str(self.home / name), target)
            return
        copy = self.home / f".{DATABASE}.snapshot"
        with (
            closing(sqlite3.connect(self.home / name)) as source,
            closing(sqlite3.connect(copy)) as snapshot,
        ):
            source.backup(snapshot)
        self.files.put_file(str(copy), target)
        copy.unlink()

    def save(self) -> None:
        """Write what is equal here and there."""
        if self.home.exists():
            state = {"url": self.url, "here": self.here, "there": self.there}
            write_json(self.home / STATE, state)

    def sign(self) -> None:
        """Say at the URL who writes there, and when it last did."""
        self.files.makedirs(self.root, exist_ok=True)
        who = f"{os.getpid()} {host()} {time.time()}"
        self.files.pipe_file(f"{self.root}/{DRIVER}", who.encode())

    def refuse_second(self) -> None:
        """Refuse to write where a driver on another machine does.

        Raises:
            StorageError: says its process, its host, and what to do.
        """
        if not self.files.exists(f"{self.root}/{DRIVER}"):
            return
        pid, where, when = self.files.cat_file(f"{self.root}/{DRIVER}").decode().split(" ", 2)
        age = time.time() - float(when)
        lives = psutil.pid_exists(int(pid)) if where == host() else age < LEASE
        if lives and pid != str(os.getpid()):
            raise StorageError(
                f"{self.url} is written by process {pid} on {where}, which gave a sign {age:.0f} s "
                f"ago; wait until it ends or {LEASE:.0f} s after its last sign, or share the study "
                "by `storage: postgresql://…`"
            )

    def put_aside(self, name: str) -> None:
        """Rename the folder at the URL, as `--fresh` does with the working copy."""
        self.files.invalidate_cache()
        if self.files.exists(self.root):
            self.files.mv(self.root, f"{self.files._parent(self.root)}/{name}", recursive=True)  # noqa: SLF001
        self.url = f"{self.url.rpartition('/')[0]}/{name}"
        self.home = self.home.with_name(name)
        self.save()


@contextmanager
def reachable(mirror: Mirror) -> Iterator[None]:
    """Say in one line that a URL cannot be reached."""
    try:
        yield
    except OSError as error:
        raise unreachable(mirror, error) from error


def unreachable(mirror: Mirror, error: BaseException) -> StorageError:
    """Return the error of a URL that cannot be read or written."""
    return StorageError(
        f"folder: {mirror.url} cannot be reached ({type(error).__name__}: {error}); nothing is "
        f"lost: {mirror.home} has what was done here, and is copied when the study is run again"
    )


def visit(url: str) -> Path:
    """Return the working copy of a study's folder, as it is at its URL now; large files are left.

    A driver that runs here keeps the copy newer than the URL: then it stays as it is.
    """
    parent, _, name = url.rstrip("/").rpartition("/")
    home = working(parent) / name
    mirror = Mirror(url, home)
    with reachable(mirror):
        mirror.pull(most=LIGHT)
    return home


def complete(folder: Path, home: Path) -> None:
    """Copy what is below a folder of a working copy, large files too; nothing if it is no copy."""
    state = read_json(home / STATE)
    if state is None:
        return
    mirror = Mirror(state["url"], home)
    with reachable(mirror):
        mirror.pull(folder.relative_to(home).as_posix())


def present(home: Path) -> Collection[str]:
    """Return the files of a working copy that belong at the URL too."""
    return [
        path.relative_to(home).as_posix()
        for path in home.rglob("*")
        if path.name not in HERE and not TEMPORARY.match(path.name) and path.is_file()
    ]


def stamp(path: Path) -> Stamp:
    """Return what tells that a file here has changed; a database's log counts too."""
    paths = (path, path.with_name(f"{path.name}-wal")) if path.name == DATABASE else (path,)
    try:
        found = [one.stat() for one in paths if one.exists()]
    except FileNotFoundError:  # removed in between
        return []
    return [part for one in found if one.st_size for part in (one.st_size, one.st_mtime_ns)]


def stamp_of(info: Mapping[str, Any]) -> Stamp:
    """Return what tells that a file at the URL has changed."""
    return [info["size"], *(str(info[key]) for key in TOKENS if key in info)]
