"""Errors that a user can act on; `cli.py` turns them into one line and an exit code."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a study file, and where; lines and columns count from 1."""

    message: str
    path: str = ""
    file: str = ""
    line: int = 0
    column: int = 0
    source: str = ""

    def __str__(self) -> str:
        """Show `file:line:col: message`, then the line with a caret below the column."""
        place = f"{self.file}:{self.line}:{self.column}: " if self.line else f"{self.file}: "
        head = (place if self.file else "") + self.message
        if not self.source:
            return head
        gutter = f"{self.line:>5} | "
        caret = " " * (len(gutter) - 2) + "| " + " " * (self.column - 1) + "^"
        return f"{head}\n{gutter}{self.source}\n{caret}"


class AutomlError(Exception):
    """Something that the user can put right: says what, where and what to do."""


class StudyError(AutomlError):
    """A study that cannot run as written; holds every problem found in one pass."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(self.problems)

    def __str__(self) -> str:
        """Show every problem, one below the other."""
        return "\n".join(map(str, self.problems))


class PluginError(AutomlError):
    """A plugin that cannot be found, loaded or called, or that broke its contract."""


class StorageError(AutomlError):
    """A database or folder that cannot be opened, read or written."""


class LostError(StorageError):
    """A database that does not answer now, and may in a moment."""


class TakenError(StorageError):
    """A trial that another driver has taken over, because this one seemed to be gone."""
