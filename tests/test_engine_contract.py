"""What every engine does alike: jobs start, report, stop, fail, map and end."""

import os
import time
from dataclasses import replace

import psutil
import pytest
import toys

import automl
from automl.engines.choice import make_engine
from automl.events import Ended, Reported, Started
from automl.launch import job, opened
from automl.planning import plan
from automl.studyfile import of

IN_PROCESSES = ["local", pytest.param("ray", marks=pytest.mark.slow)]
EVERY = ["inline", *IN_PROCESSES]


@pytest.fixture(scope="module")
def cluster():
    """A cluster of one node, which the engines of this module join."""
    ray = pytest.importorskip("ray", reason="ray is missing: pip install 'automl[ray]'")
    os.environ |= {"RAY_worker_niceness": "0"}  # or whatever else runs here comes first
    ray.init(
        address="local",
        num_cpus=4,
        object_store_memory=100_000_000,
        include_dashboard=False,
        log_to_driver=False,
    )
    yield
    ray.shutdown()


@pytest.fixture
def name(request):
    if request.param == "ray":
        request.getfixturevalue("cluster")
    return request.param


def study_in(folder, name, plugin="spread.Obedient", **changes):
    toys.beside(folder, plugin)
    space = {"model.x": {"float": [0, 1]}, "model.choice": {"fixed": "short"}}
    given = {"engine": name, "resources": {"parallel": 1}, "space": space}
    return of(toys.study(folder, **given | changes), folder)


def trial(file, number=0, what="short"):
    """Return the job of a trial that does what it is told."""
    home = file.study.home.resolve()
    blank = job(plan(file), "trial", home, {"model.x": 0.5, "model.choice": what})
    return replace(blank, number=number, folder=home / "trials" / f"{number:05d}")


def played(engine, spec, on_report=lambda _: None):
    """Run one job and return everything that the engine told of it."""
    told = []

    def handle(event):
        told.append(event)
        if isinstance(event, Reported):
            on_report(event)

    engine.submit(spec)
    until = time.monotonic() + 120
    while not (told and isinstance(told[-1], Ended)):
        assert time.monotonic() < until, told
        engine.poll(handle, 1.0)
    return told


@pytest.mark.parametrize("name", EVERY, indirect=True)
def test_a_job_starts_reports_and_ends_with_its_metrics(tmp_path, name):
    file = study_in(tmp_path, name)
    with opened(make_engine(file.study)) as engine:
        assert engine.capacity() == 1
        told = played(engine, trial(file))
        assert engine.capacity() == 1
    assert [type(one) for one in told] == [Started, Reported, Reported, Reported, Ended]
    assert [one.metrics["near"] for one in told[1:4]] == [1, 1 / 2, 1 / 3]
    assert told[-1].outcome.state == "done"
    assert told[-1].outcome.metrics["near"] == pytest.approx(0.2)


@pytest.mark.parametrize("name", EVERY, indirect=True)
def test_there_is_no_room_beside_a_job_where_one_may_run(tmp_path, name):
    file = study_in(tmp_path, name)
    with opened(make_engine(file.study)) as engine:
        engine.capacity()
        engine.submit(trial(file))
        assert engine.capacity() == 0


@pytest.mark.parametrize("name", EVERY, indirect=True)
def test_a_job_that_is_told_to_stop_ends_as_stopped(tmp_path, name):
    file = study_in(tmp_path, name)
    with opened(make_engine(file.study)) as engine:
        told = played(engine, trial(file, what="long"), lambda e: engine.tell(e.spec.key, "stop"))
    assert told[-1].outcome.state == "stopped"
    assert len(told) < 100


@pytest.mark.parametrize("name", IN_PROCESSES, indirect=True)
def test_a_job_that_is_killed_ends_as_a_crash(tmp_path, name):
    file = study_in(tmp_path, name)
    with opened(make_engine(file.study)) as engine:
        told = played(engine, trial(file, what="long"), lambda e: engine.tell(e.spec.key, "kill"))
    assert (told[-1].outcome.state, told[-1].outcome.failure.kind) == ("failed", "crash")


@pytest.mark.parametrize("name", EVERY, indirect=True)
@pytest.mark.parametrize(("what", "kind"), [("raise", "user"), ("oom", "oom"), ("die", "crash")])
def test_a_failure_has_its_kind(tmp_path, name, what, kind):
    if (name, what) == ("inline", "die"):
        pytest.skip("there is no process of its own that could die")
    file = study_in(tmp_path, name)
    with opened(make_engine(file.study)) as engine:
        outcome = played(engine, trial(file, what=what))[-1].outcome
        assert played(engine, trial(file, 1))[-1].outcome.state == "done"
    assert (outcome.state, outcome.failure.kind) == ("failed", kind)


@pytest.mark.parametrize("name", IN_PROCESSES, indirect=True)
def test_each_job_is_a_process_of_its_own_with_a_log(tmp_path, name):
    file = study_in(tmp_path, name)
    jobs = [trial(file, 0), trial(file, 1)]
    with opened(make_engine(file.study)) as engine:
        ids = [played(engine, one)[0].pid for one in jobs]
    said = [(one.folder / "log.txt").read_text().strip() for one in jobs]
    assert said == [f"process {one} trains" for one in ids]
    assert len({*ids, os.getpid()}) == 3


@pytest.mark.parametrize("name", IN_PROCESSES, indirect=True)
def test_an_engine_that_is_closed_leaves_nothing_running(tmp_path, name):
    file = study_in(tmp_path, name)
    started = []
    with opened(make_engine(file.study)) as engine:
        engine.submit(trial(file, what="long"))
        while not started:
            engine.poll(started.append, 1.0)
        process = psutil.Process(started[0].pid)
    assert psutil.wait_procs([process], timeout=10)[1] == []


@pytest.mark.parametrize("name", EVERY, indirect=True)
def test_what_is_mapped_is_there_for_every_trial(tmp_path, name):
    file = study_in(tmp_path, name, "spread.Mapped", resources={"parallel": 2})
    trials = automl.run(file.study, here=tmp_path).trials
    assert [one.metrics["near"] for one in trials] == [30.0] * 6
