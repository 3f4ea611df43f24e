"""A study whose folder is a URL: copied there, gone on with elsewhere, and never written twice."""

import sqlite3
import subprocess
import sys
import time

import pytest
import toys

import automl
from automl.archive import open_study
from automl.errors import AutomlError, StorageError
from automl.export import export
from automl.mirror import DRIVER, Mirror
from automl.provenance import host
from automl.studyfile import dump


@pytest.fixture
def store(tmp_path):
    return tmp_path / "store"


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Let the working copies be those of another machine."""

    def be(name):
        monkeypatch.setenv("AUTOML_CACHE", str(tmp_path / name))

    be("one")
    return be


def study_at(url, folder, plugin="Formula", **changes):
    made = toys.study(toys.beside(folder, plugin), **changes)
    return made.model_copy(update={"folder": url})


def trained_at(url, folder, model):
    """Return a study of one trial, which saves a checkpoint after 20 of its 40 seconds."""
    changes = {
        "model": {"class_path": f"toys.{model}"},
        "data": {"class_path": "toys.Pairs"},
        "trainer": {"max_epochs": 80},
        "plugins": {},
        "objectives": {"val_loss": {"goal": "minimize"}},
        "space": {"model.lr": {"float": [0.001, 0.1]}},
        "budget": {"trials": 1},
        "engine": "local",
    }
    return study_at(url, folder, **changes)


def mirror(store, home):
    home.mkdir(parents=True, exist_ok=True)
    return Mirror(f"file://{store}/study", home)


def write_database(one, table):
    connection = sqlite3.connect(one.home / "study.db")
    connection.execute(f"CREATE TABLE {table} (x)")
    connection.close()


def test_what_changes_is_copied_and_what_goes_is_removed(store, tmp_path):
    one = mirror(store, tmp_path / "one")
    (one.home / "trials").mkdir()
    (one.home / "trials" / "a.txt").write_text("a")
    (one.home / "b.txt").write_text("b")
    (one.home / "driver.lock").write_text("mine")
    one.push()
    (one.home / "b.txt").unlink()
    (one.home / "trials" / "a.txt").write_text("new")
    one.push()
    assert toys.paths(store / "study") == ["trials/a.txt"]
    two = mirror(store, tmp_path / "two")
    two.pull()
    assert (two.home / "trials" / "a.txt").read_text() == "new"


def test_only_what_changed_is_copied_again(store, tmp_path, monkeypatch):
    one = mirror(store, tmp_path / "one")
    for name in "ab":
        (one.home / name).write_text(name)
    one.push()
    put = []
    monkeypatch.setattr(one, "put", put.append)
    (one.home / "a").write_text("other")
    one.push()
    assert put == ["a"]


def test_a_file_that_is_newer_here_is_not_overwritten(store, tmp_path):
    one, two = mirror(store, tmp_path / "one"), mirror(store, tmp_path / "two")
    (one.home / "a").write_text("old")
    one.push()
    two.pull()
    (two.home / "a").write_text("mine, not copied yet")
    two.pull()
    assert (two.home / "a").read_text() == "mine, not copied yet"


def test_large_files_come_when_they_are_asked_for(store, tmp_path):
    one, two = mirror(store, tmp_path / "one"), mirror(store, tmp_path / "two")
    (one.home / "small").write_text("s")
    (one.home / "large").write_text("l" * 1000)
    one.push()
    two.pull(most=100)
    assert not (two.home / "large").exists()
    two.pull()
    assert (two.home / "large").exists()


def test_a_database_is_copied_as_it_is_at_one_moment(store, tmp_path):
    one = mirror(store, tmp_path / "one")
    writer = sqlite3.connect(one.home / "study.db", isolation_level=None)
    writer.execute("PRAGMA journal_mode=WAL")
    writer.execute("CREATE TABLE t (x)")
    writer.execute("INSERT INTO t VALUES (1)")
    writer.execute("BEGIN")
    writer.execute("INSERT INTO t VALUES (2)")  # in the write-ahead log, and not committed
    one.push()
    assert toys.paths(store / "study") == ["study.db"]
    reader = sqlite3.connect(store / "study" / "study.db")
    assert reader.execute("SELECT x FROM t").fetchall() == [(1,)]
    for connection in (reader, writer):
        connection.close()


def test_a_database_that_went_on_here_and_there_is_refused(store, tmp_path):
    one, two = mirror(store, tmp_path / "one"), mirror(store, tmp_path / "two")
    write_database(one, "a")
    one.push()
    two.pull()
    write_database(one, "b")
    one.push()
    write_database(two, "c")
    with pytest.raises(StorageError, match="move the working copy away"):
        two.pull()


@pytest.mark.parametrize(
    ("folder", "said"), [("gopher://x", "gopher"), ("s3://bucket/studies", "s3fs")]
)
def test_a_url_that_nothing_can_reach_is_one_clear_line(tmp_path, machine, folder, said):
    with pytest.raises(AutomlError, match=f"folder: {folder}.*{said}"):
        automl.run(study_at(folder, tmp_path), here=tmp_path)


def test_a_study_goes_on_on_another_machine(tmp_path, store, machine):
    folder = f"file://{store}"
    first = automl.run(study_at(folder, tmp_path), here=tmp_path)
    machine("two")
    more = study_at(folder, tmp_path, budget={"trials": 9})
    second = automl.run(more, here=tmp_path)
    assert len(first.trials) == 6
    assert len(second.trials) == 9
    assert [t.params for t in second.trials[:6]] == [t.params for t in first.trials]
    machine("three")
    found = open_study(f"{folder}/toy").history()
    assert [t.params for t in found.trials] == [t.params for t in second.trials]
    assert not (store / "toy" / DRIVER).exists()


def test_a_study_in_memory_of_the_store_is_read_by_its_url(tmp_path, machine):
    automl.run(study_at("memory://bucket", tmp_path), here=tmp_path)
    machine("two")
    assert len(open_study("memory://bucket/toy").history().finished()) == 6


def test_a_fresh_study_leaves_the_earlier_one_at_its_url(tmp_path, store, machine):
    study = study_at(f"file://{store}", tmp_path)
    automl.run(study, here=tmp_path)
    machine("two")
    again = automl.run(study, here=tmp_path, fresh=True)
    assert len(again.trials) == 6
    aside, now = sorted(store.iterdir(), key=lambda path: len(path.name), reverse=True)
    assert now.name == "toy"
    machine("three")
    assert len(open_study(f"file://{aside}").history().finished()) == 6


def test_a_second_driver_is_refused_with_the_first_ones_process(tmp_path, store, machine):
    study = study_at(f"file://{store}", tmp_path)
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    (store / "toy").mkdir(parents=True)
    (store / "toy" / DRIVER).write_text(f"{other.pid} {host()} {time.time()}")
    try:
        with pytest.raises(StorageError, match=f"written by process {other.pid}"):
            automl.run(study, here=tmp_path)
    finally:
        other.kill()
        other.wait()
    assert len(automl.run(study, here=tmp_path).trials) == 6  # it is gone


def test_a_driver_elsewhere_is_waited_for_until_its_lease_ends(tmp_path, store, machine):
    study = study_at(f"file://{store}", tmp_path)
    (store / "toy").mkdir(parents=True)
    (store / "toy" / DRIVER).write_text(f"1 elsewhere {time.time()}")
    with pytest.raises(StorageError, match="process 1 on elsewhere"):
        automl.run(study, here=tmp_path)
    (store / "toy" / DRIVER).write_text(f"1 elsewhere {time.time() - 61}")
    assert len(automl.run(study, here=tmp_path).trials) == 6


def test_a_url_that_fails_at_the_end_loses_nothing(tmp_path, store, machine):
    study = study_at(f"file://{store}", tmp_path, "Breaks")
    with pytest.raises(StorageError, match="nothing is lost"):
        automl.run(study, here=tmp_path)
    store.unlink()
    again = automl.run(study, here=tmp_path)
    assert len(again.trials) == 6
    assert (store / "toy" / "study.db").exists()


@pytest.mark.slow
def test_a_killed_trial_goes_on_from_its_checkpoint_on_another_machine(tmp_path, store, machine):
    whole = automl.run(trained_at(str(tmp_path / "whole"), tmp_path, "Line"), here=tmp_path)
    (tmp_path / "study.yaml").write_text(dump(trained_at(f"file://{store}", tmp_path, "SlowLine")))
    driver = subprocess.Popen([sys.executable, "-m", "automl", "run", "study.yaml"], cwd=tmp_path)
    until = time.monotonic() + 120
    while not list(store.rglob("checkpoints/**/*.ckpt")) and time.monotonic() < until:
        time.sleep(0.2)
    driver.kill()
    driver.wait()
    machine("two")
    found = automl.run(trained_at(f"file://{store}", tmp_path, "SlowLine"), here=tmp_path)
    (trial,) = found.trials
    assert [attempt.number for attempt in trial.attempts] == [0, 1]
    assert trial.metrics["val_loss"] == whole.trials[0].metrics["val_loss"]
    assert len(trial.reports) < 120  # it did not begin anew
    machine("three")
    folder = export(open_study(f"file://{store}/toy").history(), "0", tmp_path / "out")
    assert automl.load(folder).layer.weight.shape == (4, 1)
