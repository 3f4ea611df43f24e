"""YAML events as plain data with marks, built without recursion and within limits."""

import copy
from dataclasses import dataclass, field
from typing import Any, NoReturn

import yaml

from automl.errors import Problem, StudyError
from automl.reading.marks import Marks, Place, Trail, dotted
from automl.reading.scalars import TooLongError, bare, scalar, short

DEPTH = 32  # mappings and lists inside each other
NODES = 50_000  # keys and values, those of aliases counted each time
ALIASES = 200
PROBLEMS = 100  # after which reading on helps nobody


class Skip:
    """Stands where a key was refused, so that its value is left out too."""


@dataclass(slots=True)
class Frame:
    """A mapping or a list while it is read.

    `key` holds the key whose value comes next, in a list of one, as a key may be of any kind;
    `nodes` were read before the frame began; `height` counts the levels from here down.
    """

    value: Any
    trail: Trail
    place: Place
    anchor: str | None
    nodes: int
    key: list[Any] = field(default_factory=list)
    height: int = 1


@dataclass(frozen=True, slots=True)
class Anchored:
    """What an anchor names, how many keys and values it holds, and how many levels."""

    value: Any
    nodes: int
    height: int


@dataclass(slots=True)
class Builder:
    """Takes the events of a parser one by one; holds the data that they make and its marks."""

    marks: Marks
    problems: list[Problem] = field(default_factory=list)
    stack: list[Frame] = field(default_factory=list)
    anchors: dict[str, Anchored] = field(default_factory=dict)
    root: Any = None
    nodes: int = 0
    aliases: int = 0
    documents: int = 0

    def take(self, event: Any) -> None:
        """Take one event."""
        mark = event.start_mark
        place = Place(mark.line + 1, mark.column + 1)
        match event:
            case yaml.ScalarEvent():
                self.scalar(event, place)
            case yaml.MappingStartEvent():
                self.open(event, {}, place)
            case yaml.SequenceStartEvent():
                self.open(event, [], place)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self.close()
            case yaml.AliasEvent():
                self.alias(event.anchor, place)
            case yaml.DocumentStartEvent():
                self.documents += 1
                if self.documents > 1:
                    self.stop("a second document begins here; a study file holds one", place)

    def scalar(self, event: Any, place: Place) -> None:
        """Add a text, number, truth value or null."""
        self.count(1, place)
        self.refuse_tag(event, place)
        plain = event.implicit[0] and not event.tag
        value = self.plain(event.value, place) if plain else event.value
        if event.anchor:
            self.anchors[event.anchor] = Anchored(value, 1, 0)
        self.add(value, place)

    def plain(self, text: str, place: Place) -> Any:
        """Resolve a text without quotes, or leave it as it is and say why."""
        if text == "<<" and self.awaits_key():
            self.problem("merge keys ('<<') are not read; write the keys out", place)
            return Skip
        try:
            return scalar(text)
        except TooLongError as error:
            self.problem(str(error), place)
            return text

    def open(self, event: Any, value: Any, place: Place) -> None:
        """Begin a mapping or a list."""
        self.count(1, place)
        self.refuse_tag(event, place)
        self.descend(1, place)
        self.anchors.pop(event.anchor, None)
        self.stack.append(Frame(value, self.trail(), place, event.anchor, self.nodes))

    def close(self) -> None:
        """End the innermost mapping or list and add it to the one around it."""
        frame = self.stack.pop()
        if frame.anchor:
            nodes = self.nodes - frame.nodes + 1
            self.anchors[frame.anchor] = Anchored(frame.value, nodes, frame.height)
        self.add(frame.value, frame.place, frame.height)

    def alias(self, name: str | None, place: Place) -> None:
        """Add a copy of what an anchor names."""
        self.aliases += 1
        if self.aliases > ALIASES:
            self.stop(f"more than {ALIASES} aliases; write the values out", place)
        if name in self.anchors:
            found = self.anchors[name]
            self.count(found.nodes, place)
            self.descend(found.height, place)
            self.add(copy.deepcopy(found.value), place, found.height)
            return
        inside = any(frame.anchor == name for frame in self.stack)
        why = "contains itself" if inside else "names nothing above it"
        self.problem(f"alias *{bare(name or '')} {why}", place)
        self.add(Skip if self.awaits_key() else None, place)

    def add(self, value: Any, place: Place, height: int = 0) -> None:
        """Put a finished value where it belongs: at the root, in a list, as a key or below one."""
        if not self.stack:
            self.root = value
            self.marks.values[()] = place
        elif self.awaits_key():
            self.stack[-1].key.append(self.key(value, place))
        else:
            self.marks.values[self.trail()] = place
            self.store(self.stack[-1], value)
            self.stack[-1].height = max(self.stack[-1].height, height + 1)

    def store(self, frame: Frame, value: Any) -> None:
        """Append an item to a list, or set the value of the key that waits for it."""
        if isinstance(frame.value, list):
            frame.value.append(value)
        elif (key := frame.key.pop()) is not Skip:
            frame.value[key] = value

    def key(self, value: Any, place: Place) -> Any:
        """Return a key that may stand in the innermost mapping, or Skip."""
        frame = self.stack[-1]
        if value is Skip:
            return Skip
        if value is None or isinstance(value, dict | list):
            self.problem(f"a key must be a text, got {short(value)}", place)
            return Skip
        if value in frame.value:
            first = self.marks.keys[*frame.trail, value].line
            self.problem(f"key {short(value)} is given twice (first on line {first})", place)
            return Skip
        self.marks.keys[*frame.trail, value] = place
        return value

    def awaits_key(self) -> bool:
        """Say whether the next value is a key."""
        return (
            bool(self.stack) and isinstance(self.stack[-1].value, dict) and not self.stack[-1].key
        )

    def trail(self) -> Trail:
        """Return the trail of the next value."""
        if not self.stack:
            return ()
        frame = self.stack[-1]
        if isinstance(frame.value, list):
            return (*frame.trail, len(frame.value))
        return (*frame.trail, *(frame.key or [Skip]))

    def count(self, nodes: int, place: Place) -> None:
        """Count what was read, aliases in full, and stop where no study goes."""
        self.nodes += nodes
        if self.nodes > NODES:
            self.stop(f"more than {NODES:_} keys and values, counting aliases in full", place)

    def descend(self, levels: int, place: Place) -> None:
        """Stop where the next value would nest deeper than any study."""
        if len(self.stack) + levels > DEPTH:
            self.stop(f"nested more than {DEPTH} levels deep", place)

    def refuse_tag(self, event: Any, place: Place) -> None:
        """Refuse every tag: data says what it is by its form."""
        if event.tag:
            self.problem(f"tags are not read, got {short(event.tag)}; leave it out", place)

    def problem(self, message: str, place: Place) -> None:
        """Note what is wrong and go on."""
        path = dotted(part for part in self.trail() if part is not Skip)
        self.problems.append(self.marks.at(place, message, path))
        if len(self.problems) >= PROBLEMS:
            self.stop("too many problems; the rest was not read", place)

    def stop(self, message: str, place: Place) -> NoReturn:
        """Give up: what follows cannot be read, or not in bounds."""
        raise StudyError([*self.problems, self.marks.at(place, message)])
