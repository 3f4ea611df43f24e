import math

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from automl.errors import StudyError
from automl.reading import yamlfile
from automl.reading.marks import Place
from automl.reading.yamlwrite import write


def data(text):
    document = yamlfile.load(text, "x.yaml")
    assert document.problems == ()
    return document.data


def heads(text):
    """Return the first line of every problem of a text."""
    try:
        problems = yamlfile.load(text, "x").problems
    except StudyError as error:
        problems = error.problems
    return [str(one).splitlines()[0] for one in problems]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1E5", 1e5),
        (".5", 0.5),
        ("1.", 1.0),
        ("010", 10),
        ("0o17", 15),
        ("0x1F", 31),
        ("-3", -3),
        ("200_000", 200_000),
        ("1_234.5", 1234.5),
        ("-.inf", -math.inf),
        ("true", True),
        ("False", False),
        ("~", None),
        ("null", None),
        ("", None),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text, value):
    assert data(f"a: {text}") == {"a": value}
    assert type(data(f"a: {text}")["a"]) is type(value)


@pytest.mark.parametrize(
    "text", ["no", "on", "yes", "y", "12:30:00", "2024-01-01", "1_0", "2024_11", "1e", "٣", "0b1"]
)
def test_what_yaml_1_1_takes_for_something_else_is_text(text):
    assert data(f"a: {text}") == {"a": text}


def test_quotes_make_text():
    assert data("a: '1'\nb: \"true\"\nc: |\n  1\n") == {"a": "1", "b": "true", "c": "1\n"}


def test_nan_is_read():
    assert math.isnan(data("a: .nan")["a"])


def test_every_key_and_value_has_its_place():
    marks = yamlfile.load("a:\n  é: [1, {b: 2}]\n", "x").marks
    assert marks.keys[("a",)] == Place(1, 1)
    assert marks.keys["a", "é"] == Place(2, 3)
    assert marks.values["a", "é", 0] == Place(2, 7)
    assert marks.keys["a", "é", 1, "b"] == Place(2, 11)
    assert marks.values["a", "é", 1, "b"] == Place(2, 14)


def test_an_alias_is_a_copy():
    read = data("a: &x {b: [1]}\nc: *x\n")
    read["c"]["b"].append(2)
    assert read["a"] == {"b": [1]}


def test_a_byte_order_mark_and_windows_line_ends_are_read(tmp_path):
    file = tmp_path / "x.yaml"
    file.write_bytes("\ufeffa: 1\r\nb: 2\r\n".encode())
    document = yamlfile.read(file, "x")
    assert document.data == {"a": 1, "b": 2}
    assert document.marks.keys[("b",)] == Place(2, 1)


def test_a_key_given_twice_is_a_problem_and_keeps_its_first_value():
    document = yamlfile.load("a: 1\na: 2\n", "x.yaml")
    assert document.data == {"a": 1}
    assert str(document.problems[0]) == (
        "x.yaml:2:1: key 'a' is given twice (first on line 1)\n    2 | a: 2\n      | ^"
    )


@pytest.mark.parametrize(
    ("text", "head"),
    [
        ("a: !!python/object:os.x {}", "x:1:4: tags are not read, got 'tag:yaml.org,2002:python"),
        ("a: !!python/tuple [1]", "x:1:4: tags are not read"),
        ("a: ! 1", "x:1:4: tags are not read, got '!'"),
        ("<<: {a: 1}", "x:1:1: merge keys ('<<') are not read"),
        ("? [a]\n: 1", "x:1:3: a key must be a text, got ['a']"),
        ("{~: 1}", "x:1:2: a key must be a text, got nothing"),
        ("&a [*a]", "x:1:5: alias *a contains itself"),
        ("a: *b", "x:1:4: alias *b names nothing above it"),
        (f"a: {'9' * 5000}", "x:1:4: a whole number of 5000 digits"),
        (f"a: {2**63}", "x:1:4: a whole number of 19 digits"),
        ("a: 1\n---\nb: 2", "x:2:1: a second document begins here"),
        ("a:\n\tb: 1", "x:2:1: a tab in the indentation; indent with spaces"),
        ("a: [1\n", "x:1:4: not YAML: did not find expected ',' or ']'"),
        ("a: b: c", "x:1:5: not YAML: mapping values are not allowed"),
        ("a: @b", "x:1:4: not YAML: found character that cannot start any token"),
        ("a: 'b", "x:1:4: not YAML: found unexpected end of stream"),
        ("a: \x01", "x:1:4: character 0x0001 is not allowed"),
        ("a: 1\nb: \x00", "x:2:4: character 0x0000 is not allowed"),
        ("é: é\x00", "x:1:5: character 0x0000 is not allowed"),
        ("a: \x85 \x07", "x:2:2: character 0x0007 is not allowed"),
        ("%TAG ! x\n---\na: 1", "x:1:1: a line that begins with '%'"),
    ],
)
def test_what_a_study_does_not_need_is_one_problem_with_its_place(text, head):
    (found,) = heads(text)
    assert found.startswith(head)


def test_a_whole_number_may_have_leading_zeros_and_reach_its_bound():
    assert data(f"[{'0' * 30}7, {2**63 - 1}, {-(2**63) + 1}]") == [7, 2**63 - 1, -(2**63) + 1]


def test_problems_are_collected_until_the_text_cannot_be_read():
    assert [head[:5] for head in heads("a: 1\na: 2\n<<: {}\nb: [1")] == ["x:2:1", "x:3:1", "x:4:4"]


def test_a_line_that_is_too_long_to_show_is_not_shown():
    (problem,) = yamlfile.load("a: [" + "1, " * 100 + "!x 2]", "x").problems
    assert problem.column == 305
    assert problem.source == ""


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@settings(deadline=None)
@given(VALUES)
def test_what_is_written_reads_back_the_same(value):
    text = write(value)
    assert data(text) == value
    assert repr(data(text)) == repr(value)  # which tells 1 from 1.0 and from True


@settings(deadline=None)
@given(st.text("ab:{}[],&*!|>'\"%@`#?- \n\t<=~1.e", max_size=40))
def test_a_value_that_both_read_is_what_pyyaml_reads_as_text(text):
    try:
        ours = yamlfile.load(text, "x")
        theirs = yaml.load(text, Loader=yaml.BaseLoader)
    except (StudyError, yaml.YAMLError):
        return
    if not ours.problems:
        assert shape(ours.data) == shape(theirs)


def shape(value):
    """Forget what scalars mean, keep how they are nested."""
    if isinstance(value, dict):
        return sorted((str(len(value)), shape(item)) for item in value.values()) if value else {}
    return [shape(item) for item in value] if isinstance(value, list) else "scalar"
