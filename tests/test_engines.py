"""Jobs in processes of their own: what starts, what reports, what dies and what is left."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
import toys

import automl
from automl.errors import AutomlError

LOCAL = {"engine": "local", "resources": {"parallel": 2}}
TRAINED = {
    "model": {"class_path": "toys.Line"},
    "data": {"class_path": "toys.Pairs"},
    "trainer": {"max_epochs": 3},
    "plugins": {},
    "objectives": {"val_loss": {"goal": "minimize"}, "parameters": {"goal": "minimize"}},
    "space": {"model.lr": {"float": [0.01, 0.3]}, "model.width": {"int": [1, 8]}},
}


def run(folder, plugin="Formula", **changes):
    return automl.run(toys.study(toys.beside(folder, plugin), **changes), here=folder)


def test_trials_in_processes_equal_trials_in_the_driver(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    local = run(tmp_path / "a", **TRAINED | LOCAL, budget={"trials": 3})
    inline = run(tmp_path / "b", **TRAINED, budget={"trials": 3})
    assert [t.metrics["val_loss"] for t in local.trials] == pytest.approx(
        [t.metrics["val_loss"] for t in inline.trials], rel=1e-5
    )


def test_each_trial_reports_once_an_epoch_and_logs_to_its_folder(tmp_path):
    trials = run(tmp_path, **TRAINED | LOCAL, budget={"trials": 2}).trials
    assert [[r.step for r in t.reports if r.step] for t in trials] == [[1, 2, 3]] * 2
    assert all((trial.folder / "log.txt").is_file() for trial in trials)


def test_a_trial_that_is_killed_is_run_again_and_then_recorded_as_a_crash(tmp_path):
    plugins = {"formula": {"path": "formula.py", "above": 0.6, "how": "kill"}}
    search = {"sampler": "random", "enqueue": ({"model.x": 0.9},)}
    trials = run(tmp_path, "Break", plugins=plugins, search=search, budget={"trials": 2}, **LOCAL)
    killed = trials.trials[1]
    assert (killed.state, killed.failure.kind) == ("failed", "crash")
    assert [attempt.outcome for attempt in killed.attempts] == ["crash", "crash"]
    assert "SIGKILL" in killed.failure.message


def test_a_trial_that_hangs_is_killed_at_its_time_limit(tmp_path):
    plugins = {"formula": {"path": "formula.py", "above": 0.6, "how": "hang"}}
    search = {"sampler": "random", "enqueue": ({"model.x": 0.9},)}
    budget = {"trials": 2, "trial_time": 3.0}
    trials = run(tmp_path, "Break", plugins=plugins, search=search, budget=budget, **LOCAL).trials
    assert [trial.state for trial in trials] == ["done", "failed"]
    assert trials[1].failure.kind == "timeout"


@pytest.mark.slow
def test_the_users_script_is_not_run_again_by_the_trials(tmp_path):
    toys.beside(tmp_path)
    script = tmp_path / "script.py"
    script.write_text(
        "print('once')\n"
        "import pathlib, toys, automl\n"
        "here = pathlib.Path(__file__).parent\n"
        "automl.run(toys.study(here, engine='local', budget={'trials': 2}), here=here)\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert done.stdout.count("once") == 1


def start_slow(folder):
    """Start a driver with slow trials and wait until two of them run."""
    toys.beside(folder, "Slow")
    code = (
        "import pathlib, sys, toys, automl\n"
        "here = pathlib.Path(sys.argv[1])\n"
        "automl.run(toys.study(here, engine='local', resources={'parallel': 2},"
        " budget={'trials': 8}), here=here)\n"
    )
    with (folder / "said").open("w") as said:
        driver = subprocess.Popen([sys.executable, "-c", code, str(folder)], stderr=said)
    logs = folder / "runs" / "toy" / "trials"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and len(list(logs.glob("*/log.txt"))) < 2:
        time.sleep(0.05)
    return driver


def descendants(pid):
    return psutil.Process(pid).children(recursive=True)


@pytest.mark.slow
def test_when_the_driver_is_killed_all_its_processes_are_gone_at_once(tmp_path):
    driver = start_slow(tmp_path)
    children = descendants(driver.pid)
    assert len(children) >= 2
    os.kill(driver.pid, signal.SIGKILL)
    _, alive = psutil.wait_procs(children, timeout=10)
    driver.wait()
    assert alive == []


def test_a_study_goes_on_after_its_driver_was_killed(tmp_path):
    driver = start_slow(tmp_path)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    result = run(tmp_path, "Slow", budget={"trials": 8}, **LOCAL)
    assert [trial.state for trial in result.trials] == ["done"] * 8
    assert any(len(trial.attempts) > 1 for trial in result.trials)


@pytest.mark.slow
def test_an_interrupt_keeps_what_runs_for_the_next_time(tmp_path):
    driver = start_slow(tmp_path)
    driver.send_signal(signal.SIGINT)
    driver.wait(timeout=60)
    assert "KeyboardInterrupt" in (tmp_path / "said").read_text()
    result = run(tmp_path, "Slow", budget={"trials": 8}, **LOCAL)
    assert [trial.state for trial in result.trials] == ["done"] * 8


def test_a_module_that_cannot_be_imported_is_named_before_any_trial(tmp_path):
    with pytest.raises(AutomlError, match="cannot import 'nosuch.Model'"):
        run(tmp_path, model={"class_path": "nosuch.Model"}, **LOCAL)


@pytest.mark.slow
def test_a_module_that_breaks_as_it_is_imported_is_named_before_any_trial(tmp_path):
    (tmp_path / "broken.py").write_text("x = nothing\n")
    toys.beside(tmp_path)
    study = "import toys, automl, pathlib\nautoml.run(toys.study(pathlib.Path.cwd(),"
    study += " engine='local', model={'class_path': 'broken.Net'}))\n"
    done = subprocess.run(
        [sys.executable, "-c", study],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "importing 'broken' failed with NameError: name 'nothing'" in done.stderr
    assert "unexpected EOF" not in done.stderr


def test_a_path_of_the_space_that_the_model_does_not_take_is_refused(tmp_path):
    with pytest.raises(AutomlError, match=r"Blank takes no 'xx'; did you mean 'x'\?"):
        run(tmp_path, space={"model.xx": {"float": [0, 1]}})


HOG = """
import time

import toys

import automl


class Mine(toys.Formula):
    @automl.hookimpl
    def train(self, job):
        if job.model.x > 0.6:
            held = b"x" * 2_000_000_000
            time.sleep(100)
        return True
"""


def test_a_trial_that_takes_more_memory_than_it_may_is_killed_as_out_of_memory(tmp_path):
    (tmp_path / "formula.py").write_text(HOG, encoding="utf-8")
    search = {"sampler": "random", "enqueue": ({"model.x": 0.9},)}
    resources = {"parallel": 1, "memory": "1.5GB"}
    study = toys.study(
        tmp_path, engine="local", resources=resources, search=search, budget={"trials": 2}
    )
    trials = automl.run(study, here=tmp_path).trials
    assert [trial.state for trial in trials] == ["done", "failed"]
    assert trials[1].failure.kind == "oom"
    assert "resources.memory is 1.5 GB" in trials[1].failure.message


@pytest.mark.parametrize("engine", ["inline", "local"])
def test_relative_paths_begin_beside_the_study(tmp_path, engine):
    (tmp_path / "number.txt").write_text("0.25")
    (trial,) = run(tmp_path, "File", engine=engine, budget={"trials": 1}).trials
    assert trial.metrics["near"] == 0.25


def test_what_trials_in_the_driver_cannot_be_held_to_is_said(tmp_path, caplog):
    budget = {"trials": 1, "trial_time": 60.0}
    run(tmp_path, budget=budget, resources={"memory": "4GB"})
    assert "does not heed budget.trial_time and resources.memory; engine local" in caplog.text
    caplog.clear()
    run(tmp_path, budget={"trials": 2}, resources={"cpus": 2}, name="other")
    assert caplog.text == ""
