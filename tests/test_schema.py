import json
import re
from importlib.metadata import entry_points
from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel, Field
from study_texts import FULL, SMALL

from automl.reading.yamlfile import load
from automl.schema import schema
from automl.studyfile import Study, dump


class Inner(BaseModel, extra="forbid"):
    """A part of options."""

    depth: int = Field(3, description="how deep", ge=1)


class Options(BaseModel, extra="forbid"):
    """Options of a plugin."""

    density: float = Field(0.5, description="what is kept", gt=0, le=1)
    rule: Literal["magnitude", "random"] = Field("magnitude", description="which goes first")
    inner: Inner = Field(default_factory=Inner, description="more of it")
    title: str = Field("", description="a field that is named like a keyword of JSON Schema")


WHOLE = schema({"pruning": Options})
NAMES = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}
NUMBERS = {"integer": int, "number": (int, float)}


def is_type(value, name):
    if name in NUMBERS:
        return isinstance(value, NUMBERS[name]) and not isinstance(value, bool)
    return isinstance(value, NAMES[name])


def items(value, node):
    """Yield each item of a list with what describes it."""
    listed = node.get("items", {})
    parts = listed if isinstance(listed, list) else [listed] * len(value)
    return zip(value, parts, strict=False)


def members(value, node):
    """Yield each value of a mapping with what describes it."""
    known, other = node.get("properties", {}), node.get("additionalProperties", True)
    return [(item, known.get(key, other)) for key, item in value.items()]


def fits(value, node, whole=WHOLE):
    """Validate by draft 7, as far as the schema of a study uses it."""
    if isinstance(node, bool):
        return node
    if "$ref" in node:
        assert len(node) == 1  # draft 7 ignores the rest
        name = node["$ref"].removeprefix("#/definitions/")
        return fits(value, whole["definitions"][name], whole)
    types = node.get("type", [])
    checks = [
        not types
        or any(is_type(value, name) for name in ([types] if isinstance(types, str) else types)),
        "enum" not in node or value in node["enum"],
        "const" not in node or value == node["const"],
        "anyOf" not in node or any(fits(value, one, whole) for one in node["anyOf"]),
        "oneOf" not in node or sum(fits(value, one, whole) for one in node["oneOf"]) == 1,
        all(fits(value, one, whole) for one in node.get("allOf", [])),
    ]
    if isinstance(value, str):
        checks.append(bool(re.search(node.get("pattern", ""), value)))
    elif isinstance(value, dict):
        checks += [key in value for key in node.get("required", [])]
        checks.append(len(value) >= node.get("minProperties", 0))
        checks += [fits(item, part, whole) for item, part in members(value, node)]
    elif isinstance(value, list):
        checks.append(node.get("minItems", 0) <= len(value) <= node.get("maxItems", 10**9))
        checks += [fits(item, part, whole) for item, part in items(value, node)]
    elif value is not None:
        checks.append(value >= node.get("minimum", value))
        checks.append(value <= node.get("maximum", value))
        checks.append(value > node.get("exclusiveMinimum", value - 1))
    return all(checks)


def plain(text):
    return load(
        text.replace("finetune_epochs: 1", "density: 0.1").replace("repair: true, ", ""), "x"
    ).data


@pytest.mark.parametrize("text", [SMALL, FULL])
def test_a_study_fits_its_schema_as_written_and_as_dumped(text):
    data = plain(text)
    assert fits(data, WHOLE)
    assert fits(load(dump(Study.model_validate(data)), "x").data, WHOLE)


@pytest.mark.parametrize(
    ("was", "now"),
    [
        ("budget: {trials: 3}", "budget: {trails: 3}"),
        ("budget: {trials: 3}", "budget: {}"),
        ("budget: {trials: 3}", "budget: {trials: 0}"),
        ("budget: {trials: 3}", "smapler: 3"),
        ("goal: maximize", "goal: maximise"),
        ("float: [1e-4, 1e-1]", "float: [1e-4]"),
        ("float: [1e-4, 1e-1]", "float: ~"),
        ("float: [1e-4, 1e-1]", "float: [1, 2], int: [1, 2]"),
        ("float: [1e-4, 1e-1]", "flaot: [1, 2]"),
        ("log: true", "log: yes"),
        ("name: small", "name: a/b"),
        ("name: small", "name: 3"),
        ("name: small", "name: a\nsearch: {sampler: tpee}"),
        ("name: small", "name: a\nconstraints: {a: {}}"),
        ("name: small", "name: a\nplugins: {pruning: {desnity: 0.1}}"),
        ("name: small", "name: a\nplugins: {pruning: {density: 2}}"),
        ("name: small", "name: a\nplugins: {pruning: {rule: none}}"),
        ("name: small", "name: a\nplugins: {pruning: {inner: {depth: 0}}}"),
        ("name: small", "name: a\nplugins: {mine: {}}"),
    ],
)
def test_what_a_study_cannot_be_does_not_fit(was, now):
    assert not fits(plain(SMALL.replace(was, now)), WHOLE)


@pytest.mark.parametrize(
    "more",
    [
        "plugins: {pruning: }",
        "plugins: {pruning: {inner: {depth: 2}, title: a}}",
        "plugins: {mine: {path: ./mine.py, option: 3}}",
        "search: {sampler: optuna.samplers.TPESampler}",
        "search: {sampler: {class_path: a.B}}",
        "on_failure: {oom: {retry: 2}}",
        "budget: {time: 30m, trials: '1_000'}",
    ],
)
def test_what_a_study_can_be_fits(more):
    text = SMALL.replace("budget: {trials: 3}\n", "") if more.startswith("budget") else SMALL
    assert fits(plain(text + more), WHOLE)


def test_every_reference_of_the_schema_leads_somewhere():
    text = json.dumps(WHOLE)
    names = set(re.findall(r'"#/([^"]*)"', text))
    assert {name.removeprefix("definitions/") for name in names} <= WHOLE["definitions"].keys()
    assert WHOLE["$schema"] == "http://json-schema.org/draft-07/schema#"
    assert "prefixItems" not in text
    assert "$defs" not in text


def test_the_schema_tells_what_keys_are_for():
    assert WHOLE["properties"]["budget"]["description"] == "when to stop"
    density = WHOLE["definitions"]["plugins.pruning"]["properties"]["density"]
    assert density["description"] == "what is kept"
    assert density["default"] == 0.5


def test_plugins_of_one_field_name_do_not_mix():
    class Inner(BaseModel, extra="forbid"):
        other: int = 1

    class Other(BaseModel, extra="forbid"):
        inner: Inner = Field(default_factory=Inner)

    both = schema({"pruning": Options, "other": Other})["definitions"]
    assert "depth" in both["plugins.pruning.Inner"]["properties"]
    assert "other" in both["plugins.other.Inner"]["properties"]


STUDIES = sorted((Path(__file__).parents[1] / "studies").glob("*.yaml"))


@pytest.fixture(scope="module")
def installed():
    """Return the schema with the options of the plugins that are installed."""
    points = entry_points(group="automl.plugins")
    return schema({point.name: point.load().Options for point in points})


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_every_study_of_the_repository_fits_the_schema_with_its_plugins(path, installed):
    assert fits(load(path.read_text(encoding="utf-8"), path.name).data, installed, installed)
