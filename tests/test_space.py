import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automl.forbid import Forbid
from automl.space import Choice, Fixed, Float, Int, Space, shown

SGD = {"optimizer": ("sgd",)}
SPACE = Space(
    {
        "momentum": Float(0.0, 1.0, when=SGD),
        "optimizer": Choice(("adamw", "sgd")),
        "width": Int(2, 32, log=True),
        "seed": Fixed(7),
    },
    (Forbid("width > 16 and optimizer == 'sgd'"),),
)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Float(1, 0), r"low must not be above high, got low=1.0 and high=0.0"),
        (lambda: Float(math.nan, 1), r"bounds must be finite, got low=nan"),
        (lambda: Float(0, math.inf), r"bounds must be finite"),
        (lambda: Float("0", 1), r"bounds must be finite, got low='0'"),
        (lambda: Int(0.5, 1), r"bounds must be whole numbers, got low=0.5"),
        (lambda: Int(False, 3), r"bounds must be whole numbers, got low=False"),
        (lambda: Float(0, 1, log=True), r"a log scale needs low > 0, got low=0.0"),
        (lambda: Int(1, 8, log=True, step=2), r"a log scale has no step, got step=2"),
        (lambda: Float(0, 1, step=0), r"step must be above 0 and finite, got step=0"),
        (lambda: Float(0, 1, step=math.inf), r"step must be above 0 and finite"),
        (lambda: Float(0, 1, default=2), r"default 2.0 is not in \[0.0, 1.0\]"),
        (lambda: Float(0, 1, default="a"), r"default 'a' is not in"),
        (
            lambda: Int(0, 9, step=3, default=4),
            r"default 4 is not a whole number in \[0, 9\] in steps of 3",
        ),
        (lambda: Choice(()), r"a choice needs at least one option"),
        (lambda: Choice(("a", "b", "a")), r'option "a" is given twice'),
        (lambda: Choice(("a",), default="b"), r"default 'b' is not one of \"a\""),
        (lambda: Fixed(1, when={"a": ()}), r"the condition on 'a' allows no value"),
        (
            lambda: Space({"a": Fixed(1, when={"b": 1})}),
            r"a depends on 'b', which is not in the space",
        ),
    ],
)
def test_an_impossible_space_is_refused_with_its_values(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_conditions_in_a_circle_are_refused():
    circle = {"a": Int(0, 1, when={"b": 1}), "b": Int(0, 1, when={"a": 1})}
    with pytest.raises(ValueError, match=r"conditions go in a circle: [ab] -> [ab] -> [ab]"):
        Space(circle)


def test_whole_bounds_of_a_float_make_the_same_parameter():
    assert repr(Float(0, 1, default=1)) == repr(Float(0.0, 1.0, default=1.0))


def test_a_condition_may_give_one_value_or_several():
    assert Fixed(1, when={"optimizer": "sgd"}).when == SGD
    assert Fixed(1, when={"optimizer": ["sgd"]}).when == SGD


def test_a_choice_tells_true_one_and_its_text_apart():
    choice = Choice((1, True, "1", 1.0, None, [1]))
    assert all(map(choice.contains, choice.options))
    assert not Choice((1,)).contains(True)
    assert not Choice((1,)).contains(1.0)


def test_numbers_do_not_contain_truth_values_texts_or_what_is_off_their_grid():
    assert not Int(0, 1).contains(True)
    assert not Int(0, 9).contains(3.0)
    assert not Float(0, 1).contains("0.5")
    assert not Float(0, 1).contains(math.nan)
    assert Float(0, 1, step=0.1).contains(0.3)
    assert not Float(0, 1, step=0.1).contains(0.35)


def test_the_middle_is_geometric_on_a_log_scale():
    assert Float(1e-4, 1e-2, log=True).middle() == pytest.approx(1e-3)
    assert Float(1e-200, 1e-198, log=True).middle() == pytest.approx(1e-199)
    assert Int(3, 27, log=True).middle() == 9
    assert Float(0, 4).middle() == 2


@settings(deadline=None)
@given(
    low=st.floats(-1e308, 1e308),
    high=st.floats(-1e308, 1e308),
    log=st.booleans(),
)
def test_the_middle_of_a_range_is_in_it(low, high, log):
    low, high = sorted((abs(low), abs(high)) if log else (low, high))
    if log and low == 0:
        return
    parameter = Float(low, high, log=log)
    assert parameter.contains(parameter.middle())


@settings(deadline=None)
@given(st.integers(-(2**40), 2**40), st.integers(0, 2**40), st.integers(1, 1000))
def test_the_middle_of_a_grid_is_on_it(low, width, step):
    parameter = Int(low, low + width, step=step)
    assert parameter.contains(parameter.middle())
    assert Float(low / 8, (low + width) / 8, step=step).contains(
        Float(low / 8, (low + width) / 8, step=step).middle()
    )


def test_the_default_point_has_what_its_conditions_allow():
    assert SPACE.default() == {"optimizer": "adamw", "width": 8, "seed": 7}
    params = {
        "momentum": Float(0, 1, when=SGD),
        "optimizer": Choice(("adamw", "sgd"), default="sgd"),
    }
    assert Space(params).default() == {"momentum": 0.5, "optimizer": "sgd"}


def test_a_chain_of_conditions_is_followed():
    space = Space(
        {"c": Fixed(1, when={"b": 2}), "b": Choice((1, 2), when={"a": 1}), "a": Choice((0, 1))}
    )
    assert space.order() == ("a", "b", "c")
    assert space.default() == {"a": 0}
    assert space.active("c", {"a": 1, "b": 2})
    assert not space.active("c", {"a": 0})


def test_what_keeps_a_point_from_being_one_is_said():
    assert SPACE.problems({"optimizer": "sgd", "momentum": 0.5, "width": 8, "seed": 7}) == []
    assert SPACE.problems({"optimizer": "sgd", "width": 64, "seed": 8, "x": 1}) == [
        "x: no such parameter",
        "width: 64 is not a whole number in [2, 32]",
        "seed: 8 is not 7",
        "momentum: no value",
    ]
    assert SPACE.problems({"optimizer": "adamw", "momentum": 0.5, "width": 8, "seed": 7}) == [
        "momentum: has a value, but its condition does not hold"
    ]
    assert SPACE.problems({"optimizer": "sgd", "momentum": 0.5, "width": 32, "seed": 7}) == [
        "forbidden by \"width > 16 and optimizer == 'sgd'\""
    ]


def test_a_space_knows_what_is_searched_and_what_depends():
    assert SPACE.searched() == ("momentum", "optimizer", "width")
    assert SPACE.conditional()
    assert not Space({"a": Fixed(1)}).conditional()
    assert len(SPACE) == 4


@pytest.mark.parametrize(
    "changed",
    [
        {"width": Int(2, 33, log=True)},
        {"width": Int(2, 32)},
        {"momentum": Float(0.0, 1.0, when={"optimizer": ("adamw",)})},
        {"optimizer": Choice(("adamw", "sgd", "lion"))},
        {"seed": Fixed(8)},
    ],
)
def test_the_fingerprint_changes_with_any_range_option_or_condition(changed):
    other = Space({**SPACE.parameters, **changed}, SPACE.forbid)
    assert other.fingerprint() != SPACE.fingerprint()


def test_the_fingerprint_does_not_depend_on_the_order_of_parameters():
    turned = Space(dict(reversed(SPACE.parameters.items())), SPACE.forbid)
    assert turned.fingerprint() == SPACE.fingerprint()
    assert Space(SPACE.parameters).fingerprint() != SPACE.fingerprint()


def test_ranges_are_shown_in_words():
    assert shown(Float(0, 1, step=0.5)) == "in [0.0, 1.0] in steps of 0.5"
    assert shown(Int(1, 3)) == "a whole number in [1, 3]"
    assert shown(Choice(tuple(range(20)))) == "one of 0, 1, 2, 3, 4, 5, 6, 7, 8, …"
    assert shown(Fixed("a")) == '"a"'


def test_a_choice_of_many_options_is_made_at_once():
    assert Choice(tuple(range(100_000))).contains(99_999)
