"""A study's settings with a trial's parameters put where their dotted paths point."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from automl.space import Value
from automl.study import Study


@dataclass(frozen=True, slots=True)
class Settings:
    """What one trial is made with: init_args, Trainer arguments and options by plugin."""

    model: Mapping[str, Any]
    data: Mapping[str, Any]
    trainer: Mapping[str, Any]
    plugins: Mapping[str, Mapping[str, Any]]


def settle(study: Study, params: Mapping[str, Value]) -> Settings:
    """Put parameters such as `model.lr` where they belong; what they replace is not changed."""
    trees: dict[str, Any] = {
        "model": study.model.init_args,
        "data": study.data.init_args if study.data else {},
        "trainer": study.trainer,
    }
    trees |= {name: without_path(options) for name, options in study.plugins.items()}
    for path, value in params.items():
        head, *rest = path.split(".")
        if head in trees:
            trees[head] = put(trees[head], rest, value)
    plugins = {name: trees[name] for name in study.plugins}
    return Settings(trees["model"], trees["data"], trees["trainer"], plugins)


def without_path(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return a plugin's own options: `path` says where the plugin is and is not one of them."""
    return {name: value for name, value in options.items() if name != "path"}


def put(tree: Mapping[str, Any], path: list[str], value: Value) -> dict[str, Any]:
    """Return a copy of nested mappings with one value replaced.

    A component, that is a mapping with a `class_path`, is entered at its `init_args`.
    """
    head, *rest = path
    if not rest:
        return {**tree, head: value}
    inner = tree.get(head)
    inner = inner if isinstance(inner, Mapping) else {}
    if "class_path" in inner and rest[0] != "init_args":
        changed = {**inner, "init_args": put(inner.get("init_args", {}), rest, value)}
    else:
        changed = put(inner, rest, value)
    return {**tree, head: changed}


def read(tree: Mapping[str, Any], path: list[str]) -> Any:
    """Return the value that `put` would replace, or None if there is none yet."""
    inner: Any = tree
    for name in path:
        if isinstance(inner, Mapping) and "class_path" in inner and name != "init_args":
            inner = inner.get("init_args", {})
        if not isinstance(inner, Mapping) or name not in inner:
            return None
        inner = inner[name]
    return inner
