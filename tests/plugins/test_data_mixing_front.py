"""Fronts of forgetting against gain."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automl import pareto
from automl_data_mixing.front import convex, front_gain, hypervolume, noise_of

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


def test_noise_needs_two_runs():
    assert np.isnan(noise_of([(0.1, 0.2)])).all()
    assert noise_of([(0.1, 0.2), (0.3, 0.2)]) == pytest.approx((np.std([0.1, 0.3], ddof=1), 0))
