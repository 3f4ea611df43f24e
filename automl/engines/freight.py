"""Files of jobs on nodes that share no disk with the driver: taken there, and brought back."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from automl.files import TEMPORARY

SIZE = 16_000_000  # bytes of a piece
PART = ".arriving"  # ends the name of a file of which pieces are missing
STAYS = {".lock", PART}


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a file: where it belongs, and whether it is the last one."""

    path: Path
    offset: int
    data: bytes
    last: bool


def files(path: Path) -> list[Path]:
    """Return the file itself, or every file below a folder but locks and what is half written."""
    if path.is_file():
        return [path]
    every = [one for one in sorted(path.rglob("*")) if one.is_file()]
    return [one for one in every if one.suffix not in STAYS and not TEMPORARY.match(one.name)]


def pieces(path: Path, offset: int = 0) -> Iterator[Piece]:
    """Yield a file from an offset on, or every file below a folder, in pieces."""
    for one in files(path):
        at = offset
        with one.open("rb") as opened:
            size = os.fstat(opened.fileno()).st_size
            opened.seek(at)
            while True:
                data = opened.read(min(SIZE, size - at))
                last = not data or at + len(data) >= size
                yield Piece(one, at, data, last)
                at += len(data)
                if last:
                    break


def put(piece: Piece) -> None:
    """Write a piece; a file takes its name when it is whole."""
    piece.path.parent.mkdir(parents=True, exist_ok=True)
    part = piece.path.with_name(piece.path.name + PART)
    with part.open("r+b" if piece.offset else "wb") as opened:
        opened.seek(piece.offset)
        opened.write(piece.data)
    if piece.last:
        part.replace(piece.path)


def extend(piece: Piece) -> None:
    """Write a piece of a file that grows, such as a log."""
    piece.path.parent.mkdir(parents=True, exist_ok=True)
    with piece.path.open("r+b" if piece.offset else "wb") as opened:
        opened.seek(piece.offset)
        opened.write(piece.data)


@dataclass
class Known:
    """The files of the driver that a node has, by their sizes and times."""

    stamps: dict[Path, tuple[int, int]] = field(default_factory=dict)

    def send(self, path: Path, send: Callable[[Piece], object]) -> None:
        """Send what the node has not, or has of another size or time."""
        for one in files(path):
            stamp = stamp_of(one)
            if self.stamps.get(one) != stamp:
                for piece in pieces(one):
                    send(piece)
                self.stamps[one] = stamp

    def fetch(self, arriving: Iterable[Piece]) -> None:
        """Write what comes from the node."""
        for piece in arriving:
            put(piece)
            if piece.last:
                self.stamps[piece.path] = stamp_of(piece.path)

    def forget(self, folder: Path) -> None:
        """Remember that the node has nothing of a folder any more."""
        self.stamps = {
            path: stamp for path, stamp in self.stamps.items() if not path.is_relative_to(folder)
        }


def stamp_of(path: Path) -> tuple[int, int]:
    """Return what changes when a file does."""
    found = path.stat()
    return found.st_size, found.st_mtime_ns
