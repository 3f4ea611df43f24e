"""Several drivers of one study on a PostgreSQL server: killed, added, cut off, on their own."""

import os
import signal
import subprocess
import sys
import time

import pytest
import sqlalchemy as sa
import toys

from automl.archive import open_study
from automl.errors import StorageError
from automl.studyfile import dump
from automl.tables import DRIVERS
from automl.testing.invariants import broken

pytestmark = pytest.mark.slow
COUNT = 24


def write(folder, server, **changes):
    folder.mkdir(exist_ok=True)
    url = server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
    given = {"budget": {"trials": COUNT}, "on_failure": {"lost": {"retry": 3}}} | changes
    study = toys.study(toys.beside(folder, "SlowCounted"), storage=url, **given)
    (folder / "study.yaml").write_text(dump(study), encoding="utf-8")
    return folder


def start(folder, log="driver"):
    command = [sys.executable, "-m", "automl", "run", "study.yaml"]
    with (folder / f"{log}.txt").open("a") as output:
        return subprocess.Popen(command, cwd=folder, stdout=output, stderr=output)


def said(folder):
    return "\n".join(path.read_text() for path in folder.glob("*.txt"))


def read(folder):
    """Read what the record has, and leave no connection open."""
    archive = open_study(str(folder / "runs" / "toy"))
    try:
        return archive.history()
    finally:
        archive.record.close()


def ended(folder, count, deadline=600):
    """Wait until so many trials have ended."""
    until = time.monotonic() + deadline
    while time.monotonic() < until:
        try:
            states = [trial.state for trial in read(folder).trials]
        except StorageError:  # the study is not there yet
            states = []
        if states.count("done") >= count:
            return
        time.sleep(0.2)
    raise AssertionError(said(folder))


def crash(server):
    """End the server at once, and start it again after three seconds."""
    os.kill(server.get_pid(), signal.SIGQUIT)
    time.sleep(3)
    server.ensure_postgres_running()


def whole(folder, *drivers):
    for driver in drivers:
        assert driver.wait(timeout=600) == 0, said(folder)
    home = folder / "runs" / "toy"
    history = read(folder)
    assert [trial.number for trial in history.trials] == list(range(COUNT))
    assert {trial.state for trial in history.trials} == {"done"}
    assert broken(home, budget=COUNT) == []
    return history


def at_once(history):
    """Return how many attempts ran at the same time at most: a driver here runs one at a time."""
    every = [attempt for trial in history.trials for attempt in trial.attempts]
    return max(sum(o.started <= one.started < o.ended for o in every) for one in every)


def test_three_drivers_share_a_budget_and_each_enqueued_trial_runs_once(tmp_path, server):
    points = [{"model.x": index / 40} for index in range(1, COUNT)]
    folder = write(tmp_path / "one", server, search={"sampler": "random", "enqueue": points})
    history = whole(folder, *[start(folder, f"driver{index}") for index in range(3)])
    tried = [trial.params["model.x"] for trial in history.trials[1:]]
    assert tried == [point["model.x"] for point in points]
    assert all(len(trial.attempts) == 1 for trial in history.trials)
    ran = sorted(float(line) for line in (folder / "ran.txt").read_text().split())
    assert ran == sorted([history.trials[0].params["model.x"], *tried])
    assert at_once(history) == 3


def test_what_a_killed_driver_ran_is_run_again_by_the_others_and_one_may_join(tmp_path, server):
    folder = write(tmp_path / "one", server)
    first, second, third = (start(folder, f"driver{index}") for index in range(3))
    ended(folder, 3)
    first.send_signal(signal.SIGKILL)
    first.wait()
    ended(folder, 6)
    history = whole(folder, second, third, start(folder, "driver4"))
    assert all(len(trial.attempts) <= 2 for trial in history.trials)


def test_drivers_wait_for_a_server_that_restarts(tmp_path, server):
    folder = write(tmp_path / "one", server)
    drivers = [start(folder, f"driver{index}") for index in range(2)]
    ended(folder, 4)
    crash(server)
    whole(folder, *drivers)


def test_a_killed_driver_a_lost_server_and_a_new_driver_lose_nothing_together(tmp_path, server):
    folder = write(tmp_path / "one", server)
    first, second, third = (start(folder, f"driver{index}") for index in range(3))
    ended(folder, 3)
    first.send_signal(signal.SIGKILL)
    first.wait()
    crash(server)
    history = whole(folder, second, third, start(folder, "driver3"))
    assert all(len(trial.attempts) <= 2 for trial in history.trials)


def test_an_interrupted_driver_leaves_its_trials_to_the_others(tmp_path, server):
    folder = write(tmp_path / "one", server)
    first, second = start(folder, "driver0"), start(folder, "driver1")
    ended(folder, 4)
    first.send_signal(signal.SIGINT)
    assert first.wait(timeout=600) == 130
    whole(folder, second)


def test_a_fresh_start_leaves_the_earlier_study_under_another_name(tmp_path, server):
    folder = write(tmp_path / "one", server, budget={"trials": 2})
    for extra in ([], ["--fresh"]):
        command = [sys.executable, "-m", "automl", "run", "study.yaml", *extra]
        assert subprocess.run(command, cwd=folder, check=False).returncode == 0
    assert len(list((folder / "runs").iterdir())) == 2
    assert len(read(folder).trials) == 2


def test_a_driver_that_slept_past_its_lease_goes_on_without_the_trials_it_lost(tmp_path, server):
    folder = write(tmp_path / "one", server)
    sleeper, other = start(folder, "driver0"), start(folder, "driver1")
    ended(folder, 4)
    sleeper.send_signal(signal.SIGSTOP)
    archive = open_study(str(folder / "runs" / "toy"))
    mine = sa.update(DRIVERS).where(DRIVERS.c.pid == sleeper.pid)
    archive.record.write(mine.values(beat=0.0))  # as if an hour had gone by
    archive.record.close()
    ended(folder, 12)
    sleeper.send_signal(signal.SIGCONT)
    whole(folder, sleeper, other)


def test_drivers_without_a_shared_disk_run_one_study(tmp_path, server):
    folders = [write(tmp_path / name, server) for name in ("one", "two")]
    first, second = [start(folder) for folder in folders]
    ended(folders[0], 6)
    second.send_signal(signal.SIGKILL)
    second.wait()
    assert at_once(whole(folders[0], first)) == 2
