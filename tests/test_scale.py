"""Studies of ten thousand trials: what the driver does for a trial does not grow with them."""

import io
import sys

import pytest
import toys

import automl
from automl.archive import open_study
from automl.events import Outcome
from automl.history import Attempt, Trial
from automl.launch import run
from automl.live import Live
from automl.rows import trial_folder
from automl.studyfile import of

MANY = 10_000
FRONT = 200


def recorded(home, number):
    """A trial that is done; the first of them are on the front."""
    x = 0.3 + 0.4 * number / FRONT
    metrics = (
        {"near": abs(x - 0.3), "far": abs(x - 0.7)} if number < FRONT else {"near": 9, "far": 9}
    )
    attempts = (Attempt(0, 1.0, 2.0, ("cpu",), "host", "done"),)
    folder = trial_folder(home, number)
    params = {"model.x": min(x, 1.0)}
    trial = Trial(
        number, "done", params, "random", number, folder, metrics=metrics, attempts=attempts
    )
    return trial, Outcome("done", metrics)


def seconds_a_trial(folder, before, monkeypatch):
    """Return the seconds for each of a hundred trials, with the live view, after others."""
    toys.beside(folder)
    automl.run(toys.study(folder, budget={"trials": 1}), here=folder)
    archive = open_study(str(folder / "runs" / "toy"))
    home = archive.record.folder
    archive.record.restore([recorded(home, number) for number in range(1, before)])
    archive.record.told(range(before))
    archive.record.close()
    study = toys.study(folder, budget={"trials": before + 100})
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    history = run(of(study, folder), Live(study, quiet=False).update)
    new = history.trials[before:]
    assert len(new) == 100
    return (new[-1].attempts[-1].ended - new[0].attempts[0].started) / 100


@pytest.mark.slow
def test_ten_thousand_trials_do_not_double_the_time_for_the_next(tmp_path, monkeypatch):
    times = []
    for index, before in enumerate((1, MANY, 1, MANY)):
        folder = tmp_path / str(index)
        folder.mkdir()
        times.append(seconds_a_trial(folder, before, monkeypatch))
    few, many = min(times[::2]), min(times[1::2])
    assert many < 2 * few, times
