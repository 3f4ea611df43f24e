"""Where every key and value of a study stands, so that each refusal can point at it."""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from automl.errors import Problem
from automl.reading.scalars import bare

Trail: TypeAlias = tuple[Hashable, ...]  # the keys and indices that lead to a value

COMMAND_LINE = "command line"
WIDEST = 120  # columns of a source line that are shown


class Place(NamedTuple):
    """A line and a column of a file, from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Marks:
    """The places of a file's keys and values by trail, and what the command line set instead.

    `given` holds each override as it was typed, by the trail of the value that it set.
    """

    file: str = ""
    lines: tuple[str, ...] = ()
    keys: dict[Trail, Place] = field(default_factory=dict)
    values: dict[Trail, Place] = field(default_factory=dict)
    given: dict[Trail, str] = field(default_factory=dict)

    def line(self, number: int) -> str:
        """Return a line of the file, counted from 1."""
        return self.lines[number - 1] if 0 < number <= len(self.lines) else ""

    def at(self, place: Place, message: str, path: str = "") -> Problem:
        """Make a problem that points at a place."""
        source = self.line(place.line)[:WIDEST].replace("\t", " ").rstrip()
        shown = source if source.isprintable() and place.column <= WIDEST else ""
        return Problem(message, path, self.file, place.line, place.column, shown)

    def problem(self, trail: Trail, message: str, *, value: bool = False) -> Problem:
        """Make a problem that points at the key of a trail, or at its value.

        Where the trail does not exist, the longest part of it that does is pointed at.
        """
        path = dotted(trail)
        below = [part for part in self.given if value and part[:-1] == trail]
        if below:  # what is wrong with a whole is probably what was changed in it
            return Problem(f"--set {bare(self.given[below[-1]])}: {message}", path, COMMAND_LINE)
        for end in range(len(trail), -1, -1):
            part = trail[:end]
            if part in self.given:
                return Problem(f"--set {bare(self.given[part])}: {message}", path, COMMAND_LINE)
            first, second = (self.values, self.keys) if value else (self.keys, self.values)
            if place := first.get(part) or second.get(part):
                return self.at(place, message, path)
        return Problem(message, path, self.file)


def dotted(trail: Iterable[Hashable]) -> str:
    """Write a trail with dots: `space.model.lr.float.0`."""
    return ".".join(map(str, trail))
