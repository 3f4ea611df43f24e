"""The JSON Schema of a study file, with the options of every installed plugin, for editors.

Editors read draft 7; pydantic writes draft 2020-12, so what the two say differently is rewritten.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from automl.reading.checks import SAMPLERS
from automl.reading.scalars import GROUPED
from automl.spec import KINDS
from automl.study import Study

DRAFT = "http://json-schema.org/draft-07/schema#"
SHAPES: dict[str, dict[str, Any]] = {  # what validators check and pydantic does not write
    "ParameterSpec": {"oneOf": [{"required": [kind]} for kind in KINDS]},
    "Budget": {"anyOf": [{"required": [key]} for key in ("trials", "time", "gpu_hours")]},
    "Constraint": {"anyOf": [{"required": [key]} for key in ("max", "min")]},
}
DROPPED = ("title", "discriminator", "prefixItems")
DATA = ("default", "examples", "enum", "const", "required")  # hold values, not schemas
LOCAL = {
    "type": "object",
    "description": "a plugin in a file beside the study, with its options",
    "properties": {"path": {"type": "string", "description": "of the file, such as ./mine.py"}},
    "required": ["path"],
}


def schema(options: Mapping[str, type[BaseModel]]) -> dict[str, Any]:
    """Return the JSON Schema of a study.

    Args:
        options: the options of each plugin that is installed, by the plugin's name.
    """
    whole = Study.model_json_schema()
    parts = whole.pop("$defs")
    for name, model in options.items():
        inner = model.model_json_schema(ref_template=f"#/$defs/plugins.{name}.{{model}}")
        parts |= {f"plugins.{name}.{key}": part for key, part in inner.pop("$defs", {}).items()}
        parts[f"plugins.{name}"] = inner
    for name, shape in SHAPES.items():
        parts[name] |= shape
    for kind in KINDS:
        _drop_null(parts["ParameterSpec"]["properties"][kind])
    sampler = parts["Search"]["properties"]["sampler"]
    sampler["anyOf"] = [
        {"enum": list(SAMPLERS)},
        {"type": "string", "pattern": r"\."},
        *sampler["anyOf"][1:],
    ]
    whole["properties"]["plugins"] |= _plugins(options)
    definitions = {name: _draft7(part) for name, part in parts.items()}
    return {"$schema": DRAFT, "title": "automl study", **_draft7(whole), "definitions": definitions}


def _plugins(options: Mapping[str, type[BaseModel]]) -> dict[str, Any]:
    """Describe the plugins by name; one of another name comes from a file."""
    named = {
        name: {"anyOf": [{"$ref": f"#/$defs/plugins.{name}"}, {"type": "null"}]}
        for name in sorted(options)
    }
    return {"properties": named, "additionalProperties": LOCAL}


def _drop_null(part: dict[str, Any]) -> None:
    """Take null out of what may be absent but not empty."""
    if "anyOf" in part:
        part["anyOf"] = [one for one in part["anyOf"] if one.get("type") != "null"]


def _draft7(part: Any) -> Any:
    """Rewrite a part of a schema from draft 2020-12 to draft 7."""
    if isinstance(part, list):
        return [_draft7(one) for one in part]
    if not isinstance(part, Mapping):
        return part
    kept = {key: _value(key, value) for key, value in part.items() if key not in DROPPED}
    if "prefixItems" in part:
        kept["items"] = _draft7(part["prefixItems"])
    if "$ref" in kept and len(kept) > 1:  # draft 7 ignores whatever stands beside a reference
        kept["allOf"] = [{"$ref": kept.pop("$ref")}]
    if kept.get("type") in ("integer", "number") and not kept.keys() & {"const", "enum"}:
        kept |= {"type": [kept["type"], "string"], "pattern": rf"^[-+]?{GROUPED}$"}  # 200_000
    return kept


def _value(key: str, value: Any) -> Any:
    if key in DATA:
        return value
    if key == "$ref":
        return value.replace("#/$defs/", "#/definitions/")
    if key in {"properties", "patternProperties"}:
        return {name: _draft7(one) for name, one in value.items()}
    return _draft7(value)
