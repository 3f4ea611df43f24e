import numpy as np
import pytest

from automl_reward_weights.rewards import (
    Reward,
    check_names,
    checked,
    column,
    default_preference,
    gated,
    normalized,
    reference,
)

ACCURACY = Reward("accuracy")
LENGTH = Reward("length", goal="minimize", bounds=(0, 40), gate="accuracy")
BOTH = (ACCURACY, LENGTH)


def test_the_worst_bound_becomes_0_and_the_best_1():
    assert [LENGTH.normalized(v) for v in (40, 10, 0)] == [0, 0.75, 1]
    assert LENGTH.raw(LENGTH.normalized(13)) == 13
    got = normalized(BOTH, np.array([[0.5, 40], [1.0, 0]]))
    assert got.tolist() == [[0.5, 0], [1, 1]]


def test_a_closed_gate_leaves_the_worst_value():
    got = gated(BOTH, np.array([[1.0, 0.7], [0.0, 0.9]]))
    assert got.tolist() == [[1, 0.7], [0, 0]]


def test_a_reward_that_is_not_finite_is_named_with_its_rollout():
    with pytest.raises(ValueError, match="reward 'length': rollout 1 of 2 got nan"):
        checked(BOTH, np.array([[1.0, 1.0], [0.0, np.nan]]))


def test_rewards_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"shape \(4, 3\); expected \(rollouts, 2\)"):
        checked(BOTH, np.ones((4, 3)))
    with pytest.raises(ValueError, match=r"'brevity': returned shape \(2,\) for 3 rollouts"):
        column("brevity", [1.0, 2.0], 3)


@pytest.mark.parametrize(
    ("rewards", "words"),
    [
        ((ACCURACY,), "at least two"),
        ((ACCURACY, ACCURACY), "'accuracy' is given twice"),
        ((ACCURACY, Reward("form", gate="acuracy")), "gate 'acuracy' is none of accuracy, form"),
    ],
)
def test_rewards_that_do_not_fit_together_are_refused(rewards, words):
    with pytest.raises(ValueError, match=words):
        check_names(rewards)


def test_bounds_must_be_a_range():
    with pytest.raises(ValueError, match="low < high; got 1"):
        Reward("flat", bounds=(1, 1))


def test_the_reference_is_the_studys_or_a_tenth_below_the_worst():
    assert reference(BOTH, [None, 30.0]) == pytest.approx([-0.1, 0.25])


def test_importances_become_a_preference_that_sums_to_1():
    assert default_preference(BOTH, {"accuracy": 3.0}).tolist() == [0.75, 0.25]
    with pytest.raises(ValueError, match="'acuracy' is none of accuracy, length"):
        default_preference(BOTH, {"acuracy": 3.0})
