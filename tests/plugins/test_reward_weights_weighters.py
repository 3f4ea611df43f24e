from dataclasses import replace

import numpy as np
import pytest

from automl_reward_weights.volume import hypervolume
from automl_reward_weights.weighters import (
    WEIGHTERS,
    Batch,
    Chebyshev,
    Evaluation,
    Gradient,
    HvGradient,
    HvScale,
    Lagrangian,
    Random,
    Variance,
    Weights,
)

EVEN = np.full(3, 1 / 3)


def batch(average=(0.5, 0.5, 0.5), thresholds=(np.nan,) * 3, influence=(1.0, 0.0, 0.0), spread=1):
    rewards = np.array([[0.0, 0.4, 0.5], [1.0, 0.6, 0.5]]) * spread
    return Batch(
        EVEN, rewards, np.array(average), np.array(thresholds), lambda _unit: np.array(influence)
    )


def evaluation(values=(0.5, 0.5, 0.5), front=None, gain=0.0, step=5):
    seen = np.array([values]) if front is None else np.array(front)
    return Evaluation(step, 0, EVEN, np.array(values), seen, np.full(3, -0.1), gain)


def after(weighter, signals, start=EVEN):
    now = Weights(start)
    for signal in signals:
        now = weighter.update(now, signal)
    return now


@pytest.mark.parametrize("name", WEIGHTERS)
def test_weights_stay_on_the_simplex(name):
    signals = [batch(influence=(3.0, -1.0, 0.5)), evaluation(gain=0.3)] * 20
    values = after(WEIGHTERS[name](), signals).values
    assert values.sum() == pytest.approx(1)
    assert (values >= 0).all()


@pytest.mark.parametrize("name", WEIGHTERS)
def test_an_update_leaves_what_it_was_given(name):
    now = Weights(EVEN.copy())
    for signal in (batch(), evaluation()):
        WEIGHTERS[name]().update(now, signal)
    assert now.values.tolist() == EVEN.tolist()
    assert now.scale == 1
    assert now.memory == {}


def test_hv_gradient_follows_the_slope_of_the_hypervolume():
    values, small = np.array([0.8, 0.3, 0.5]), 1e-6
    got = after(HvGradient(small, rate=1.0, floor=0.0), [evaluation(values)]).values
    volume = [hypervolume((values + small * e)[None], np.full(3, -0.1)) for e in np.eye(3)]
    slope = np.array(volume) - hypervolume(values[None], np.full(3, -0.1))
    np.testing.assert_allclose(got, slope / slope.sum(), rtol=1e-4)


def test_hv_gradient_turns_to_the_preference_where_nothing_would_count():
    far = evaluation((0.1, 0.1, 0.1), front=[(0.9, 0.9, 0.9)])
    got = after(HvGradient(), [far] * 20, start=np.array([0.8, 0.1, 0.1])).values
    np.testing.assert_allclose(got, EVEN, atol=1e-4)


def test_hv_scale_moves_the_factor_and_never_the_weights():
    weighter = HvScale(temperature=0.02)
    assert after(weighter, [evaluation(gain=0.0)]).scale == 0.5
    assert after(weighter, [evaluation(gain=10.0)]).scale == 2.0
    assert after(weighter, [batch(), evaluation(gain=0.01)]).values.tolist() == EVEN.tolist()


def test_without_an_anchor_the_strongest_gradient_takes_everything():
    free = after(Gradient(anchor=0.0, floor=0.0), [batch()] * 200).values
    held = after(Gradient(anchor=0.1), [batch()] * 200).values
    assert free[0] > 0.999
    assert held[0] < 0.6


def test_the_other_sign_helps_the_reward_that_lags():
    assert after(Gradient(sign=-1), [batch()] * 5).values.argmin() == 0


def test_chebyshev_weighs_most_what_is_farthest_from_its_best():
    assert after(Chebyshev(), [batch(average=(0.9, 0.1, 0.5))]).values.argmax() == 1


def test_lagrangian_rises_below_the_threshold_and_falls_above():
    low = batch((0.5, 0.2, 0.9), (np.nan, 0.5, 0.5))
    below = after(Lagrangian(), [low] * 20)
    assert below.values[1] > 0.3
    assert below.values[2] == 0
    met = batch((0.5, 0.8, 0.9), (np.nan, 0.5, 0.5))
    again = after(Lagrangian(), [low] * 20 + [met] * 100)
    assert again.values.tolist() == [1, 0, 0]


def test_lagrangian_without_thresholds_asks_all_but_the_first_to_reach_the_middle():
    assert after(Lagrangian(), [batch((0.1, 0.1, 0.9))] * 5).values[2] == 0


def test_lagrangian_serves_a_free_reward_that_nobody_prefers():
    signal = replace(batch((0.5, 0.8, 0.9), (np.nan, 0.5, 0.5)), preference=np.array([0, 0.5, 0.5]))
    assert after(Lagrangian(), [signal]).values == pytest.approx([1, 0, 0])


def test_variance_weighs_by_standard_deviation():
    got = after(Variance(floor=0.0), [batch()]).values
    np.testing.assert_allclose(got, np.array([0.5, 0.1, 0.0]) / 0.6)
    still = after(Variance(), [batch(spread=0)]).values
    np.testing.assert_allclose(still, EVEN)


def test_the_random_control_depends_on_seed_and_step_alone():
    one, two = (after(Random(), [batch(), evaluation(step=5)]).values for _ in range(2))
    assert one.tolist() == two.tolist()
    assert one.tolist() != after(Random(), [evaluation(step=10)]).values.tolist()
