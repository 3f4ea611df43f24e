"""Builds the engine that a study names."""

from typing import Any, cast

from automl.errors import AutomlError, Problem, StudyError
from automl.events import Engine
from automl.instantiate import find_class
from automl.study import Study
from automl.suggest import did_you_mean_or_known
from automl.zoo import HOME as ZOO

ENGINES = ("local", "inline", "ray")


def make_engine(study: Study) -> Engine:
    """Build the engine that a study names."""
    name = study.engine if isinstance(study.engine, str) else study.engine.name
    if name == "inline":
        from automl.engines.inline import InlineEngine

        return InlineEngine()
    if name == "local":
        from automl.engines.local import LocalEngine

        return LocalEngine(study.resources, modules(study))
    if name == "ray":
        from automl.engines.ray import RayEngine

        return RayEngine(study.resources, address_of(study), modules(study))
    if "." in name:
        return third_party(name, study)
    raise StudyError(
        [Problem(f"engine: no engine {name!r}{did_you_mean_or_known(name, ENGINES)}", "engine")]
    )


def third_party(class_path: str, study: Study) -> Engine:
    """Build an engine of someone else's, which takes `resources` and the study's `address`.

    Raises:
        AutomlError: it is no engine: it lacks one of the methods of `automl.events.Engine`.
    """
    made: Any = find_class(class_path)(study.resources, address_of(study))
    for method in ("capacity", "submit", "poll", "tell", "close"):
        if not callable(getattr(made, method, None)):
            raise AutomlError(f"engine: {class_path} is no engine: it has no method {method!r}")
    return cast("Engine", made)


def address_of(study: Study) -> str | None:
    """Return the address that a study gives for its engine."""
    return None if isinstance(study.engine, str) else study.engine.address


def modules(study: Study) -> list[str]:
    """Return the modules that every trial will import, but none beside the study file."""
    paths = [one.class_path for one in (study.model, study.data) if one is not None]
    found = []
    for path in paths:
        module, _, name = path.rpartition(".")
        found.append(f"{module}.{ZOO[name]}" if module == "automl.zoo" and name in ZOO else module)
    return found
