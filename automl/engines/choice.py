"""Builds the engine that a study names."""

import logging
from typing import Any, cast

from automl import ranks
from automl.errors import AutomlError, Problem, StudyError
from automl.events import Engine
from automl.instantiate import find_class
from automl.study import Study
from automl.suggest import did_you_mean_or_known

log = logging.getLogger("automl")
ENGINES = ("local", "inline", "ray")


def make_engine(study: Study) -> Engine:
    """Build the engine that a study names."""
    name = study.engine if isinstance(study.engine, str) else study.engine.name
    if name == "inline":
        from automl.engines.inline import InlineEngine

        if names := unheeded(study):
            said = "engine inline runs trials in the driver, which nothing can kill"
            log.warning("%s: it does not heed %s; engine local does", said, " and ".join(names))
        return InlineEngine()
    if name == "local":
        from automl.engines.local import LocalEngine

        return LocalEngine(study.resources, classes(study))
    if name == "ray":
        from automl.engines.ray import RayEngine

        return RayEngine(study.resources, address_of(study), classes(study))
    if "." in name:
        return third_party(name, study)
    raise StudyError(
        [Problem(f"engine: no engine {name!r}{did_you_mean_or_known(name, ENGINES)}", "engine")]
    )


def unheeded(study: Study) -> list[str]:
    """Return what a study asks for that needs trials in processes of their own."""
    asked = {
        "budget.trial_time": study.budget.trial_time is not None,
        "resources.memory": study.resources.memory is not None,
        "resources.gpus": study.resources.gpus > 0,
        "resources.parallel": study.resources.parallel not in {"auto", 1},
        "trainer.devices": ranks.count(study.resources, study.trainer) > 1,
    }
    return [name for name, one in asked.items() if one]


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


def classes(study: Study) -> list[str]:
    """Return the classes that every trial will import."""
    return [one.class_path for one in (study.model, study.data) if one is not None]
