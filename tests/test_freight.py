"""Files that travel to nodes and back, and what a node is told that is not like the others."""

import pytest

from automl.engines import freight
from automl.engines.cluster import differences, fits, mark, need, nothing_fits
from automl.engines.freight import Known, extend, pieces, put
from automl.study import Resources


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a file of three pieces, an empty one, and what does not travel."""
    monkeypatch.setattr(freight, "SIZE", 4)
    made = tmp_path / "trial"
    (made / "deep").mkdir(parents=True)
    (made / "deep" / "model.ckpt").write_bytes(b"0123456789")
    for name in ("empty", "prepare.lock", ".model.ckpt.abcd1234"):
        (made / name).touch()
    return made


def sent(known, path):
    """Return the pieces that a node is sent."""
    found = []
    known.send(path, found.append)
    return found


def test_files_travel_in_pieces_but_no_lock_and_nothing_half_written(folder):
    found = [(one.path.name, one.offset, one.data, one.last) for one in pieces(folder)]
    assert found == [
        ("model.ckpt", 0, b"0123", False),
        ("model.ckpt", 4, b"4567", False),
        ("model.ckpt", 8, b"89", True),
        ("empty", 0, b"", True),
    ]


def test_a_file_has_its_name_only_when_it_is_whole(folder):
    path = folder / "deep" / "model.ckpt"
    first, *rest = [*pieces(path)]
    path.unlink()
    put(first)
    assert not path.exists()
    for one in rest:
        put(one)
    assert path.read_bytes() == b"0123456789"


def test_a_log_grows_by_what_is_new(folder):
    log = folder / "log.txt"
    log.write_bytes(b"old new")
    (piece,) = pieces(log, 4)
    log.write_bytes(b"old ")
    extend(piece)
    assert log.read_bytes() == b"old new"


def test_only_what_a_node_has_not_is_sent(folder):
    known = Known()
    assert len(sent(known, folder)) == 4
    assert sent(known, folder) == []
    (folder / "empty").write_text("no more")
    assert {one.path.name for one in sent(known, folder)} == {"empty"}
    known.forget(folder)
    assert len(sent(known, folder)) == 5


def test_what_came_from_a_node_is_not_sent_back(folder):
    known = Known()
    known.fetch([*pieces(folder)])
    assert sent(known, folder) == []


def test_environments_that_differ_are_told_in_words():
    assert differences({"torch": "2.6"}, {"torch": "2.6"}) == ""
    said = differences({"torch": "2.6", "numpy": "2"}, {"torch": "2.7"})
    assert said == "numpy is missing there and 2 here; torch is 2.7 there and 2.6 here"


def test_code_has_another_mark_when_it_or_its_name_changes(tmp_path):
    one, other = tmp_path / "one.py", tmp_path / "other.py"
    one.write_text("x = 1")
    first = mark([one])
    one.rename(other)
    assert mark([other]) != first
    other.write_text("x = 2")
    other.rename(one)
    assert mark([one]) != first


def test_a_job_that_fits_nowhere_is_refused_with_what_there_is():
    node = {"Alive": True, "NodeManagerHostname": "one", "Resources": {"GPU": 1.0, "CPU": 8.0}}
    wanted = need(Resources(gpus=2, cpus=4, memory="8GB"))
    assert wanted == {"CPU": 4.0, "GPU": 2.0, "memory": 8e9}
    assert not fits(wanted, node)
    assert fits(need(Resources(gpus=0.5)), node)
    assert not fits(need(Resources()), node | {"Alive": False})
    said = nothing_fits(wanted, [node])
    assert "a trial needs 2 GPU, 4 CPU, 8 GB" in said
    assert "one: 1 GPU, 8 CPU" in said
