"""Trials of several ranks: processes that train one model together, and die together."""

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
import toys

import automl
from automl import ranks
from automl.archive import open_study
from automl.study import Resources

CREW = {
    "model": {"class_path": "crews.Counting"},
    "data": {"class_path": "crews.Many"},
    "trainer": {"max_epochs": 3, "accelerator": "cpu", "devices": 2, "strategy": "ddp"},
    "plugins": {},
    "objectives": {"val_loss": {"goal": "minimize"}, "world": {"goal": "maximize"}},
    "space": {"model.lr": {"float": [0.01, 0.3]}, "model.how": {"fixed": "train"}},
    "budget": {"trials": 1},
    "search": {"sampler": "random"},
    "engine": "local",
    "resources": {"parallel": 1, "cpus": 2},
}


def run(folder, how="train", **changes):
    space = CREW["space"] | {"model.how": {"fixed": how}}
    return automl.run(toys.study(folder, **CREW | {"space": space} | changes), here=folder)


def processes(folder):
    """Return the ranks of the trial that have said who they are."""
    return [json.loads(path.read_text()) for path in sorted(folder.rglob("said-*.json"))]


def gone(folder):
    said = processes(folder)
    assert len(said) == 2
    alive = [psutil.Process(one["pid"]) for one in said if psutil.pid_exists(one["pid"])]
    return psutil.wait_procs(alive, timeout=10)[1] == []


@pytest.mark.slow
def test_two_ranks_train_one_model_and_one_of_them_reports(tmp_path):
    (trial,) = run(tmp_path, budget={"trials": 1}).trials
    assert trial.state == "done"
    assert trial.metrics["world"] == 2
    assert [one.step for one in trial.reports if one.step] == [1, 2, 3]
    first, second = processes(tmp_path)
    assert first["pid"] != second["pid"]
    assert first["group"] == second["group"] == first["pid"]
    assert sorted(first["seen"] + second["seen"]) == sorted([*range(32)] * 3)
    assert first["weight"] == second["weight"]
    assert gone(tmp_path)
    assert [path.name for path in trial.folder.glob(".*")] == []


@pytest.mark.parametrize(
    ("how", "kind", "text"),
    [
        ("raise on 1", "user", "RuntimeError: as told"),
        ("raise on 0", "user", "RuntimeError: as told"),
        ("oom on 1", "oom", "out of memory"),
        ("kill on 1", "crash", "SIGKILL"),
        ("kill on 0", "crash", "SIGKILL"),
        ("hang on 1", "timeout", ""),
    ],
)
@pytest.mark.slow
def test_what_ends_one_rank_ends_the_trial_with_its_kind(tmp_path, how, kind, text):
    budget = {"trials": 1, "trial_time": 15.0}
    on_failure = {"crash": "skip"}
    with pytest.raises(automl.AutomlError, match="failed"):
        run(tmp_path, how, budget=budget, on_failure=on_failure)
    archive = open_study(str(tmp_path / "runs" / "toy"))
    (trial,) = archive.history().trials
    archive.record.close()
    assert trial.failure.kind == kind
    assert text in trial.failure.message
    assert gone(tmp_path)


def start(folder, how):
    space = CREW["space"] | {"model.how": {"fixed": how}}
    study = toys.study(folder, **CREW | {"space": space})
    (folder / "study.json").write_text(study.model_dump_json())
    code = (
        "import pathlib, sys, automl\n"
        "here = pathlib.Path(sys.argv[1])\n"
        "study = automl.Study.model_validate_json((here / 'study.json').read_text())\n"
        "automl.run(study, here=here)\n"
    )
    with (folder / "driver.txt").open("w") as log:
        driver = subprocess.Popen([sys.executable, "-c", code, folder], stderr=log, stdout=log)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and len(processes(folder)) < 2:
        time.sleep(0.05)
    return driver


@pytest.mark.parametrize("group", [False, True])
@pytest.mark.slow
def test_ranks_die_with_their_driver(tmp_path, group):
    driver = start(tmp_path, "hang on 1")
    os.kill(driver.pid, signal.SIGKILL)
    if group:
        os.kill(processes(tmp_path)[0]["pid"], signal.SIGKILL)
    driver.wait()
    assert gone(tmp_path)


@pytest.mark.slow
def test_a_crew_that_was_cut_goes_on_bit_for_bit(tmp_path):
    (tmp_path / "whole").mkdir()
    (tmp_path / "cut").mkdir()
    (whole,) = run(tmp_path / "whole").trials
    driver = start(tmp_path / "cut", "interrupt on 1")
    assert driver.wait(timeout=120) != 0
    (cut,) = run(tmp_path / "cut", "interrupt on 1").trials
    assert [one.outcome for one in cut.attempts] == ["stopped", "done"]
    assert cut.metrics["val_loss"] == whole.metrics["val_loss"]


def test_ranks_are_counted_by_gpus_or_by_devices_on_cpus():
    two = {"accelerator": "cpu", "devices": 2}
    assert ranks.count(Resources(), {}) == ranks.count(Resources(gpus=1.0), {}) == 1
    assert ranks.count(Resources(gpus=2.0), {}) == ranks.count(Resources(), two) == 2
    assert ranks.taken(Resources(), two) == []
    assert ranks.taken(Resources(gpus=1.0), two) == ["accelerator", "devices"]
    assert ranks.taken(Resources(), {"devices": 2}) == ["devices"]
