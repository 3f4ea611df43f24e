"""The hooks of a plugin: one method for each stage of a trial, every one optional."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import pluggy

from automl.history import History, Point
from automl.sections import Section
from automl.space import Parameter, Space, Value
from automl.study import Study

if TYPE_CHECKING:
    from automl.job import Job

API = 1  # raised when a hook changes in a way that plugins notice

hookspec = pluggy.HookspecMarker("automl")
hookimpl = pluggy.HookimplMarker("automl")


@hookspec
def space() -> Mapping[str, Parameter]:  # type: ignore[empty-body]
    """Propose what to search, by the names of this plugin's options.

    Called once, in the driver, where torch is not loaded. The study file may narrow, widen or fix
    what is proposed; an option that the study sets is not searched unless its space says so.
    """


@hookspec
def prepare(job: "Job") -> None:
    """Make what all trials share, in `job.shared`; called once a study, before the first trial."""


@hookspec
def build(job: "Job") -> None:
    """Change `job.model`, `job.data`, `job.trainer` or `job.callbacks` before training."""


@hookspec(firstresult=True)
def train(job: "Job") -> bool | None:
    """Train `job.model` and return True, or return None to leave it to the next plugin."""


@hookspec
def refine(job: "Job") -> Iterable[Point]:  # type: ignore[empty-body]
    """Change the trained `job.model`, or yield further points made from it with `job.point`."""


@hookspec
def measure(job: "Job") -> Mapping[str, float]:  # type: ignore[empty-body]
    """Return metrics of `job.model` by name."""


@hookspec
def preview(job: "Job") -> Iterable[Section]:  # type: ignore[empty-body]
    """Show in `automl plan` what this plugin would do to the job, which is built, not trained."""


@hookspec
def starts(space: Space) -> Iterable[Mapping[str, Value]]:  # type: ignore[empty-body]
    """Name points to begin with, by the names of this plugin's options; defaults fill the rest.

    Called in the driver with the study's whole space. They come after the points that the study
    enqueues; one that the study's space does not hold is left out.
    """


@hookspec
def grace(study: Study) -> float:  # type: ignore[empty-body]
    """Return the progress, in the study's unit, before which no trial may be stopped early.

    Schedules that decay late look weak until their end. Called in the driver.
    """


@hookspec
def report(history: History) -> Iterable[Section]:  # type: ignore[empty-body]
    """Add sections to the report of a study; called in the driver, where torch is not loaded."""
