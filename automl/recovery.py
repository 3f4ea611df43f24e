"""What an earlier run has left: results not told, attempts that were cut, files half written."""

from collections.abc import Iterable
from pathlib import Path

from automl.events import Outcome
from automl.files import read_json, sweep
from automl.history import Failure, Trial
from automl.orphans import NAME as SIGNED
from automl.outcomes import from_json
from automl.trials import RESULT, Trials

LOST = "the driver was gone before the trial ended"


def recover(trials: Trials) -> None:
    """Finish what an earlier run has left; it is over, so nothing changes below us."""
    trials.optimizer.abandon(set(trials.proposals.values()))
    for number in trials.record.untold():
        trials.tell(trials.all[number])
    for trial in list(trials.all.values()):
        if trial.state in {"running", "waiting"}:
            sweep(trial.folder)
            go_on(trials, trial)
        else:
            for number, names in trials.keeper.ended(trial).items():
                trials.forget(number, names)


def go_on(trials: Trials, trial: Trial) -> None:
    """Take the result that an attempt has left, or run the trial again."""
    attempt = trial.attempts[-1].number
    spec = trials.spec(trial, attempt)
    if trial.state == "waiting":
        trials.run_again(spec)
        return
    result = read_json(trial.folder / RESULT)
    when = last_sign(trial)
    if result and result.get("attempt") == attempt:
        outcome = from_json(result)
        if outcome.state == "stopped" and trial.number not in trials.halted:
            # it was asked to stop because the driver was; its last report may be lost too
            trials.put_back(spec, outcome, when)
            trials.run_again(spec)
        else:
            trials.end(spec, outcome, when)
        return
    trials.end(spec, Outcome("failed", failure=Failure("lost", LOST)), when)


def last_sign(trial: Trial) -> float:
    """Return when a trial last wrote anything: the time until now was not spent on it."""
    begun = trial.attempts[-1].started
    return max([begun, *(modified(path) for path in trial.folder.rglob("*"))])


def modified(path: Path) -> float:
    """Return when a file was changed, or 0 if it is gone."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def left_behind(home: Path, trials: Iterable[Trial]) -> list[Path]:
    """Return the folders of jobs that may still run though their driver is gone."""
    cut = [one.folder for one in trials if one.state == "running"]
    shared = home / "shared"
    return [*cut, *(path.parent for path in shared.rglob(SIGNED))]
