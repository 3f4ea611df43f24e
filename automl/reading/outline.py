"""The outline of a model as its JSON Schema: which keys a mapping may have, of which kind."""

from collections.abc import Mapping
from typing import Any

from automl.reading.marks import Trail

Json = Mapping[str, Any]  # a JSON Schema, or a part of one


def nodes(schema: Json, trail: Trail) -> list[Json]:
    """Return every part of a schema that describes the value at a trail."""
    found = flat(schema, schema)
    for part in trail:
        below = [child for node in found for child in children(node, part)]
        found = [node for child in below for node in flat(schema, child)]
    return found


def flat(schema: Json, node: Any) -> list[Json]:
    """Follow the references and unions of a part; `true` stands for a mapping of anything."""
    if not isinstance(node, Mapping):
        return [{"additionalProperties": True}] if node is True else []
    if "$ref" in node:
        return flat(schema, schema["$defs"][node["$ref"].rsplit("/", 1)[1]])
    parts = [part for union in ("anyOf", "oneOf", "allOf") for part in node.get(union, [])]
    return [one for part in parts for one in flat(schema, part)] if parts else [node]


def children(node: Json, part: Any) -> list[Any]:
    """Return what describes one key or item of a mapping or list."""
    if isinstance(part, int) and "array" in types(node):
        items = node.get("prefixItems", [])
        return [items[part]] if part < len(items) else [node.get("items")]
    properties = node.get("properties", {})
    return [properties[part]] if part in properties else [node.get("additionalProperties")]


def properties(schema: Json, trail: Trail) -> dict[str, Any]:
    """Return the keys that the mapping at a trail may have, with what describes each."""
    found = nodes(schema, trail)
    return {name: node for part in found for name, node in part.get("properties", {}).items()}


def example(schema: Json, trail: Trail, value: Any = None) -> Any:
    """Return the first example that a schema has for a trail, before all one with the value."""
    parents = nodes(schema, trail[:-1]) if trail else []
    own = [child for node in parents for child in children(node, trail[-1])]
    found = [*own, *nodes(schema, trail)]
    examples = [
        node["examples"] for node in found if isinstance(node, Mapping) and "examples" in node
    ]
    if not examples:
        return None
    holding = [one for one in examples[0] if isinstance(one, dict) and value in one.values()]
    return [*holding, *examples[0]][0]


def open_ended(schema: Json, trail: Trail) -> bool:
    """Say whether the mapping at a trail may have keys of any name."""
    return any(node.get("additionalProperties") for node in nodes(schema, trail))


def kinds(schema: Json, node: Any) -> set[str]:
    """Return which of mapping, list and scalar a part describes."""
    names = {"object": "mapping", "array": "list"}
    found = [name for one in flat(schema, node) for name in types(one)]
    return {names.get(name, "scalar") for name in found if name != "null"}


def kind(value: Any) -> str:
    """Say whether a value is a mapping, a list or a scalar."""
    return "mapping" if isinstance(value, dict) else "list" if isinstance(value, list) else "scalar"


def types(node: Json) -> list[str]:
    """Return the JSON types that a part without unions allows."""
    found = node.get("type", [])
    return found if isinstance(found, list) else [found]
