"""A driver's end of the line to a job in this process, which may ask it to stop."""

import math
from collections.abc import Mapping
from contextlib import chdir
from pathlib import Path
from typing import Any

from automl.events import Outcome
from automl.job import JobSpec


class Watched:
    """A line that counts reports, and asks to stop when it has lost patience.

    Args:
        here: the folder that paths of the study are relative to.
        patience: reports of training after which it asks to stop.
    """

    def __init__(self, here: Path, patience: float = math.inf) -> None:
        self.here = here
        self.patience = patience
        self.reports = 0

    def report(self, step: float, metrics: Mapping[str, float]) -> None:
        """Count."""
        del metrics
        self.reports += step > 0

    def stopped(self) -> bool:
        """Ask to stop."""
        return self.reports > self.patience

    def map(self, function: str, items: list[Any], folder: Path) -> None:
        """Refuse: a trial does not map."""
        raise AssertionError(f"a trial maps {function} over {len(items)} items into {folder}")


def run_here(spec: JobSpec, line: Watched) -> Outcome:
    """Run a job here; torch is loaded by now."""
    from automl import stages

    with chdir(spec.here):
        return stages.run(spec, line)
