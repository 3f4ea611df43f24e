"""A study that has run: its trials, its front, and tables of them."""

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from automl.history import History, Trial
from automl.study import Study
from automl.studyfile import StudyFile, of, read

if TYPE_CHECKING:
    import pandas as pd

    from automl.report.records import Facts, Point


class Result:
    """A study that has run."""

    def __init__(self, history: History) -> None:
        self.history = history

    @classmethod
    def of(cls, named: str | Path) -> "Result":
        """Read a study that has run, or still runs, without running it.

        Args:
            named: its name below `runs`, its folder or the URL of that, or its study file.

        Raises:
            StorageError: no such study has run.
        """
        from automl.archive import open_study

        return cls(open_study(str(named)).history())

    @cached_property
    def facts(self) -> "Facts":
        """Everything that a report says."""
        from automl.reporting import report_of

        return report_of(self.history)

    @property
    def folder(self) -> Path:
        """The study's folder."""
        return self.history.folder

    @property
    def trials(self) -> tuple[Trial, ...]:
        """Every trial, whatever became of it."""
        return self.history.trials

    @property
    def front(self) -> "tuple[Point, ...]":
        """The feasible points that no other one dominates."""
        return tuple(point for point in self.facts.points if point.front)

    @property
    def hypervolume(self) -> float | None:
        """The hypervolume of the front; see `facts` for its reference."""
        return self.facts.hypervolume

    def frame(self) -> "pd.DataFrame":
        """Return one row for each point, with its parameters and metrics."""
        from automl.report.tables import frame

        return frame(self.facts)

    def report(self, path: str | Path | None = None) -> Path:
        """Write the report as one HTML file and return where it is."""
        from automl.files import write_text
        from automl.report.html import render

        target = self.folder / "report.html" if path is None else Path(path)
        write_text(target, render(self.facts))
        return target

    def __repr__(self) -> str:
        """Say how many trials there are and how good the front is."""
        study, front = self.history.study.name, len(self.front)
        return f"<Result {study}: {len(self.trials)} trials, {front} on the front>"

    def _repr_html_(self) -> str:
        """Show how the study went and its front in a notebook."""
        from automl.report.tables import notebook

        return notebook(self.facts)


def run(study: str | Path | Study, *, fresh: bool = False, here: str | Path = ".") -> Result:
    """Run a study, or go on with it, and return what came of it.

    Args:
        study: a study file, or a `Study` made in Python.
        fresh: put an earlier run aside and start anew.
        here: the folder that modules and paths of a `Study` are relative to.

    Raises:
        AutomlError: the study cannot run, or went wrong as a whole.
    """
    from automl.launch import run as launch

    file: StudyFile = of(study, here) if isinstance(study, Study) else read(study)
    return Result(launch(file, fresh=fresh))
