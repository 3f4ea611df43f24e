import itertools

import numpy as np
import pytest

from automl_reward_weights.volume import delta, hv_gradient, hypervolume, non_dominated


def by_inclusion_and_exclusion(front, reference):
    sizes = np.maximum(front - reference, 0)
    return sum(
        (-1) ** (count + 1) * sizes[list(chosen)].min(axis=0).prod()
        for count in range(1, len(sizes) + 1)
        for chosen in itertools.combinations(range(len(sizes)), count)
    )


@pytest.mark.parametrize("rewards", [2, 3, 4, 6])
def test_the_hypervolume_equals_inclusion_and_exclusion(rewards):
    rng = np.random.default_rng(rewards)
    front, reference = rng.uniform(-0.2, 1, (8, rewards)), np.full(rewards, -0.1)
    expected = by_inclusion_and_exclusion(front, reference)
    assert hypervolume(front, reference) == pytest.approx(expected, rel=1e-12)


def test_nothing_below_the_reference_has_volume():
    assert hypervolume(np.empty((0, 3)), np.zeros(3)) == 0
    assert hypervolume(np.array([[2.0, 2.0, -1.0]]), np.zeros(3)) == 0


@pytest.mark.parametrize("place", range(3))
def test_a_point_below_the_reference_in_any_objective_adds_nothing(place):
    front = np.array([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    point = np.array([2.0, 2.0, 2.0])
    point[place] = -1.0
    assert delta(front, point, np.zeros(3)) == 0


def test_a_point_adds_what_brute_force_says():
    rng = np.random.default_rng(1)
    front, point, reference = rng.random((6, 3)), rng.random(3), np.zeros(3)
    with_point = by_inclusion_and_exclusion(np.vstack([front, point]), reference)
    expected = with_point - by_inclusion_and_exclusion(front, reference)
    assert delta(front, point, reference) == pytest.approx(expected)


@pytest.mark.parametrize("rewards", [2, 3, 4])
def test_a_short_lookahead_gives_the_slope_of_the_hypervolume(rewards):
    rng = np.random.default_rng(rewards)
    front, point = 0.6 * rng.random((7, rewards)), np.full(rewards, 0.7)
    reference, small = np.zeros(rewards), 1e-6

    def volume(at):
        return by_inclusion_and_exclusion(np.vstack([front, at]), reference)

    steps = np.eye(rewards) * small
    central = [(volume(point + step) - volume(point - step)) / (2 * small) for step in steps]
    got = hv_gradient(front, point, reference, lookahead=small)
    np.testing.assert_allclose(got, central, rtol=1e-4)


def test_the_gradient_of_a_single_point_is_the_area_of_its_faces():
    got = hv_gradient(np.empty((0, 3)), np.array([0.2, 0.5, 0.4]), np.zeros(3), 0.1)
    np.testing.assert_allclose(got, [0.2, 0.08, 0.1])


def test_a_lookahead_sees_beyond_the_point_that_dominates():
    front, point, reference = np.array([[0.5, 0.5]]), np.array([0.45, 0.4]), np.zeros(2)
    assert hv_gradient(front, point, reference, 1e-3).tolist() == [0, 0]
    assert (hv_gradient(front, point, reference, 0.2) > 0).all()


def test_nothing_is_raised_above_the_cap():
    got = hv_gradient(np.empty((0, 2)), np.array([1.0, 0.5]), np.zeros(2), 0.1, cap=1.0)
    assert got[0] == 0
    assert got[1] > 0


def test_points_that_do_not_fit_the_reference_are_refused():
    with pytest.raises(ValueError, match=r"shape \(2, 3\) do not fit"):
        hypervolume(np.ones((2, 3)), np.zeros(2))


def test_of_equal_points_one_is_kept():
    assert non_dominated(np.array([[1.0, 0], [1.0, 0], [0.5, 0]])).tolist() == [True, False, False]
    assert non_dominated(np.empty((0, 2))).tolist() == []
