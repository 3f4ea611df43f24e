"""Where the time of a job went, read back from what it wrote as each hook began."""

from automl.timing import CUT, END, FILE, Clock, last, marks, seconds

KILLED = """100.0 halve.train automl-halve 0.1.0
900.0 cut
900.0 halve.train automl-halve 0.1.0
905.0 core.measure
906.5 end
907.0 """


def test_the_time_between_a_kill_and_the_next_attempt_is_nobodys(tmp_path):
    (tmp_path / FILE).write_text(KILLED)
    assert seconds([tmp_path]) == {"halve.train": 5.0, "core.measure": 1.5}
    assert seconds([tmp_path, tmp_path]) == {"halve.train": 10.0, "core.measure": 3.0}


def test_an_attempt_after_a_kill_says_so(tmp_path):
    Clock(tmp_path).mark("halve.train")
    for name in ("halve.train", END):
        Clock(tmp_path).mark(name)
    assert [name for _, name in marks(tmp_path)] == ["halve.train", CUT, "halve.train", CUT, END]


def test_what_ran_last_is_named_with_its_plugin_and_version(tmp_path):
    clock = Clock(tmp_path)
    assert last(tmp_path) == ""
    clock.mark("core.train")
    assert last(tmp_path) == " (in core.train)"
    clock.mark("halve.train", "automl-halve 0.1.0")
    assert last(tmp_path) == " (in plugin halve (automl-halve 0.1.0), hook train)"
    clock.mark(END)
    assert last(tmp_path) == ""
