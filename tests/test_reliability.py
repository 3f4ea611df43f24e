"""What is promised to survive: cuts anywhere, storage faults, lost databases, two drivers."""

import itertools
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import sqlalchemy as sa
import toys

import automl
from automl import orphans
from automl.engines import memory
from automl.engines.memory import died
from automl.errors import StorageError
from automl.failures import Failures
from automl.files import sweep, write_text
from automl.history import Attempt, Failure, Point, Trial
from automl.housekeeping import Keeper
from automl.journal import Journal
from automl.launch import run as launch
from automl.record import Record
from automl.repair import repair
from automl.study import OnFailure
from automl.studyfile import of
from automl.tables import STUDIES
from automl.testing.invariants import broken


def run(folder, plugin="Curve", **changes):
    return automl.run(toys.study(toys.beside(folder, plugin), **changes), here=folder)


def cut(folder, moment, **changes):
    """Run a study in a process that dies before its `moment`-th commit; returns how it ended."""
    pid = os.fork()
    if pid == 0:
        left = itertools.count(1)

        def die(_connection):
            if next(left) == moment:
                os._exit(9)

        sa.event.listen(sa.Engine, "commit", die)
        try:
            run(folder, **changes)
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def values(trial):
    return [[one.metrics["near"], one.metrics["far"]] for one in (trial, *trial.points)]


def same(left, right):
    assert [t.params for t in left.trials] == [t.params for t in right.trials]
    assert [values(t) for t in left.trials] == [values(t) for t in right.trials]
    assert [(p.label, p.values) for p in left.front] == [(p.label, p.values) for p in right.front]


def cut_at(folder, moments, sampler):
    changes = {"search": {"sampler": sampler, "seed": 1}, "budget": {"trials": 14}}
    for name in ("whole", "cut"):
        (folder / name).mkdir()
    whole = run(folder / "whole", **changes)
    ends = [cut(folder / "cut", moment, **changes) for moment in moments]
    assert 9 in ends
    same(run(folder / "cut", **changes), whole)
    assert broken(folder / "cut" / "runs" / "toy") == []


def test_a_run_that_is_cut_at_ten_places_equals_the_uncut_one(tmp_path):
    places = random.Random(0)
    cut_at(tmp_path, [places.randint(1, 60) for _ in range(10)], "tpe")


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["random", "tpe", "nsga2"])
@pytest.mark.parametrize("step", [1, 2, 3, 5, 7, 11])
def test_a_run_that_is_cut_every_few_commits_equals_the_uncut_one(tmp_path, sampler, step):
    cut_at(tmp_path, [25 + step] * 25, sampler)


def torn(folder, left):
    """Cut the end of SQLite's log off, as a loss of power does to what was not synced."""
    with (folder / "cut" / "runs" / "toy" / "study.db-wal").open("r+b") as log:
        log.truncate(left)


@pytest.mark.slow
def test_a_run_whose_last_commits_are_lost_with_the_power_equals_the_uncut_one(tmp_path):
    changes = {"search": {"sampler": "tpe", "seed": 1}, "budget": {"trials": 10}}
    (tmp_path / "whole").mkdir()
    whole = run(tmp_path / "whole", **changes)
    places, moments = random.Random(0), range(20, 60, 4)
    for moment in moments:
        shutil.rmtree(tmp_path / "cut", ignore_errors=True)
        (tmp_path / "cut").mkdir()
        assert cut(tmp_path / "cut", moment, **changes) == 9
        size = (tmp_path / "cut" / "runs" / "toy" / "study.db-wal").stat().st_size
        torn(tmp_path, places.randint(size // 2, size))
        same(run(tmp_path / "cut", **changes), whole)
        assert broken(tmp_path / "cut" / "runs" / "toy") == []


def test_what_was_announced_survives_a_loss_of_power(tmp_path, monkeypatch):
    synced, fsync = {}, os.fsync

    def noting(handle):
        fsync(handle)
        name = Path(f"/proc/self/fd/{handle}").readlink()
        synced[name] = os.fstat(handle).st_size

    monkeypatch.setattr(os, "fsync", noting)
    file = of(toys.study(toys.beside(tmp_path)), tmp_path)
    log = tmp_path / "runs" / "toy" / "study.db-wal"
    safe = []

    def watch(search):
        done = [one.number for one in search.trials.all.values() if one.state == "done"]
        lost = tmp_path / "lost"
        shutil.copytree(log.parent, lost, dirs_exist_ok=True)
        with (lost / log.name).open("r+b") as copy:
            copy.truncate(synced.get(log, 0))
        rows = sqlite3.connect(lost / "study.db").execute(
            "select number from automl_trial where state='done'"
        )
        safe.append({number for (number,) in rows} >= set(done))

    launch(file, watch)
    assert len(safe) >= 6
    assert all(safe)


def test_what_lies_where_a_new_trial_is_to_work_is_removed(tmp_path):
    left = (
        tmp_path / "runs" / "toy" / "trials" / "00003" / "checkpoints" / "train" / "manifest.json"
    )
    run(tmp_path, budget={"trials": 2})
    write_text(left, "{}")
    assert len(run(tmp_path, budget={"trials": 5}).trials) == 5
    assert not left.exists()


def test_a_removed_database_is_rebuilt_from_the_journal(tmp_path):
    before = run(tmp_path)
    home = before.folder
    for path in home.glob("study.db*"):
        path.unlink()
    with pytest.raises(StorageError, match="automl repair toy"):
        run(tmp_path)
    assert "6 trials rebuilt, 6 of them ended" in repair(str(home))
    same(run(tmp_path), before)
    assert broken(home) == []


def test_a_damaged_database_is_named_and_put_aside(tmp_path):
    home = run(tmp_path, budget={"trials": 2}).folder
    for path in home.glob("study.db-*"):
        path.unlink()
    (home / "study.db").write_bytes(b"no database" * 1000)
    with pytest.raises(StorageError, match="`automl repair` rebuilds it"):
        run(tmp_path)
    assert "the old database is" in repair(str(home))
    assert len(run(tmp_path, budget={"trials": 4}).trials) == 4


def test_a_torn_line_of_the_journal_is_left_out(tmp_path):
    Journal(tmp_path).write(end={"number": 0})
    with Journal(tmp_path).path.open("ab") as file:
        file.write(b'{"end": {"num')
    Journal(tmp_path).write(end={"number": 1})
    assert list(Journal(tmp_path).entries()) == [("end", {"number": 0}), ("end", {"number": 1})]


def record(folder):
    one = Record(f"sqlite:///{folder}/study.db", "toy", folder)
    if one.find() is None:
        one.create("{}", "{}", {})
    return one


def hold(folder):
    other = sqlite3.connect(folder / "study.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN EXCLUSIVE")
    return other


def test_a_database_that_is_locked_for_a_second_is_waited_for(tmp_path):
    one, other = record(tmp_path), None
    other = hold(tmp_path)
    timer = threading.Timer(1.0, other.rollback)
    timer.start()
    one.took(5.0)
    timer.join()
    assert one.find().seconds == 5.0
    other.close()


def test_a_database_that_stays_locked_is_named_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr("automl.storage.WAIT", 0.2)
    one = record(tmp_path)
    other = hold(tmp_path)
    with pytest.raises(StorageError, match=r"study.db: database is locked; another process"):
        one.took(5.0)
    other.close()


def test_a_database_that_cannot_be_written_is_named_in_one_line(tmp_path):
    record(tmp_path)
    url = f"sqlite:///file:{tmp_path}/study.db?mode=ro&uri=true"
    with pytest.raises(StorageError, match="readonly database; make it writable"):
        Record(url, "toy", tmp_path).took(1.0)


def test_a_study_of_another_format_is_refused_in_words(tmp_path):
    known = record(tmp_path)
    known.write(STUDIES.update().values(version=99))
    with pytest.raises(StorageError, match="written in format 99, this automl reads 2"):
        record(tmp_path)


def test_a_folder_that_cannot_be_written_is_named_in_one_line(tmp_path):
    (tmp_path / "runs").write_text("no folder")
    with pytest.raises(StorageError, match=r"runs/toy: not a directory; see to it"):
        run(tmp_path)


def test_tables_of_another_version_of_optuna_are_refused_in_words(tmp_path):
    home = run(tmp_path, budget={"trials": 1}).folder
    with sqlite3.connect(home / "study.db") as database:
        database.execute("update alembic_version set version_num = 'v99'")
    with pytest.raises(StorageError, match=r"study.db: The runtime optuna version .* Or choose"):
        run(tmp_path)


def test_a_clock_that_jumps_makes_no_attempt_longer(tmp_path, monkeypatch):
    real, file = time.time, of(toys.study(toys.beside(tmp_path)), tmp_path)
    monkeypatch.setattr(time, "time", lambda: real() + next(jumps) * 86_400)
    jumps = itertools.cycle([0, 1, -1])
    trials = launch(file).trials
    assert all(0 <= trial.seconds < 3600 for trial in trials)


FILL = """
import resource, sys
from pathlib import Path
from automl.record import Record
from automl.job import JobSpec
from automl.events import Reported
from types import SimpleNamespace
folder = Path(sys.argv[1])
one = Record(f"sqlite:///{folder}/study.db", "toy", folder)
one.create("{}", "{}", {})
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
spec = SimpleNamespace(number=0, attempt=0)
for step in range(100_000):
    one.report([Reported(spec, step, 0.0, {"x" * 1000: 1.0})])
    print(step, flush=True)
"""


def test_what_was_written_before_the_disk_was_full_is_still_there(tmp_path):
    command = [sys.executable, "-c", FILL, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    written = int(done.stdout.split()[-1])
    assert "StorageError" in done.stderr.splitlines()[-1]
    rows = sqlite3.connect(tmp_path / "study.db").execute("select count(*) from automl_report")
    assert rows.fetchone()[0] >= written + 1
    reports = [entry for kind, entry in Journal(tmp_path).entries() if kind == "reports"]
    assert len(reports) >= written + 1


OWN = """
import os, sys, time
from pathlib import Path
from automl.errors import StorageError
from automl.launch import locked
home, won = Path(sys.argv[1]), 0
end = time.monotonic() + 60
while won < 20 and time.monotonic() < end:
    try:
        with locked(home):
            os.close(os.open(home / "owner", os.O_CREAT | os.O_EXCL))
            os.unlink(home / "owner")
            won += 1
    except StorageError:
        time.sleep(0.001)
"""


def test_two_drivers_never_own_a_study_at_once(tmp_path):
    command = [sys.executable, "-c", OWN, str(tmp_path)]
    drivers = [subprocess.Popen(command) for _ in range(3)]
    assert [driver.wait() for driver in drivers] == [0, 0, 0]


def test_a_process_that_is_stopped_is_ended_by_the_next_driver(tmp_path):
    sleeper = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    sleeper.send_signal(signal.SIGSTOP)
    orphans.sign(tmp_path)
    signed = json.loads((tmp_path / orphans.NAME).read_text())
    started = psutil.Process(sleeper.pid).create_time()
    later = signed | {"pid": sleeper.pid, "started": started + 100}
    write_text(tmp_path / orphans.NAME, json.dumps(later))
    assert orphans.end_orphans([tmp_path]) == 0  # another process with the same number
    write_text(tmp_path / orphans.NAME, json.dumps(later | {"started": started}))
    assert orphans.end_orphans([tmp_path, tmp_path / "nothing"]) == 1
    assert not psutil.pid_exists(sleeper.pid)
    sleeper.wait()


def test_half_written_files_are_swept_and_no_others(tmp_path):
    kept = [tmp_path / ".hidden", tmp_path / "a" / "result.json"]
    for path in kept:
        write_text(path, "")
    (tmp_path / "a" / ".result.json.abcd_123").write_text("half")
    sweep(tmp_path)
    assert sorted(p for p in tmp_path.rglob("*") if p.is_file()) == sorted(kept)


def test_a_kill_by_the_kernel_for_lack_of_memory_is_told_from_others(tmp_path, monkeypatch):
    (tmp_path / "events").write_text("oom 3\noom_kill 2\n")
    (tmp_path / "root").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 0\n")
    paths = (tmp_path / "none", tmp_path / "root", tmp_path / "events")
    monkeypatch.setattr(memory, "COUNTS", paths)
    assert memory.oom_kills() == 2
    kinds = [
        died(-9, 1).kind,
        died(-9, 2).kind,
        died(-11, 1).kind,
        died(255, 2).kind,
        died(3, 2).kind,
    ]
    assert kinds == ["oom", "crash", "crash", "lost", "crash"]


def trial(folder, number, near=0.0, far=0.0, outcomes=("done",), state="done"):
    tries = tuple(Attempt(i, 0.0, 1.0, ("cpu",), "", o) for i, o in enumerate(outcomes))
    home = folder / f"{number:05d}"
    write_text(home / "model.ckpt", "weights")
    write_text(home / "checkpoints" / "train" / "step=1.ckpt", "more")
    metrics = {"near": near, "far": far} if state == "done" else {}
    return Trial(
        number,
        state,
        {},
        "",
        0,
        home,
        metrics,
        attempts=tries,
        artifact="model.ckpt" if metrics else None,
    )


def test_each_kind_of_failure_has_retries_of_its_own(tmp_path):
    failures = Failures(OnFailure(crash={"retry": 1}, lost={"retry": 2}))
    one = trial(tmp_path, 0, outcomes=("lost", "crash", "lost"), state="running")
    assert failures.again(one, Failure("lost", ""))
    assert not failures.again(one, Failure("crash", ""))
    assert not failures.again(one, Failure("user", ""))


VALUES = [(0.5, 0.5), (0.6, 0.6), (0.1, 0.9), (0.4, 0.4), (0.9, 0.1), (0.5, 0.3)]


@pytest.mark.parametrize(
    ("keep", "left"),
    [("pareto", [2, 3, 4, 5]), ("best", [2, 4]), ("last", [5]), ("all", [0, 1, 2, 3, 4, 5])],
)
def test_the_artefacts_that_stay_are_those_that_the_study_names(tmp_path, keep, left):
    keeper = Keeper(toys.study(tmp_path, checkpoints={"keep": keep}))
    trials = [trial(tmp_path, number, *pair) for number, pair in enumerate(VALUES)]
    there = set()
    for one in trials:
        there.add(one.number)
        there -= keeper.ended(one).keys()
    assert sorted(there) == left
    training = [one.number for one in trials if (one.folder / "checkpoints").exists()]
    assert training == (list(range(6)) if keep == "all" else [])


def test_a_trial_that_is_not_feasible_takes_no_place(tmp_path):
    bound = {"near": {"max": 0.5}}
    keeper = Keeper(toys.study(tmp_path, constraints=bound))
    assert keeper.ended(trial(tmp_path, 0, 0.5, 0.5)) == {}
    assert keeper.ended(trial(tmp_path, 1, 0.6, 0.1)) == {}
    assert keeper.ended(trial(tmp_path, 2, 0.4, 0.4)) == {0: {""}}


def test_points_that_measure_no_objective_go_with_their_trial(tmp_path):
    keeper = Keeper(toys.study(tmp_path))
    points = (Point({"reward": 1.0}, {}, "points/a.pt", "a"),)
    first = replace(trial(tmp_path, 0, 0.5, 0.5), points=points)
    second = replace(trial(tmp_path, 1, 0.1, 0.9), points=points)
    assert keeper.ended(first, second) == {}
    assert keeper.ended(trial(tmp_path, 2, 0.4, 0.4)) == {0: {"", "a"}}


@pytest.mark.slow
@pytest.mark.parametrize(("trials", "kills"), [(60, 200)])
def test_the_long_kill_drill_loses_nothing(tmp_path, trials, kills):
    from automl.testing.drill import Drill

    report = Drill(tmp_path, trials=trials, kills=kills).run()
    assert (report.problems, report.orphans, report.twice, report.failed) == ([], 0, 0, 0)
    assert report.trials == trials
