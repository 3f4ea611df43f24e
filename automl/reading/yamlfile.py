"""A YAML file as plain data with the place of every key and value.

Size and encoding are looked at first, then the parser's events one by one; whatever a study cannot
need ends the reading before it costs time or memory.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from automl.errors import Problem, StudyError
from automl.reading.marks import Marks, Place
from automl.reading.yamltree import Builder

BYTES = 2**20  # of a file

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # its events only: it builds nothing

HINTS = {
    "mapping values are not allowed": "a ':' too many, or text that holds ': ' without quotes",
    "could not find expected ':'": "a key without ':'",
    "cannot start any token": "text that begins with this character needs quotes",
}


@dataclass(frozen=True, slots=True)
class Document:
    """What a text holds, where, and what was wrong with it that did not end the reading."""

    data: Any
    marks: Marks
    problems: tuple[Problem, ...]


def read(path: Path, shown: str) -> Document:
    """Read a file; `shown` is its name in messages.

    Raises:
        StudyError: the file cannot be read, or its text is not YAML or beyond a limit.
    """
    return load(text_of(path, shown), shown)


def text_of(path: Path, shown: str) -> str:
    """Read a file of at most `BYTES` as UTF-8."""
    raw = _bytes(path, shown)
    if len(raw) > BYTES:
        raise _refusal(shown, f"larger than {BYTES:_} bytes; no study file is")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        byte = f"byte 0x{raw[error.start]:02x} at position {error.start}"
        raise _refusal(shown, f"not UTF-8 text ({byte}); save it as UTF-8") from error


def load(text: str, shown: str) -> Document:
    """Take a YAML text apart.

    Raises:
        StudyError: the text is not YAML, or beyond a limit.
    """
    marks = Marks(shown, tuple(text.splitlines()))
    _refuse_directives(marks)
    builder = Builder(marks)
    try:
        for event in yaml.parse(text, Loader=LOADER):
            builder.take(event)
    except yaml.YAMLError as error:
        place, message = _syntax(error, text, marks)
        builder.stop(message, place)
    return Document(builder.root, marks, tuple(builder.problems))


def _bytes(path: Path, shown: str) -> bytes:
    try:
        if path.is_dir():
            raise _refusal(shown, "a folder, not a study file")
        if path.exists() and not path.is_file():
            raise _refusal(shown, "not a regular file")
        with path.open("rb") as file:
            return file.read(BYTES + 1)
    except FileNotFoundError as error:
        raise _refusal(shown, "no such file") from error
    except (OSError, ValueError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise _refusal(shown, f"cannot be read: {why.lower()}") from error


def _refusal(shown: str, message: str) -> StudyError:
    return StudyError([Problem(message, file=shown)])


def _refuse_directives(marks: Marks) -> None:
    """Refuse lines such as `%TAG`, whose number costs the parser its square in time."""
    for number, line in enumerate(marks.lines, start=1):
        if line.startswith("%") and not line.startswith("%YAML"):
            message = "a line that begins with '%'; a study file has no directives"
            raise StudyError([marks.at(Place(number, 1), message)])


def _syntax(error: yaml.YAMLError, text: str, marks: Marks) -> tuple[Place, str]:
    """Say what the parser did not understand, and where."""
    if isinstance(error, yaml.reader.ReaderError):
        end = text.index(chr(error.character)) + 1  # its position may count bytes or characters
        lines = text[:end].splitlines()
        place = Place(len(lines), len(lines[-1]))
        return place, f"character {error.character:#06x} is not allowed in YAML"
    place = _place(error, marks)
    if marks.line(place.line)[place.column - 1 : place.column] == "\t":
        return place, "a tab in the indentation; indent with spaces"
    problem = str(getattr(error, "problem", None) or error)
    context = getattr(error, "context", None) or ""
    hint = next((f"; {why}" for sign, why in HINTS.items() if sign in problem), "")
    return place, f"not YAML: {problem} {context}".rstrip() + hint


def _place(error: yaml.YAMLError, marks: Marks) -> Place:
    """Return where the problem is, or where it began if it was noticed at the end of the text."""
    mark, began = getattr(error, "problem_mark", None), getattr(error, "context_mark", None)
    if mark is not None and began is not None:
        rest = [marks.line(mark.line + 1)[mark.column :], *marks.lines[mark.line + 1 :]]
        mark = mark if any(map(str.strip, rest)) else began
    return Place(1, 1) if mark is None else Place(mark.line + 1, mark.column + 1)
