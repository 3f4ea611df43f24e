"""What the study says about a failure: run again, learn, skip, stop, or give up."""

from collections.abc import Iterable
from typing import Any

from automl.errors import AutomlError
from automl.history import Failure, State, Trial
from automl.study import OnFailure, Retry

LAST_LINES = 30  # of a log, shown when a study gives up


class Failures:
    """Applies the policies of a study, and counts failures in a row."""

    def __init__(self, policies: OnFailure) -> None:
        self.policies = policies
        self.row = 0

    def policy(self, failure: Failure | None) -> Any:
        """Return what the study says about a failure; None if there is none."""
        return None if failure is None else getattr(self.policies, failure.kind)

    def again(self, trial: Trial, failure: Failure | None) -> bool:
        """Say whether a trial is to run again; each kind of failure has retries of its own."""
        policy = self.policy(failure)
        if failure is None or not isinstance(policy, Retry):
            return False
        before = sum(attempt.outcome == failure.kind for attempt in trial.attempts[:-1])
        return before < policy.retry

    def learns(self, failure: Failure | None) -> bool:
        """Say whether a failure teaches the sampler to leave the region."""
        return bool(self.policy(failure) == "learn")

    def count(self, trial: Trial) -> AutomlError | None:
        """Count a trial that has ended, and return an error if the study must end."""
        self.row = self.row + 1 if trial.state == "failed" else 0
        if trial.state == "failed" and self.policy(trial.failure) == "stop":
            return AutomlError(f"on_failure: stop: {words(trial)}")
        if self.row < self.policies.give_up_after:
            return None
        return AutomlError(
            f"{self.row} trials failed in a row, the last with {words(trial)}\n"
            f"{tail(trial, LAST_LINES)}"
        )


def all_failed(trials: Iterable[Trial]) -> AutomlError | None:
    """Return an error if there are trials and every one has failed."""
    every = list(trials)
    states: set[State] = {trial.state for trial in every}
    if states != {"failed"}:
        return None
    return AutomlError(f"all {len(every)} trials failed, the last with {words(every[-1])}")


def words(trial: Trial) -> str:
    """Say how a trial failed, with which parameters, and where its log is."""
    said = trial.failure.message if trial.failure else "no reason"
    return f"{said}; trial {trial.number}, parameters {dict(trial.params)}, log in {trial.folder}"


def tail(trial: Trial, lines: int) -> str:
    """Return the last lines of a trial's log."""
    log = trial.folder / "log.txt"
    if not log.is_file():
        return ""
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
