import ast
import pickle
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automl.forbid import DEEPEST, Forbid

POINT = {"model.width": 50, "model.depth": 3, "model.optimizer": "sgd", "on": True, "lr": 0.5}


@pytest.mark.parametrize(
    ("text", "met"),
    [
        ("model.width > 48 and model.optimizer == 'sgd'", True),
        ("model.width > 48 and model.optimizer != 'sgd'", False),
        ("model.width < 48 or model.depth <= 3", True),
        ("not on", False),
        ("1 < model.depth < 3", False),
        ("1 < model.depth <= 3", True),
        ("model.optimizer in ['sgd', 'adamw']", True),
        ("model.optimizer not in ('sgd', 'adamw')", False),
        ("model.width * model.depth == 150", True),
        ("model.width % 7 + model.width // 7 == 8", True),
        ("model.width / 100 == lr and -lr < 0 and lr - 1 < 0", True),
    ],
)
def test_a_rule_is_met_where_python_says_so(text, met):
    assert Forbid(text)(POINT) is met


def test_a_rule_about_a_parameter_without_a_value_is_not_met():
    assert Forbid("model.momentum > 0 or model.width > 0")(POINT) is False


def test_a_rule_survives_the_way_between_processes():
    rule = Forbid("model.width > 48")
    again = pickle.loads(pickle.dumps(rule))
    assert again == rule
    assert hash(again) == hash(rule)
    assert again(POINT)
    assert repr(rule) == "Forbid(text='model.width > 48')"


def test_the_names_of_a_rule_are_dotted():
    assert Forbid("a.b.c > 1 and d in [e, 'f']").names() == {"a.b.c", "d", "e"}


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('x') == a",
        "a[0]",
        "f(a)",
        "a ** 2",
        "a if b else c",
        "lambda: a",
        "[x for x in a]",
        "{a}",
        "f'{a}'",
        "b'x' == a",
        "1j == a",
        "(a := 3)",
        "a is None",
        "a @ b",
        "~a",
        "...",
    ],
)
def test_whatever_is_not_of_the_language_is_refused(text):
    with pytest.raises(ValueError, match="not allowed in a rule"):
        Forbid(text)


@pytest.mark.parametrize("text", ["", " ", "a >", "a; b", "import os", "a = 1", "a\x00b", "with.a"])
def test_whatever_does_not_parse_is_refused(text):
    with pytest.raises(ValueError, match="not an expression"):
        Forbid(text)


@pytest.mark.parametrize("text", ["1", "True", "'a' == 'a'"])
def test_a_rule_that_names_no_parameter_is_refused(text):
    with pytest.raises(ValueError, match="names no parameter"):
        Forbid(text)


@pytest.mark.parametrize(
    "text", ["-" * 900 + "a", "not " * 200 + "a", "a" + ".b" * 300, "a+" * 99 + "a"]
)
def test_a_rule_that_nests_deeply_is_refused(text):
    with pytest.raises(ValueError, match=f"at most {DEEPEST}"):
        Forbid(text)


def test_a_rule_that_is_long_or_full_of_brackets_is_refused_or_read():
    with pytest.raises(ValueError, match="at most 1000 characters"):
        Forbid("a or " * 300 + "b")
    with pytest.raises(ValueError, match="not an expression"):
        Forbid("(" * 450 + "a" + ")" * 450)


def test_doubtful_syntax_warns_nobody():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Forbid(r"a == '\d'").names() == {"a"}


@pytest.mark.parametrize(
    "text", ["a > 'x'", "a / 0 > 1", "a in 3", f"{'9' * 400} * a / 1.5 > 2", "'x' * a"]
)
def test_a_rule_that_cannot_be_computed_says_so(text):
    with pytest.raises(ValueError, match="cannot be computed at"):
        Forbid(text)({"a": 5})


NUMBERS = st.sampled_from(["a", "b", "1", "2.5", "-3"])
SUMS = st.recursive(
    NUMBERS,
    lambda s: st.tuples(s, st.sampled_from("+-*"), s).map(lambda t: f"({' '.join(t)})"),
    max_leaves=6,
)
COMPARISONS = st.tuples(SUMS, st.sampled_from(["<", "<=", "==", "!=", ">"]), SUMS).map(" ".join)
RULES = st.recursive(
    COMPARISONS,
    lambda s: (
        s.map("not ({})".format)
        | st.tuples(s, st.sampled_from(["and", "or"]), s).map(lambda t: f"({' '.join(t)})")
    ),
    max_leaves=6,
)


@settings(deadline=None)
@given(RULES, st.integers(-5, 5), st.floats(-5, 5))
def test_a_rule_equals_python(text, a, b):
    tree = compile(ast.parse(text, mode="eval"), "rule", "eval")
    expected = bool(eval(tree, {"__builtins__": {}}, {"a": a, "b": b}))
    assert Forbid(f"({text}) and a == a and b == b")({"a": a, "b": b}) is expected
