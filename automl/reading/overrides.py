"""`--set path=value`: changes to a study from the command line, read and blamed like the file."""

from collections.abc import Iterable
from typing import Any

from automl.errors import Problem, StudyError
from automl.reading import outline, yamlfile
from automl.reading.marks import COMMAND_LINE, Marks, Trail, dotted
from automl.reading.outline import Json
from automl.reading.scalars import bare, short
from automl.study import Study
from automl.suggest import nearest

FREE = {("space",), ("objectives",), ("constraints",)}  # their keys may hold dots


def apply(data: dict[str, Any], marks: Marks, overrides: Iterable[str]) -> list[Problem]:
    """Set each `path=value` in `data` and note it in `marks`; returns what cannot be set."""
    given = list(overrides)
    schema = Study.model_json_schema() if given else {}
    return [problem for text in given for problem in _apply(data, marks, schema, text)]


def _apply(data: dict[str, Any], marks: Marks, schema: Json, text: str) -> list[Problem]:
    path, equals, written = text.partition("=")
    if not equals:
        return [_blame(text, "expected path=value, such as budget.trials=5")]
    try:
        trail = trail_of(path.strip(), data, schema)
        document = yamlfile.load(written, COMMAND_LINE)
    except StudyError as error:
        return [_blame(text, problem.message) for problem in error.problems]
    except ValueError as error:
        return [_blame(text, str(error))]
    put(data, trail, document.data)
    _forget(marks, trail)
    marks.given[trail] = text
    return [_blame(text, problem.message, dotted(trail)) for problem in document.problems]


def _blame(text: str, message: str, path: str = "") -> Problem:
    return Problem(f"--set {bare(text)}: {message}", path, COMMAND_LINE)


def trail_of(path: str, data: Any, schema: Json) -> Trail:
    """Find what a dotted path means: keys may hold dots themselves, and lists count from 0.

    Raises:
        ValueError: the path leads nowhere; says where it could have led.
    """
    trail: Trail = ()
    parts = path.split(".")
    while parts:
        taken = _step(trail, parts, data, schema)
        if taken == 0:
            raise ValueError(f"unknown path {short(path)}{_meant(trail, parts, data, schema)}")
        key: Any = ".".join(parts[:taken])
        key = int(key) if isinstance(data, list) else key
        data = _inside(data, key)
        trail, parts = (*trail, key), parts[taken:]
    return trail


def _inside(data: Any, key: Any) -> Any:
    if isinstance(data, list):
        return data[key]
    return data.get(key) if isinstance(data, dict) else None


def _step(trail: Trail, parts: list[str], data: Any, schema: Json) -> int:
    """Count the parts that make the next key; 0 if there is no such key."""
    if isinstance(data, list):
        return int(parts[0].isdecimal() and len(parts[0]) < 9 and int(parts[0]) < len(data))
    if isinstance(data, dict):
        for taken in range(len(parts), 0, -1):
            if ".".join(parts[:taken]) in data:
                return taken
    if parts[0] in outline.properties(schema, trail):
        return 1
    if not outline.open_ended(schema, trail):
        return 0
    if trail not in FREE and trail[:2] != ("search", "enqueue"):
        return 1
    inner = outline.properties(schema, (*trail, "any"))
    return len(parts) - 1 if len(parts) > 1 and parts[-1] in inner else len(parts)


def _meant(trail: Trail, parts: list[str], data: Any, schema: Json) -> str:
    """Suggest a path where one led nowhere."""
    known = {*outline.properties(schema, trail), *(data if isinstance(data, dict) else ())}
    texts = sorted(name for name in known if isinstance(name, str))
    meant = nearest(parts[0], texts)
    if meant is None and "init_args" in known:
        return f"; did you mean {'.'.join([*map(str, trail), 'init_args', *parts])!r}?"
    if meant is not None:
        return f"; did you mean {'.'.join([*map(str, trail), meant, *parts[1:]])!r}?"
    inner = {key: top for top in texts for key in outline.properties(schema, (*trail, top))}
    key = nearest(parts[0], inner)
    if key is not None:
        return f"; did you mean {'.'.join([*map(str, trail), inner[key], key, *parts[1:]])!r}?"
    return f"; {dotted(trail) or 'a study'} has {', '.join(texts)}" if texts else ""


def put(data: Any, trail: Trail, value: Any) -> None:
    """Set the value at a trail, making the mappings that lead there."""
    parents: list[Any] = list(trail[:-1])
    for key in parents:
        if isinstance(data, list):
            data = data[key]
            continue
        if not isinstance(data.get(key), dict | list):
            data[key] = {}
        data = data[key]
    data[trail[-1]] = value


def _forget(marks: Marks, trail: Trail) -> None:
    """Drop what is known of the places at and below a trail: the file has no say there now."""
    for places in (marks.keys, marks.values, marks.given):
        for old in [old for old in places if old[: len(trail)] == trail]:
            del places[old]
