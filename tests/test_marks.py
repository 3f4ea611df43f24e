import pickle

from automl.errors import StudyError
from automl.reading.marks import Marks, Place, dotted

MARKS = Marks(
    "x.yaml",
    ("a:", "\tb: [1]"),
    keys={("a",): Place(1, 1), ("a", "b"): Place(2, 2)},
    values={
        (): Place(1, 1),
        ("a",): Place(2, 2),
        ("a", "b"): Place(2, 5),
        ("a", "b", 0): Place(2, 6),
    },
)


def test_a_key_is_blamed_at_its_key_and_a_value_at_its_value():
    assert MARKS.problem(("a", "b"), "wrong").column == 2
    assert MARKS.problem(("a", "b"), "wrong", value=True).column == 5
    assert MARKS.problem(("a", "b", 0), "wrong").column == 6


def test_what_does_not_exist_is_blamed_on_the_longest_part_that_does():
    problem = MARKS.problem(("a", "b", 7, "c"), "wrong")
    assert (problem.line, problem.column, problem.path) == (2, 2, "a.b.7.c")
    assert MARKS.problem(("z",), "wrong").line == 1


def test_the_caret_stands_below_the_column_although_tabs_are_wide():
    assert str(MARKS.problem(("a", "b"), "wrong")) == (
        "x.yaml:2:2: wrong\n    2 |  b: [1]\n      |  ^"
    )


def test_what_the_command_line_set_is_blamed_before_the_file():
    marks = Marks(MARKS.file, MARKS.lines, MARKS.keys, MARKS.values, {("a", "b"): "a.b=\n2"})
    assert (
        str(marks.problem(("a", "b", 0), "wrong"))
        == "x.yaml:2:6: wrong\n    2 |  b: [1]\n      |      ^"
    )
    assert str(marks.problem(("a", "b"), "wrong")) == r"command line: --set a.b=\n2: wrong"
    assert marks.problem(("a",), "wrong").file == "x.yaml"
    assert marks.problem(("a",), "wrong", value=True).file == "command line"


def test_without_marks_a_problem_is_only_said():
    assert str(Marks().problem(("a",), "wrong")) == "wrong"


def test_problems_survive_the_way_between_processes():
    error = StudyError([MARKS.problem(("a", "b"), "wrong")])
    assert pickle.loads(pickle.dumps(error)).problems == error.problems
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_trails_are_written_with_dots():
    assert dotted(("space", "model.lr", "float", 0)) == "space.model.lr.float.0"
