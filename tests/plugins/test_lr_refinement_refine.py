"""The mathematics of refinement against the official cases, brute force and closed forms."""

import json
from statistics import median

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shared_data import shared

from automl_lr_refinement import refine as r

positive = st.lists(st.floats(1e-3, 1e3), min_size=2, max_size=60)


def brute_force(weights):
    """The formula as written, in O(T^2)."""
    rates = [w * sum(weights[t + 1 :]) for t, w in enumerate(weights)]
    return np.array(rates) / max(rates)


def test_smoothing_and_schedules_agree_with_the_official_cases():
    cases = json.loads(shared("lr_official_cases.json").read_text())["cases"]
    for case in cases:
        norms, tau = case["gradient_norms"], case["tau"]
        assert r.width(len(norms), tau) == case["filter_width"]
        np.testing.assert_allclose(r.smooth(norms, tau), case["smoothed"], rtol=0, atol=1e-9)
        got = r.schedule(norms, case["exponent"], tau, "paper")
        np.testing.assert_allclose(got, case["schedule"], rtol=0, atol=1e-9)


@given(positive)
def test_a_schedule_is_the_formula(weights):
    np.testing.assert_allclose(r.from_weights(weights), brute_force(weights), atol=1e-12)


@given(positive)
def test_weights_times_their_tails_sum_to_half_of_what_squares_leave(weights):
    values = np.array(weights)
    tails = [values[t + 1 :].sum() for t in range(values.size)]
    total = (values * tails).sum()
    assert total == pytest.approx((values.sum() ** 2 - (values**2).sum()) / 2, rel=1e-9)
    np.testing.assert_allclose(r.from_weights(values) * (values * tails).max(), values * tails)


@pytest.mark.parametrize("preset", ["paper", "guarded"])
@pytest.mark.parametrize("steps", [2, 3, 10, 101])
def test_constant_norms_refine_to_linear_decay(steps, preset):
    line = (steps - np.arange(1, steps + 1)) / (steps - 1)
    np.testing.assert_allclose(r.schedule(np.full(steps, 3.7), 2, 0.1, preset), line, atol=1e-12)


@given(positive, st.floats(1e-6, 1e6), st.sampled_from(["paper", "guarded"]))
@settings(max_examples=50)
def test_the_unit_of_the_norms_does_not_matter(norms, unit, preset):
    scaled = [unit * norm for norm in norms]
    got, want = r.schedule(scaled, 2, 0.2, preset), r.schedule(norms, 2, 0.2, preset)
    np.testing.assert_allclose(got, want, atol=1e-9)


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_weights_that_fall_as_a_power_give_a_decay_of_twice_that_power_and_one(power):
    left = 1 - np.arange(20_000) / 20_000
    np.testing.assert_allclose(r.from_weights(left**power), left ** (2 * power + 1), atol=2e-4)


def test_a_schedule_stops_decaying_where_norms_fall_as_the_quarter_power():
    left = 1 - np.arange(10_000) / 10_000
    peaks = [r.refine(left**b, r.Recipe(2, tau=0)).verdict.peak_at for b in (0.15, 0.35)]
    flat = r.from_weights(left**-0.5)
    assert peaks[0] == 0
    assert peaks[1] > 0.99
    assert flat[:9_000].min() > 0.9


def test_collapsing_norms_fall_back_to_linear_decay_when_guarded():
    norms = np.exp(-np.linspace(0, 8, 400))
    found = r.refine(norms, r.Recipe(2, guard=4.0, fallback=True))
    assert "peaks at" in found.verdict.reason
    np.testing.assert_array_equal(found.multipliers, r.linear(400))
    assert r.schedule(norms, 2, 0.1, "paper").argmax() > 300


def test_norms_that_start_tiny_are_spent_at_once_and_the_guard_tames_it():
    norms = np.concatenate([np.full(8, 0.1), np.ones(392)])
    paper = r.refine(norms, r.Recipe(2))
    guarded = r.refine(norms, r.Recipe(2, guard=4.0))
    assert "falls from its peak" in paper.verdict.reason
    assert r.diagnose(guarded.multipliers).ok


def test_a_schedule_that_hardly_learns_is_degenerate():
    left = 1 - np.arange(1000) / 1000
    assert "near zero" in r.diagnose(np.append(0.5, left**20)).reason


def test_high_norms_at_the_start_become_a_warm_up():
    norms = np.concatenate([np.linspace(10, 1, 100), np.ones(900)])
    found = r.schedule(norms, 1)
    assert found[0] < 0.2
    assert 0.05 < found.argmax() / 1000 < 0.15


@given(positive, st.floats(0, 1))
def test_the_running_median_is_the_median_of_each_window(norms, tau):
    half = r.width(len(norms), tau) // 2
    padded = [norms[0]] * half + np.pad(norms, (0, half), mode="reflect").tolist()
    want = [median(padded[t : t + 2 * half + 1]) for t in range(len(norms))]
    np.testing.assert_array_equal(r.smooth(norms, tau), want)


def test_the_running_mean_is_the_mean_of_each_window():
    norms = np.random.default_rng(0).random(50)
    padded = np.concatenate([np.full(5, norms[0]), np.pad(norms, (0, 5), mode="reflect")])
    want = [padded[t : t + 11].mean() for t in range(50)]
    np.testing.assert_allclose(r.smooth(norms, 0.2, "mean"), want)


def test_steps_without_a_finite_norm_take_the_one_before():
    norms = [np.nan, 1.0, np.inf, 3.0, np.nan]
    np.testing.assert_array_equal(r.clean(norms), [1, 1, 1, 3, 3])


@pytest.mark.parametrize(("norms", "words"), [([np.nan], "none of 1"), ([1.0, -2.0], "-2.0")])
def test_norms_that_mean_nothing_are_refused_with_their_value(norms, words):
    with pytest.raises(ValueError, match=words):
        r.clean(norms)


def test_a_tau_outside_of_training_is_refused():
    with pytest.raises(ValueError, match=r"1\.5"):
        r.smooth([1.0, 2.0], 1.5)


def test_norms_of_zero_give_finite_weights():
    assert np.isfinite(r.weights([1.0, 0.0, 2.0], 2)).all()
    np.testing.assert_array_equal(r.weights([0.0, 0.0], 2), [1, 1])
    assert np.isfinite(r.schedule([0.0] * 9 + [1.0], 2, 0, "paper")).all()


def test_strength_zero_ignores_the_norms():
    norms = np.random.default_rng(1).random(40)
    np.testing.assert_allclose(r.from_weights(r.weights(norms, 2, 0.0)), r.linear(40))


def test_the_guard_caps_weights_at_a_multiple_of_their_median():
    norms = np.concatenate([[1e-3], np.ones(10)])
    assert r.weights(norms, 2, guard=4.0).max() == pytest.approx(4.0)


def brute_bound(rates, norms, distance):
    """The bound as written, minimized over a fine grid of scales."""

    def at(scale):
        lr = scale * rates
        tail = [lr[k:].sum() for k in range(lr.size)]
        noise = [(lr[k:] ** 2 * norms[k:] ** 2).sum() for k in range(lr.size)]
        pairs = (lr[k] * noise[k] / (tail[k] * tail[k + 1]) for k in range(lr.size - 1))
        return (distance**2 + noise[0]) / (2 * tail[0]) + sum(pairs) / 2

    return min(at(scale) for scale in np.geomspace(1e-3, 1e3, 4001))


def test_the_bound_is_the_formula_at_its_best_scale():
    rng = np.random.default_rng(3)
    rates, norms = rng.random(30) + 0.1, rng.random(30) + 0.5
    assert r.bound(rates, norms, 2.0) == pytest.approx(brute_bound(rates, norms, 2.0), rel=1e-5)


def test_by_its_bound_the_refined_schedule_beats_linear_decay_where_norms_rise():
    norms = np.concatenate([np.linspace(5, 1, 20), np.linspace(1, 6, 180)])
    refined = r.schedule(norms, 2, 0, "paper")
    assert r.bound(refined, norms) < 0.9 * r.bound(r.linear(200), norms)


def test_steps_of_rate_zero_do_not_change_the_bound():
    norms = np.ones(12)
    assert r.bound([*r.linear(10), 0, 0], norms) == r.bound(r.linear(10), norms[:10])


def test_sgd_has_the_l2_norm_and_others_the_l1_norm():
    assert r.family("SGD") == ("l2", 2.0)
    assert r.family("AdamW") == ("l1", 1.0)
