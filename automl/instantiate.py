"""Build the classes that a study names, and say in words why one cannot be built."""

import importlib
import inspect
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError

from automl.errors import AutomlError, Problem, StudyError
from automl.suggest import did_you_mean_or_known

NUMBERS = (int, float, bool)
Place = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument that a class takes; `required` if it has no default."""

    name: str
    hint: Any
    default: Any
    required: bool


def find_class(class_path: str) -> type:
    """Import a class by its dotted path.

    Raises:
        AutomlError: there is no such module or no such class in it, or importing it failed.
    """
    module_name, _, name = class_path.rpartition(".")
    if not module_name:
        raise AutomlError(f"class_path {class_path!r} needs a module, such as 'package.Class'")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise AutomlError(f"cannot import {class_path!r}: {error}") from error
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
        raise AutomlError(f"importing {module_name!r} failed with {said}") from error
    found = getattr(module, name, None)
    if not isinstance(found, type):
        names = [key for key, value in vars(module).items() if isinstance(value, type)]
        names += list(getattr(module, "__all__", ()))
        raise AutomlError(
            f"module {module_name!r} has no class {name!r}{did_you_mean_or_known(name, names)}"
        )
    return found


def arguments(made: type) -> tuple[dict[str, Argument], bool]:
    """Return what a class takes, through `**kwargs` of its bases too, and whether it takes any."""
    found: dict[str, Argument] = {}
    for base in made.__mro__:
        init = vars(base).get("__init__")
        if init is None or base is object:
            continue
        hints = _hints(init)
        parameters = list(inspect.signature(init).parameters.values())[1:]
        for one in parameters:
            if one.kind in {one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY} and one.name not in found:
                empty = one.default is one.empty
                hint = hints.get(one.name, Any)
                found[one.name] = Argument(one.name, hint, None if empty else one.default, empty)
        if not any(one.kind is one.VAR_KEYWORD for one in parameters):
            return found, False
    return found, True


def _hints(init: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(init)
    except Exception:  # a hint may name what is imported for type checkers only
        return {}


def is_component(value: Any) -> bool:
    """Say whether a value is written as `{class_path: …, init_args: {…}}`."""
    return (
        isinstance(value, Mapping)
        and "class_path" in value
        and set(value)
        <= {
            "class_path",
            "init_args",
        }
    )


def problems(class_path: str, init_args: Mapping[str, Any]) -> Iterator[tuple[Place, str]]:
    """Say what keeps a component from being built, by the path below it, without building it."""
    try:
        made = find_class(class_path)
    except AutomlError as error:
        yield ("class_path",), str(error)
        return
    known, open_ended = arguments(made)
    for name, value in init_args.items():
        if name in known:
            yield from argument_problems(known[name], value)
        elif not open_ended:
            near = did_you_mean_or_known(name, known)
            yield ("init_args", name), f"{made.__name__} takes no {name!r}{near}"
    for name, argument in known.items():
        if argument.required and name not in init_args:
            yield ("init_args",), f"{made.__name__} needs {name!r}"


def argument_problems(argument: Argument, value: Any) -> Iterator[tuple[Place, str]]:
    """Say what is wrong with the value of one argument."""
    place = ("init_args", argument.name)
    if is_component(value):
        for inner, message in problems(value["class_path"], value.get("init_args", {})):
            yield (*place, *inner), message
    elif wrong := mismatch(argument.hint, value):
        yield place, wrong


def mismatch(hint: Any, value: Any) -> str | None:
    """Say how a value differs from a type hint; None if it fits or the hint cannot be checked."""
    if isinstance(value, str) and hint in NUMBERS:
        return f"expected {hint.__name__}, got {value!r}"
    try:
        TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True)).validate_python(value)
    except ValidationError as error:
        expected = getattr(hint, "__name__", str(hint))
        said = error.errors()[0]["msg"].lower()
        return f"expected {expected}, got {value!r}: {said}"
    except (PydanticUserError, TypeError, NameError):
        return None
    return None


def build(class_path: str, init_args: Mapping[str, Any]) -> Any:
    """Build an object, and first those that its arguments name by class_path.

    Raises:
        StudyError: with every problem that can be known without building.
    """
    if found := list(problems(class_path, init_args)):
        raise StudyError(Problem(message, ".".join(path)) for path, message in found)
    made = find_class(class_path)
    known, _ = arguments(made)
    hints = {name: argument.hint for name, argument in known.items()}
    return made(**{name: built(value, hints.get(name)) for name, value in init_args.items()})


def built(value: Any, hint: Any = None) -> Any:
    """Build a nested component, walk lists, and turn a list into a tuple where one is expected."""
    if is_component(value):
        return build(value["class_path"], value.get("init_args", {}))
    if isinstance(value, list):
        items = [built(item) for item in value]
        return tuple(items) if typing.get_origin(hint) is tuple or hint is tuple else items
    return value
