"""What an earlier run has left: results not told, attempts that were cut, files half written."""

from collections.abc import Iterable
from pathlib import Path

from automl.events import Outcome
from automl.files import read_json, sweep
from automl.history import Failure, Trial
from automl.mirror import complete
from automl.orphans import NAME as SIGNED
from automl.orphans import end_orphans
from automl.outcomes import from_json
from automl.storage import outlast
from automl.trials import RESULT, UNDER_WAY, Trials

LOST = "the driver was gone before the trial ended"


def recover(trials: Trials) -> None:
    """Finish what earlier runs have left: what only a driver that is gone could finish."""
    if trials.sharing is not None:
        join(trials)
        take_over(trials)
        return
    end_orphans(left_behind(trials.home, trials.all.values()))
    trials.optimizer.abandon(set(trials.proposals.values()))
    finish(trials, trials.all)


def join(trials: Trials) -> None:
    """Sign in, and take in what there is: all of it is another driver's."""
    sharing, record = trials.sharing, trials.record
    assert sharing is not None  # noqa: S101 - for the checker of types
    outlast(record.url, lambda _: sharing.join())
    trials.sync()
    trials.elsewhere = []
    trials.clean(*ended(trials.all.values()))

    def abandon(_again: bool) -> None:
        with record.turn():  # in which no other driver is between Optuna's number and ours
            trials.optimizer.abandon(set(record.proposals().values()))

    outlast(record.url, abandon)


def take_over(trials: Trials) -> None:
    """Finish what drivers have left that are gone."""
    sharing = trials.sharing
    if sharing is None:
        return

    def take(again: bool) -> list[int]:
        unheard = sharing.owned() & trials.taken if again else set()  # an earlier try took them
        return sorted({*sharing.take_over(), *unheard})

    if not (numbers := outlast(trials.record.url, take)):
        return
    found = trials.record.trials(numbers)
    trials.all |= {trial.number: trial for trial in found}
    trials.taken -= set(numbers)
    trials.proposals = trials.record.proposals()
    end_orphans(trial.folder for trial in found if trial.state == "running")
    finish(trials, numbers)


def finish(trials: Trials, numbers: Iterable[int]) -> None:
    """Tell what was not told, run again what was cut, and remove what does not stay."""
    for number in trials.record.untold():
        if number not in trials.told:
            trials.tell(trials.all[number])
    left = [trials.all[number] for number in numbers]
    trials.clean(*ended(left))
    for trial in left:
        if trial.state in UNDER_WAY:
            complete(trial.folder, trials.home)
            sweep(trial.folder)
            go_on(trials, trial)


def ended(trials: Iterable[Trial]) -> list[Trial]:
    """Return those of some trials that have ended."""
    return [trial for trial in trials if trial.state not in UNDER_WAY]


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
    return [*(one.folder for one in trials if one.state == "running"), *signed(home / "shared")]


def signed(folder: Path) -> list[Path]:
    """Return the folders below one in which jobs work, or worked."""
    return [path.parent for path in folder.rglob(SIGNED)]
