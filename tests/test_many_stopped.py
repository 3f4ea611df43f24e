"""A study of which a thousand trials were stopped goes on, and is reported, with every sampler."""

import pytest
import toys

import automl
from automl.archive import open_study
from automl.events import Outcome
from automl.history import Attempt, Trial
from automl.optimizer import Optimizer
from automl.reporting import report_of
from automl.rows import trial_folder
from automl.samplers import NAMES
from automl.storage import url_of

STOPPED, DONE, MORE = 1_000, 20, 10
FIDELITY = {"unit": "step", "min": 1, "max": 4, "eta": 2}


def earlier(home, number):
    """A trial of an earlier run: the first are done, others stopped after their first report."""
    x = number / 2000
    state = "done" if number < DONE else "stopped"
    metrics = {"near": abs(x - 0.3), "far": abs(x - 0.7)} if number < DONE else {}
    attempts = (Attempt(0, float(number), number + 1.0, ("cpu",), "host", state),)
    folder = trial_folder(home, number)
    params = {"model.x": x, "model.choice": "ab"[number % 2]}
    trial = Trial(number, state, params, "random", number, folder, metrics, attempts=attempts)
    return trial, Outcome(state, metrics)


def reported(number):
    metrics = f'{{"near": {1 + number / STOPPED}, "far": 2.0}}'
    return {"trial": number, "attempt": 0, "step": 1.0, "seconds": 0.5, "metrics": metrics}


def study(folder, sampler, trials):
    return toys.study(
        toys.beside(folder),
        space={
            "model.x": {"float": [0, 1], "step": 0.0005},
            "model.choice": {"choice": ["a", "b"]},
        },
        search={"sampler": sampler, "seed": 1},
        fidelity=FIDELITY,
        budget={"trials": trials},
    )


@pytest.mark.slow
@pytest.mark.parametrize("sampler", [name for name in NAMES if name != "auto"])
def test_a_thousand_stopped_trials_are_told_sampled_and_reported(tmp_path, sampler):
    automl.run(study(tmp_path, sampler, 1), here=tmp_path)
    archive = open_study(str(tmp_path / "runs" / "toy"))
    numbers = range(1, DONE + STOPPED)
    archive.record.restore([earlier(archive.record.folder, number) for number in numbers])
    archive.record.add_reports([reported(number) for number in numbers])
    archive.record.close()
    more = study(tmp_path, sampler, DONE + STOPPED + MORE)
    automl.run(more, here=tmp_path)
    history = open_study(str(tmp_path / "runs" / "toy")).history()
    states = [trial.state for trial in history.trials]
    assert (states.count("stopped"), states.count("done")) == (STOPPED, DONE + MORE)
    new = history.trials[-MORE:]
    assert all(history.space.problems(trial.params) == [] for trial in new)
    assert len({tuple(sorted(trial.params.items())) for trial in new}) > MORE // 2
    count = f"{STOPPED} of {DONE + STOPPED + MORE} trials were stopped early"
    assert count in str(report_of(history))
    optimizer = Optimizer(url_of("auto", history.folder), more, history.space)
    told = [one.state.name for one in optimizer.optuna.trials]
    optimizer.close()
    assert (told.count("PRUNED"), told.count("COMPLETE")) == (STOPPED, DONE + MORE)
