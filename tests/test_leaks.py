"""What a study leaves on the machine beside its folder: nothing, however it ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import toys

import automl
from automl.files import TEMPORARY

pytestmark = pytest.mark.slow
SHARED = Path("/dev/shm")
CODE = """
import sys
from pathlib import Path
import toys
import automl

study = toys.study(
    Path(sys.argv[1]),
    model={"class_path": "toys.SlowLine"},
    data={"class_path": "leaking.Workers"},
    trainer={"max_epochs": 3},
    plugins={},
    objectives={"val_loss": {"goal": "minimize"}},
    space={"model.lr": {"float": [0.01, 0.3]}},
    budget={"trials": 4},
    engine="local",
    resources={"parallel": 2},
)
automl.run(study, here=Path(sys.argv[1]))
"""
LEAKING = """
import toys
from torch.utils.data import DataLoader


class Workers(toys.Pairs):
    def train_dataloader(self):
        return DataLoader(self.set(), self.batch, shuffle=True, num_workers=2)
"""


def start(folder):
    (folder / "leaking.py").write_text(LEAKING, encoding="utf-8")
    (folder / "tmp").mkdir(exist_ok=True)
    where = os.pathsep.join([str(Path(toys.__file__).parent), *sys.path])
    known = os.environ | {"TMPDIR": str(folder / "tmp"), "PYTHONPATH": where}
    with (folder / "driver.txt").open("a") as log:
        command = [sys.executable, "-c", CODE, str(folder)]
        return subprocess.Popen(command, env=known, stdout=log, stderr=log)


def shared():
    """Return the semaphores and the shared memory of this user, by name."""
    return {path.name for path in SHARED.iterdir()} if SHARED.is_dir() else set()


def left(folder):
    """Return the temporary files of a study, those that are half written among its own too."""
    half = [p for p in (folder / "runs").rglob(".*") if TEMPORARY.match(p.name)]
    return sorted(str(path) for path in [*(folder / "tmp").rglob("*"), *half])


def settled(check):
    """Wait until something is empty, for what takes a moment to die."""
    until = time.monotonic() + 30
    while check() and time.monotonic() < until:
        time.sleep(0.1)
    return check()


def test_a_study_that_ends_leaves_nothing(tmp_path):
    before = shared()
    assert start(tmp_path).wait(timeout=300) == 0, (tmp_path / "driver.txt").read_text()
    assert settled(lambda: shared() - before) == set()
    assert left(tmp_path) == []


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_driver_that_is_killed_leaves_nothing_once_it_has_gone_on(tmp_path, how):
    before = shared()
    driver = start(tmp_path)
    reports = tmp_path / "runs" / "toy" / "journal.jsonl"
    until = time.monotonic() + 120
    while not (reports.is_file() and "val_loss" in reports.read_text()):
        assert time.monotonic() < until, (tmp_path / "driver.txt").read_text()
        time.sleep(0.05)
    driver.send_signal(how)
    driver.wait(timeout=60)
    assert settled(lambda: shared() - before) == set()
    assert settled(lambda: left(tmp_path)) == []
    assert start(tmp_path).wait(timeout=300) == 0, (tmp_path / "driver.txt").read_text()
    assert left(tmp_path) == []
    assert settled(lambda: shared() - before) == set()


def test_eight_trials_at_once_run_each_enqueued_point_once(tmp_path):
    points = [{"model.x": index / 50} for index in range(1, 41)]
    study = toys.study(
        toys.beside(tmp_path, "Counted"),
        engine="local",
        resources={"parallel": 8},
        search={"sampler": "tpe", "enqueue": points},
        budget={"trials": 45},
    )
    trials = automl.run(study, here=tmp_path).trials
    tried = [trial.params["model.x"] for trial in trials[1:41]]
    assert tried == [point["model.x"] for point in points]
    ran = sorted(float(line) for line in (tmp_path / "ran.txt").read_text().split())
    assert ran == sorted(trial.params["model.x"] for trial in trials)
    assert [len(trial.attempts) for trial in trials] == [1] * 45
