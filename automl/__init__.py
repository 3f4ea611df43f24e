"""Search for the best trade-offs of a training job: one study file, plugins, Pareto reports.

Every public name is imported when it is first used, so that the command line starts at once.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from automl.errors import AutomlError as AutomlError
    from automl.errors import PluginError as PluginError
    from automl.errors import Problem as Problem
    from automl.errors import StorageError as StorageError
    from automl.errors import StudyError as StudyError
    from automl.export import load as load
    from automl.history import Failure as Failure
    from automl.history import History as History
    from automl.history import Point as Point
    from automl.history import Report as Report
    from automl.history import Trial as Trial
    from automl.hooks import API as API
    from automl.hooks import hookimpl as hookimpl
    from automl.job import Job as Job
    from automl.result import Result as Result
    from automl.result import run as run
    from automl.sections import Figure as Figure
    from automl.sections import Graph as Graph
    from automl.sections import Heatmap as Heatmap
    from automl.sections import Section as Section
    from automl.sections import Series as Series
    from automl.sections import Table as Table
    from automl.sections import Text as Text
    from automl.space import Choice as Choice
    from automl.space import Fixed as Fixed
    from automl.space import Float as Float
    from automl.space import Int as Int
    from automl.space import Space as Space
    from automl.study import Component as Component
    from automl.study import Study as Study

HOMES = {
    "errors": ("AutomlError", "PluginError", "Problem", "StorageError", "StudyError"),
    "export": ("load",),
    "history": ("Failure", "History", "Point", "Report", "Trial"),
    "hooks": ("API", "hookimpl"),
    "job": ("Job",),
    "result": ("Result", "run"),
    "sections": ("Figure", "Graph", "Heatmap", "Section", "Series", "Table", "Text"),
    "space": ("Choice", "Fixed", "Float", "Int", "Space"),
    "study": ("Component", "Study"),
}
HOME = {name: module for module, names in HOMES.items() for name in names}

__all__ = sorted(HOME)  # noqa: PLE0605 - a sorted list of the table above


def __getattr__(name: str) -> Any:
    """Import a public name from its module when it is first asked for."""
    if name not in HOME:
        raise AttributeError(f"module 'automl' has no attribute {name!r}")
    return getattr(import_module(f"automl.{HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(HOME)
