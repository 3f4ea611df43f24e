"""What pydantic finds wrong, in our words: one mistake for each slip, with a way out."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from pydantic import BaseModel, ValidationError

from automl.reading import outline
from automl.reading.marks import Trail, dotted
from automl.reading.outline import Json
from automl.reading.scalars import TooLongError, scalar, short
from automl.suggest import LISTED, did_you_mean, nearest

TYPES = {
    "string_type": "a text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "mapping_type": "a mapping",
    "tuple_type": "a list",
    "list_type": "a list",
    "set_type": "a list",
}
BOUNDS = {
    "greater_than": ("gt", "above"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "below"),
    "less_than_equal": ("le", "at most"),
}
MOST = 101  # errors that are put into words
NOUNS = {"a number", "a whole number", "true or false", "a finite number"}
YES_NO = {"yes": "true", "on": "true", "no": "false", "off": "false", "y": "true", "n": "false"}


@dataclass(frozen=True, slots=True)
class Mistake:
    """One slip: where, what, whether its value is to blame or its key, and which key was meant."""

    trail: Trail
    message: str
    value: bool = True
    meant: Trail = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """An error of pydantic, its trail freed from the names of union members."""

    trail: Trail
    union: int | None  # length of the trail at which a union begins
    member: str
    error: Mapping[str, Any]


def mistakes(error: ValidationError, data: Any, model: type[BaseModel]) -> list[Mistake]:
    """Turn the errors of validating `data` as `model` into mistakes, in the order found."""
    schema = model.model_json_schema()
    details = error.errors(include_url=False)[:MOST]
    found = list(_chosen([_finding(detail, data) for detail in details]))
    given = [_mistake(finding, schema) for finding in found]
    meant = {one.meant for one in given if one.meant}
    both = zip(given, found, strict=True)  # a key is not missing if it is there misspelt
    kept = (one for one, f in both if f.error["type"] != "missing" or f.trail not in meant)
    return list(dict.fromkeys(kept))


def _finding(error: Mapping[str, Any], data: Any) -> Finding:
    """Separate keys and indices that are in the data from names of union members."""
    trail: list[Any] = []
    union, member = None, ""
    last = len(error["loc"]) - 1
    for order, part in enumerate(error["loc"]):
        inside = isinstance(data, dict) and part in data
        inside |= isinstance(data, list | tuple) and isinstance(part, int) and part < len(data)
        if inside or (order == last and error["type"] == "missing"):
            trail.append(part)
            data = data[part] if inside else None
        elif union is None and part != "[key]":
            union, member = len(trail), str(part)
    return Finding(tuple(trail), union, member, error)


def _chosen(findings: Sequence[Finding]) -> Iterable[Finding]:
    """Keep one member's errors of every union: the member that was most probably meant."""

    def place(finding: Finding) -> tuple[Any, ...]:
        if finding.union is None:
            return (None, id(finding))
        return finding.trail[: finding.union]

    for _, group in groupby(findings, place):
        members: dict[str, list[Finding]] = {}
        for finding in group:
            members.setdefault(finding.member, []).append(finding)
        yield from _member(list(members.values()))


def _member(members: list[list[Finding]]) -> list[Finding]:
    """Return the errors of the member whose kind fits, or one error that names every kind."""
    if len(members) == 1:
        return members[0]
    fitting = [found for found in members if not any(map(_is_kind, found))]
    if fitting:
        return min(fitting, key=_unlikely)
    first = members[0][0]
    expected = " or ".join(dict.fromkeys(_expected(found[0].error) for found in members))
    names = [name for found in members for name in _options(found[0].error)]
    error = {**first.error, "type": "union", "expected": expected, "names": names}
    return [Finding(first.trail, None, "", error)]


def _unlikely(found: list[Finding]) -> tuple[int, int]:
    """Rank a member of a union: one whose own mark is wrong was hardly meant, then by mistakes."""
    return sum(one.error["type"] == "literal_error" for one in found), len(found)


def _is_kind(finding: Finding) -> bool:
    """Say whether the value as a whole was refused, so that this member was hardly meant."""
    kind = finding.error["type"] in TYPES or finding.error["type"] == "literal_error"
    return kind and finding.union == len(finding.trail)


def _expected(error: Mapping[str, Any]) -> str:
    if error["type"] == "literal_error":
        return str(error["ctx"]["expected"])
    return TYPES.get(error["type"], _plain(error))


def _options(error: Mapping[str, Any]) -> list[str]:
    """Return the texts that a literal allows."""
    if error["type"] not in {"literal_error", "enum"}:
        return list(error.get("names", []))
    return re.findall(r"'([^']*)'", str(error["ctx"]["expected"]))


def _mistake(finding: Finding, schema: Json) -> Mistake:
    error, trail = finding.error, finding.trail
    if error["type"] == "missing":
        return _missing(trail, schema)
    if error["type"] == "extra_forbidden":
        return _unknown(finding, schema)
    if "[key]" in error["loc"]:
        return Mistake(trail, f"{dotted(trail)}: a key must be a text; quote it", value=False)
    return Mistake(trail, _about(trail, _wrong(error, trail, schema)))


def _about(trail: Trail, message: str) -> str:
    return f"{dotted(trail)}: {message}" if trail else message


def _missing(trail: Trail, schema: Json) -> Mistake:
    parent, name = trail[:-1], trail[-1]
    if isinstance(name, int):
        return Mistake(parent, _about(parent, f"too short{_example(parent, schema)}"))
    what = outline.properties(schema, parent).get(str(name), {}).get("description", "")
    message = f"missing key {name!r}" + (f": {what}" if what else "")
    return Mistake(parent, _about(parent, message), value=False)


def _unknown(finding: Finding, schema: Json) -> Mistake:
    parent, name = finding.trail[:-1], finding.trail[-1]
    known = outline.properties(schema, parent)
    listed = f"; known: {', '.join(known)}" if 0 < len(known) <= LISTED else ""
    meant = _suggestion(finding, schema)
    tail = f"; did you mean {meant!r}?" if meant else listed
    message = _about(parent, f"unknown key {short(name)}{tail}")
    stands_for = (*parent, meant.split(".")[0]) if meant else ()
    return Mistake(finding.trail, message, value=False, meant=stands_for)


def _suggestion(finding: Finding, schema: Json) -> str | None:
    """Return the key that was meant: one of this mapping, or of a mapping one level further in."""
    parent, name, value = finding.trail[:-1], finding.trail[-1], finding.error["input"]
    known = outline.properties(schema, parent)
    kind = outline.kind(value)
    same = {key for key, node in known.items() if kind in outline.kinds(schema, node)}
    if meant := nearest(name, known, same):
        return meant
    tops = reversed(known)  # of two that hold the key, the first is kept
    inner = {key: top for top in tops for key in outline.properties(schema, (*parent, top))}
    key = nearest(name, inner)
    if key is None:
        return None
    return inner[key] if kind == "mapping" else f"{inner[key]}.{key}"


def _wrong(error: Mapping[str, Any], trail: Trail, schema: Json) -> str:
    kind, value, context = error["type"], error["input"], error.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    if kind in BOUNDS:
        key, words = BOUNDS[kind]
        return f"must be {words} {context[key]:g}, got {short(value)}"
    if kind.endswith(("too_short", "too_long")):
        return _length(context, value)
    if kind == "string_pattern_mismatch":
        return f"expected a text like {context['pattern']}, got {short(value)}"
    expected = error.get("expected") or _expected(error)
    names = _options(error)
    tail = did_you_mean(value, names) or _advice(expected, value) or _example(trail, schema, value)
    return f"expected {expected}, got {short(value)}{tail}"


def _length(context: Mapping[str, Any], value: Any) -> str:
    bound = context.get("min_length", context.get("max_length"))
    words = "at least" if "min_length" in context else "at most"
    one, more = ("character", "characters") if isinstance(value, str) else ("entry", "entries")
    things = one if bound == 1 else more
    return f"needs {words} {bound} {things}, got {short(value)}"


def _advice(expected: str, value: Any) -> str:
    """Say how a text becomes what was expected, if it looks like that."""
    if not isinstance(value, str):
        return ""
    if "true or false" in expected and value.lower() in YES_NO:
        return f"; write {YES_NO[value.lower()]}"
    try:
        looks = expected in NOUNS and not isinstance(scalar(value), str)
    except TooLongError:
        return ""
    return "; remove the quotes" if looks else ""


def _example(trail: Trail, schema: Json, value: Any = None) -> str:
    example = outline.example(schema, trail, value)
    return "" if example is None else f"; write it like {short(example)}"


def _plain(error: Mapping[str, Any]) -> str:
    message = str(error["msg"])
    message = message.removeprefix("Input should be ").removeprefix("Value error, ")
    return message[:1].lower() + message[1:]
