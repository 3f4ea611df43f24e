from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automl.suggest import did_you_mean, did_you_mean_or_known, distance, nearest

WORDS = st.text("abc", max_size=4)


@cache
def neighbours(word):
    """Return every word over the letters that one slip makes of this one."""
    cut = [(word[:i], word[i:]) for i in range(len(word) + 1)]
    dropped = {a + b[1:] for a, b in cut if b}
    replaced = {a + c + b[1:] for a, b in cut if b for c in "abc"}
    added = {a + c + b for a, b in cut for c in "abc"}
    swapped = {a + b[1] + b[0] + b[2:] for a, b in cut if len(b) > 1}
    return dropped | replaced | added | swapped


def steps(left, right):
    """Count slips by breadth-first search over all words."""
    reached, edge, count = {left}, {left}, 0
    while right not in reached:
        edge = {other for word in edge for other in neighbours(word)} - reached
        reached |= edge
        count += 1
    return count


@settings(deadline=None)
@given(st.text("abc", max_size=3), st.text("abc", max_size=3))
def test_the_distance_is_the_least_number_of_slips(left, right):
    assert distance(left, right) == steps(left, right)


@settings(deadline=None)
@given(WORDS, WORDS, WORDS)
def test_the_distance_is_a_metric(a, b, c):
    assert distance(a, b) == distance(b, a)
    assert (distance(a, b) == 0) == (a == b)
    assert distance(a, c) <= distance(a, b) + distance(b, c)


def test_letters_between_the_swapped_ones_count_too():
    assert distance("ca", "abc") == 2  # optimal string alignment says 3


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("lgo", "log"), ("optimiser", "optimizer"), ("Trials", "trials"), ("epochs", "max_epochs")],
)
def test_the_nearest_name_is_found(typed, meant):
    assert nearest(typed, ["low", "log", "optimizer", "trials", "max_epochs", "budget"]) == meant


def test_a_name_that_is_far_from_all_suggests_nothing():
    assert nearest("zebra", ["model", "data"]) is None
    assert nearest("", ["a"]) is None
    assert nearest("x" * 65, ["x" * 64]) is None
    assert nearest(3, ["3"]) is None


def test_dotted_names_are_compared_where_they_part():
    assert nearest("model.x", ["model.lr"]) is None
    assert nearest("model.rl", ["model.lr"]) == "model.lr"
    assert nearest("modle.lr", ["model.lr"]) == "model.lr"


def test_the_preferred_name_wins_among_near_ones():
    assert nearest("stop", ["step", "shop"]) == "step"
    assert nearest("stop", ["step", "shop"], prefer={"shop"}) == "shop"


def test_messages_end_with_the_nearest_or_the_known_names():
    assert did_you_mean("tpee", ["tpe", "gp"]) == "; did you mean 'tpe'?"
    assert did_you_mean("zzz", ["tpe", "gp"]) == ""
    assert did_you_mean_or_known("zzz", ["tpe", "gp"]) == "; known: tpe, gp"
    assert did_you_mean_or_known("zzz", [f"name{i}" for i in range(50)]) == ""
