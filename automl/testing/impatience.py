"""A driver that asks a job to stop at its first report, for the check that the job obeys."""

from collections.abc import Mapping
from contextlib import chdir
from pathlib import Path
from typing import Any

from automl.events import Outcome
from automl.job import JobSpec


class Impatient:
    """A line that asks to stop at the first report."""

    def __init__(self) -> None:
        self.reports = 0

    def report(self, step: float, metrics: Mapping[str, float]) -> None:
        """Count."""
        del metrics
        self.reports += step > 0

    def stopped(self) -> bool:
        """Ask to stop as soon as training has reported."""
        return self.reports > 0

    def map(self, function: str, items: list[Any], folder: Path) -> None:
        """Refuse: a trial does not map."""
        raise AssertionError(f"a trial maps {function} over {len(items)} items into {folder}")


def run_here(spec: JobSpec, line: Impatient) -> Outcome:
    """Run a job here; torch is loaded by now."""
    from automl import stages

    with chdir(spec.here):
        return stages.run(spec, line)
