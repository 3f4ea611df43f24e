"""Fronts of forgetting against gain."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import PchipInterpolator

from automl import pareto
from automl_data_mixing.front import convex, filled, front_gain, hypervolume, monotone, noise_of

STATIC = [(0.0, 0.0), (0.1, -0.5), (0.3, -0.7), (0.2, -0.55)]
PAIRS = st.lists(st.tuples(st.floats(-1, 1), st.floats(-1, 1)), min_size=1, max_size=12)


@given(PAIRS)
@settings(deadline=None, max_examples=60)
def test_the_hypervolume_is_that_of_the_core(points):
    expected = pareto.hypervolume(np.array(points), (1.0, 1.0), ("minimize", "minimize"))
    assert hypervolume(points, (1.0, 1.0)) == pytest.approx(expected, abs=1e-12)


def test_the_hull_leaves_out_what_a_mean_of_others_beats():
    assert convex(STATIC) == [(0.0, 0.0), (0.1, -0.5), (0.3, -0.7)]


def test_points_of_the_front_have_no_gain():
    assert front_gain(STATIC[:3], STATIC, (1.0, 1.0)) == pytest.approx([0, 0, 0])


def test_gain_is_the_distance_at_a_right_angle_in_units_of_the_noise():
    line = [(0.0, 1.0), (1.0, 0.0)]
    gains = front_gain([(0.0, 0.0), (1.0, 1.0)], line, (0.1, 0.1))
    assert gains == pytest.approx([10 / np.sqrt(2), -10 / np.sqrt(2)])


def test_beside_the_front_only_one_coordinate_counts():
    gains = front_gain([(-0.2, 0.3), (0.9, -0.8), (0.9, -0.6)], STATIC, (1.0, 1.0))
    assert gains == pytest.approx([0.2, 0.1, -0.1])


@given(st.lists(st.integers(-500, 500), min_size=3, max_size=9), st.integers(0, 99))
@settings(deadline=None, max_examples=60)
def test_interpolation_is_that_of_scipy(hundredths, seed):
    values = [value / 100 for value in hundredths]  # scipy overflows on denormal ones
    x = np.cumsum(np.random.default_rng(seed).uniform(0.1, 1, len(values)))
    at = np.linspace(x[0], x[-1], 50)
    expected = PchipInterpolator(x, values)(at)
    assert monotone(x, np.array(values), at) == pytest.approx(expected, abs=1e-9)


def test_static_mixtures_between_those_that_were_run_have_no_gain():
    def change(share):
        return (share**2, -np.sqrt(share))

    grid = np.array([0.01, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0])
    curve = filled(grid, [change(share) for share in grid])
    between = [change(share) for share in (0.15, 0.4, 0.6, 0.85)]
    straight = front_gain(between, [change(share) for share in grid], (1.0, 1.0))
    assert np.abs(front_gain(between, curve, (1.0, 1.0))).max() < 0.004 < straight.max()


def test_noise_needs_two_runs():
    assert np.isnan(noise_of([(0.1, 0.2)])).all()
    assert noise_of([(0.1, 0.2), (0.3, 0.2)]) == pytest.approx((np.std([0.1, 0.3], ddof=1), 0))
