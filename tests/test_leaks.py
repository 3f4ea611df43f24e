"""What a study leaves on the machine beside its folder: nothing, however it ends."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import pytest
import toys

import automl
from automl.files import TEMPORARY

pytestmark = pytest.mark.slow
SHARED = Path("/dev/shm")
OURS = ("sem.", "torch_", "psm_")  # names that multiprocessing and torch give
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


@pytest.fixture
def temporary():
    """A folder for temporary files whose name leaves room for that of a socket."""
    with tempfile.TemporaryDirectory(prefix="leak", dir="/tmp") as folder:
        yield Path(folder)


def start(folder, temporary):
    (folder / "leaking.py").write_text(LEAKING, encoding="utf-8")
    where = os.pathsep.join([str(Path(toys.__file__).parent), *sys.path])
    known = os.environ | {"TMPDIR": str(temporary), "PYTHONPATH": where}
    with (folder / "driver.txt").open("a") as log:
        command = [sys.executable, "-c", CODE, str(folder)]
        return subprocess.Popen(command, env=known, stdout=log, stderr=log)


def shared():
    """Return the semaphores and the memory that Python and torch share and no process uses.

    Other tests, and servers that they started, run beside this one.
    """
    found = {}
    for path in SHARED.glob("*"):
        with suppress(FileNotFoundError):  # it went while we looked
            if path.name.startswith(OURS):
                found[str(path.stat().st_ino)] = path.name
    used = mapped() if found else set()
    return {name for node, name in found.items() if node not in used}


def mapped():
    """Return the inodes of what the processes of this machine have mapped from shared memory."""
    nodes = set()
    for path in Path("/proc").glob("[0-9]*/maps"):
        with suppress(OSError):  # it has ended, or is another user's
            lines = [line.split() for line in path.read_text().splitlines() if "/dev/shm/" in line]
            nodes |= {line[4] for line in lines}
    return nodes


def left(folder, temporary):
    """Return the temporary files of a study, those that are half written among its own too."""
    half = [p for p in (folder / "runs").rglob(".*") if TEMPORARY.match(p.name)]
    return sorted(str(path) for path in [*temporary.rglob("*"), *half])


def settled(check):
    """Wait until something is empty, for what takes a moment to die."""
    until = time.monotonic() + 30
    while check() and time.monotonic() < until:
        time.sleep(0.1)
    return check()


def test_a_study_that_ends_leaves_nothing(tmp_path, temporary):
    before = shared()
    assert start(tmp_path, temporary).wait(timeout=300) == 0, (tmp_path / "driver.txt").read_text()
    assert settled(lambda: shared() - before) == set()
    assert left(tmp_path, temporary) == []


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_driver_that_is_killed_leaves_nothing_once_it_has_gone_on(tmp_path, temporary, how):
    before = shared()
    driver = start(tmp_path, temporary)
    reports = tmp_path / "runs" / "toy" / "journal.jsonl"
    until = time.monotonic() + 120
    while not (reports.is_file() and "val_loss" in reports.read_text()):
        assert driver.poll() is None, (tmp_path / "driver.txt").read_text()
        assert time.monotonic() < until, (tmp_path / "driver.txt").read_text()
        time.sleep(0.05)
    driver.send_signal(how)
    driver.wait(timeout=60)
    assert settled(lambda: shared() - before) == set()
    assert settled(lambda: left(tmp_path, temporary)) == []
    assert start(tmp_path, temporary).wait(timeout=300) == 0, (tmp_path / "driver.txt").read_text()
    assert left(tmp_path, temporary) == []
    assert settled(lambda: shared() - before) == set()


def test_a_folder_for_temporary_files_with_too_long_a_name_is_said(tmp_path, temporary):
    long = temporary / ("x" * 100)
    long.mkdir()
    assert start(tmp_path, long).wait(timeout=120) == 1
    said = (tmp_path / "driver.txt").read_text()
    assert f"AutomlError: {long}: too long a name" in said
    assert "set TMPDIR to a folder with a shorter one" in said


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
