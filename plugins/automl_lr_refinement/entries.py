"""The finished trials of a study with what their folders hold; reads files, never torch."""

from dataclasses import dataclass
from pathlib import Path

from automl import History, Trial
from automl_lr_refinement import verdict
from automl_lr_refinement.options import Options
from automl_lr_refinement.schedules import Schedule


@dataclass(frozen=True, slots=True)
class Entry:
    """A finished trial as the report needs it.

    Attributes:
        value: of the metric when training had ended; another plugin may have changed the model
            after it.
        peak: factor on the peak learning rate.
    """

    trial: Trial
    shape: str
    peak: float
    value: float

    @property
    def folder(self) -> Path:
        """Where the trial keeps norms, schedules and verdicts."""
        return self.trial.folder / "lr_refinement"

    def used(self) -> Schedule | None:
        """Return the schedule of its first optimizer."""
        return next(iter(self.every()), None)

    def every(self) -> list[Schedule]:
        """Return the schedule of each optimizer, or one for all."""
        return [Schedule.read(path) for path in sorted(self.folder.glob("used-*.json"))]

    def compared(self) -> verdict.Comparison | None:
        """Return what fresh seeds said, if they were asked."""
        path = self.folder / "confirm.json"
        return verdict.read(path) if path.exists() else None

    def degenerate(self) -> str:
        """Say why linear decay took the place of its refined schedule; nothing if it did not."""
        schedule = self.used()
        fell_back = schedule is not None and schedule.provenance.get("fell_back")
        return str(schedule.provenance["verdict"]["reason"]) if schedule and fell_back else ""


def entries(history: History, metric: str, options: Options) -> list[Entry]:
    """Return the finished trials that have the metric."""
    return [
        Entry(
            trial,
            trial.params.get("lr_refinement.shape", options.shape),
            trial.params.get("lr_refinement.peak", options.peak),
            at_end(trial, metric),
        )
        for trial in history.finished()
        if metric in trial.metrics
    ]


def judged(history: History) -> tuple[str, str]:
    """Return the first objective that trainings have reported at their end, and its goal."""
    ends = [trial.reports[-1].metrics for trial in history.finished() if trial.reports]
    objectives = history.study.objectives
    told = (name for name in objectives if any(name in metrics for metrics in ends))
    name = next(told, next(iter(objectives)))
    return name, objectives[name].goal


def at_end(trial: Trial, metric: str) -> float:
    """Return a metric as training reported it last, or else as it was measured."""
    told = [report.metrics[metric] for report in trial.reports if metric in report.metrics]
    return told[-1] if told else trial.metrics[metric]
