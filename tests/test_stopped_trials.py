"""Studies in which a thousand trials were stopped: they go on and report under every sampler."""

from copy import deepcopy

import optuna
import pytest
import toys
from optuna.trial import TrialState

import automl
from automl.archive import open_study
from automl.distributions import distribution
from automl.events import Outcome, Reported
from automl.history import Attempt, Trial
from automl.job import JobSpec
from automl.rows import trial_folder
from automl.samplers import NAMES
from automl.teaching import insert

MANY = 1000
NEW = 4
SPACE = {"model.x": {"float": [0, 1], "step": 2**-9}, "model.n": {"int": [1, 4]}}
OBJECTIVES = {name: {"goal": "minimize", "ref": 1.0} for name in ("near", "far")}


class Halved(toys.Formula):
    """Reports what it measures after each of nine steps."""

    @automl.hookimpl
    def train(self, job):
        for step in range(10):
            job.report(step, **self.measure(job))
            if job.stopped:
                break
        return True


def study(folder, sampler, objectives, trials):
    """A study whose third trial is worse than its first in every way, and is stopped."""
    return toys.study(
        folder,
        space=SPACE,
        objectives={name: OBJECTIVES[name] for name in list(OBJECTIVES)[:objectives]},
        constraints={"far": {"max": 0.6}},
        fidelity={"unit": "step", "min": 1, "max": 9, "eta": 3},
        search={"sampler": sampler, "enqueue": [{"model.x": 0.25}, {"model.x": 1.0}]},
        budget={"trials": trials},
    )


def many_stopped(archive, example):
    """Add a thousand trials that were stopped as an example was, at other points."""
    home, now = archive.record.folder, example.attempts[-1].started
    trials, reports = [], []
    for number in range(3, 3 + MANY):
        params = {"model.x": (number % 500) * 2**-9, "model.n": 1 + number % 4}
        folder = trial_folder(home, number)
        attempt = Attempt(0, now + number, now + number + 1, ("cpu",), "host", "stopped")
        trial = Trial(number, "stopped", params, "random", number, folder, attempts=(attempt,))
        trials.append(trial)
        spec = JobSpec(
            archive.study, "trial", number, 0, params, number, folder, home / "shared", home
        )
        metrics = {"near": 0.5 + number / 9999, "far": 0.5 + number / 9999}
        reports.append(Reported(spec, 1.0, 0.5, metrics))
    archive.record.restore([(trial, Outcome("stopped")) for trial in trials])
    archive.record.report(reports)
    archive.record.told(range(3, 3 + MANY))
    return trials


def as_optuna_has_them(optunas, trials, space):
    """Copy what Optuna was told of a trial that was stopped, with the parameters of others."""
    example = optunas.get_trials(states=(TrialState.PRUNED,))[0]
    for trial in trials:
        copy = deepcopy(example)
        copy.params = dict(trial.params)
        copy.distributions = {name: distribution(space[name]) for name in trial.params}
        yield copy


@pytest.mark.slow
@pytest.mark.parametrize("objectives", [1, 2])
@pytest.mark.parametrize("sampler", [name for name in NAMES if name != "auto"])
def test_a_study_with_a_thousand_stopped_trials_goes_on_and_reports(tmp_path, sampler, objectives):
    toys.beside(tmp_path, "test_stopped_trials.Halved")
    first = automl.run(study(tmp_path, sampler, objectives, 3), here=tmp_path)
    assert [trial.state for trial in first.trials] == ["done", "done", "stopped"]
    archive = open_study(str(first.folder))
    trials = many_stopped(archive, first.trials[2])
    archive.record.close()
    storage = optuna.storages.RDBStorage(f"sqlite:///{first.folder}/study.db")
    told = optuna.load_study(study_name="toy", storage=storage)
    insert(told, as_optuna_has_them(told, trials, archive.space))
    storage.engine.dispose()

    result = automl.run(study(tmp_path, sampler, objectives, 3 + MANY + NEW), here=tmp_path)

    states = [trial.state for trial in result.trials]
    assert states.count("stopped") >= MANY
    assert set(states[-NEW:]) <= {"done", "stopped"}
    assert {trial.origin for trial in result.trials[-NEW:]} == {sampler}
    known = optuna.load_study(study_name="toy", storage=storage).trials
    assert len(known) == 3 + MANY + NEW
    assert "of 1007 trials were stopped early" in result.report().read_text(encoding="utf-8")
    storage.engine.dispose()
