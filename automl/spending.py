"""What a study has spent of its budget: trials, time and GPU-hours."""

import time
from collections.abc import Mapping

from automl.trials import Trials


class Spending:
    """The time that a study has taken, over all runs, and what its budget still allows.

    Args:
        trials: of the study.
        since: when each job that runs here started, by its key, on the monotonic clock.
    """

    def __init__(self, trials: Trials, since: Mapping[str, float]) -> None:
        self.trials = trials
        self.budget = trials.study.budget
        self.since = since
        found = trials.record.find()
        self.before = found.seconds if found else 0.0  # what earlier runs took
        self.began = time.monotonic()

    def left(self) -> bool:
        """Say whether the budget allows a new trial."""
        budget = self.budget
        if budget.trials is not None and len(self.trials.all) >= budget.trials:
            return False
        if budget.time is not None and self.seconds() >= budget.time:
            return False
        return budget.gpu_hours is None or self.gpu_hours() < budget.gpu_hours

    def seconds(self) -> float:
        """Return the seconds that all runs of the study took together."""
        return self.before + time.monotonic() - self.began

    def gpu_hours(self) -> float:
        """Return the hours times GPUs that attempts took, those that run now included."""
        every = self.trials.all.values()
        spent = sum(trial.seconds for trial in every)
        spent += sum(time.monotonic() - since for since in self.since.values())
        elsewhere = [one for one in every if one.number in self.trials.taken]
        running = [one.attempts[-1] for one in elsewhere if one.state == "running"]
        spent += sum(time.time() - attempt.started for attempt in running)
        return spent * self.trials.study.resources.gpus / 3600
