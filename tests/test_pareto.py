"""Fronts, ranks and hypervolumes against brute force."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automl import pareto

LEVELS = [-math.inf, -1.0, 0.0, 0.5, 1.0, 2.0, math.inf, math.nan]
SEEDS = range(12)


def better(a, b, goals):
    """Dominance by its definition."""
    pairs = [(x, y) if g == "minimize" else (-x, -y) for x, y, g in zip(a, b, goals, strict=True)]
    return all(x <= y for x, y in pairs) and any(x < y for x, y in pairs)


def brute_front(values, goals):
    return [
        not any(map(math.isnan, a)) and not any(better(b, a, goals) for b in values) for a in values
    ]


def brute_hypervolume(values, reference, goals):
    """Inclusion and exclusion over the boxes between the points and the reference."""
    boxes = [
        [
            max(r - x if g == "minimize" else x - r, 0.0)
            for x, r, g in zip(row, reference, goals, strict=True)
        ]
        for row in values
    ]
    return sum(
        (-1) ** (size + 1) * math.prod(map(min, zip(*chosen, strict=True)))
        for size in range(1, len(boxes) + 1)
        for chosen in itertools.combinations(boxes, size)
    )  # fmt: skip


@st.composite
def clouds(draw):
    count = draw(st.integers(1, 5))
    goals = draw(
        st.lists(st.sampled_from(["minimize", "maximize"]), min_size=count, max_size=count)
    )
    row = st.lists(st.sampled_from(LEVELS), min_size=count, max_size=count)
    return draw(st.lists(row, min_size=1, max_size=12)), goals


@given(clouds())
@settings(deadline=None, max_examples=300)
def test_the_front_equals_brute_force_with_ties_duplicates_infinities_and_nan(cloud):
    values, goals = cloud
    assert pareto.non_dominated(values, goals).tolist() == brute_front(values, goals)


@given(clouds())
@settings(deadline=None, max_examples=200)
def test_a_rank_is_the_number_of_fronts_that_were_peeled_off_before(cloud):
    values, goals = cloud
    left = {i: row for i, row in enumerate(values) if not any(map(math.isnan, row))}
    expected, depth = dict.fromkeys(range(len(values)), 0), 0
    while left:
        front = [i for i, a in left.items() if not any(better(b, a, goals) for b in left.values())]
        expected |= dict.fromkeys(front, depth)
        left = {i: row for i, row in left.items() if i not in front}
        depth += 1
    lost = [i for i, row in enumerate(values) if any(map(math.isnan, row))]
    expected |= dict.fromkeys(lost, depth)
    assert pareto.ranks(values, goals).tolist() == list(expected.values())


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_the_hypervolume_equals_inclusion_and_exclusion(count, seed):
    draw = np.random.default_rng([count, seed])
    goals = draw.choice(["minimize", "maximize"], count).tolist()
    values = np.round(draw.normal(size=(9, count)), 1)
    values[8] = values[0]
    reference = draw.normal(size=count).round(1)
    expected = brute_hypervolume(values, reference, goals)
    assert pareto.hypervolume(values, reference, goals) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_contribution_is_what_the_hypervolume_loses(seed):
    draw = np.random.default_rng(seed)
    goals, reference = ("minimize", "maximize", "minimize"), (1.0, 0.0, 1.0)
    values = draw.random((8, 3)).round(1)
    whole = brute_hypervolume(values, reference, goals)
    expected = [
        whole - brute_hypervolume(np.delete(values, i, axis=0), reference, goals) for i in range(8)
    ]
    assert pareto.contributions(values, reference, goals) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_trace_is_the_hypervolume_of_each_beginning(seed):
    draw = np.random.default_rng(seed)
    goals, reference = ("maximize", "minimize"), (0.1, 0.9)
    values = draw.random((30, 2)).round(1)
    values[5] = math.nan
    expected = [pareto.hypervolume(values[: i + 1], reference, goals) for i in range(30)]
    assert pareto.trace(values, reference, goals) == pytest.approx(expected)


def test_the_example_of_three_boxes_has_the_area_counted_by_hand():
    assert pareto.hypervolume([[1, 3], [2, 2], [3, 1]], [4, 4], ("minimize",) * 2) == 6


def test_points_beyond_the_reference_add_nothing_even_when_infinite():
    values = [[0.5, 0.5], [-math.inf, 2.0], [0.1, math.inf], [math.nan, 0.0]]
    assert pareto.hypervolume(values, [1, 1], ("minimize",) * 2) == 0.25


def test_a_point_that_is_infinitely_good_makes_the_hypervolume_infinite():
    values = [[0.5, 0.5], [-math.inf, 0.75]]
    assert pareto.hypervolume(values, [1, 1], ("minimize",) * 2) == math.inf
    assert np.isnan(pareto.contributions(values, [1, 1], ("minimize",) * 2)).all()


@pytest.mark.parametrize("goals", [("minimize",), ("maximize", "minimize")])
def test_no_points_have_no_front_no_volume_and_no_knee(goals):
    reference = [1.0] * len(goals)
    assert pareto.non_dominated([], goals).tolist() == []
    assert pareto.ranks([], goals).tolist() == []
    assert pareto.hypervolume([], reference, goals) == 0
    assert pareto.contributions([], reference, goals).tolist() == []
    assert pareto.knee([], goals) is None


def test_the_knee_of_a_bent_front_is_its_bend():
    values = [[0.0, 1.0], [0.1, 0.1], [1.0, 0.0], [0.5, 0.5], [math.nan, 0.0]]
    assert pareto.knee(values, ("minimize",) * 2) == 1


@pytest.mark.parametrize(
    "values",
    [
        [[0.0, 1.0], [0.5, 0.5], [1.0, 0.0]],
        [[0.0, 1.0], [0.8, 0.8], [1.0, 0.0]],
        [[0.0, 1.0], [1.0, 0.0]],
    ],
)
def test_a_front_that_is_straight_or_bends_away_has_no_knee(values):
    assert pareto.knee(values, ("minimize",) * 2) is None


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_single_point_is_its_own_knee(count):
    assert pareto.knee([[1.0] * count], ("minimize",) * count) == 0


def test_the_knee_with_two_goals_is_furthest_from_the_line_between_the_ends():
    draw = np.random.default_rng(3)
    angle = np.sort(draw.random(20)) * np.pi / 2
    values = np.column_stack([1 - np.sin(angle), 10 * np.cos(angle) ** 3])
    scaled = (values - values.min(0)) / np.ptp(values, axis=0)
    (x0, y0), (x1, y1) = scaled[scaled[:, 0].argmin()], scaled[scaled[:, 0].argmax()]
    distance = (x1 - x0) * (y0 - scaled[:, 1]) - (x0 - scaled[:, 0]) * (y1 - y0)
    front = pareto.non_dominated(values, ("minimize",) * 2)
    expected = np.where(front, distance, -np.inf).argmax()
    assert pareto.knee(values, ("minimize",) * 2) == expected


def test_a_reference_that_the_study_gives_is_kept():
    refs = pareto.reference([[0.9, 10.0]], ("maximize", "minimize"), (0.5, 100.0))
    assert refs.tolist() == [0.5, 100.0]


def test_a_reference_that_is_missing_lies_a_tenth_beyond_the_front():
    values = [[0.9, 100.0], [0.5, 0.0], [0.1, 500.0]]
    refs = pareto.reference(values, ("maximize", "minimize"), (None, None))
    assert refs == pytest.approx([0.5 - 0.04, 100 + 10])


@pytest.mark.parametrize("values", [[[2.0, 3.0]], [[0.0, 0.0]], [[math.inf, math.nan]], []])
def test_a_reference_is_finite_and_worse_than_the_points(values):
    refs = pareto.reference(values, ("minimize", "minimize"))
    finite = [row for row in values if all(map(math.isfinite, row))]
    assert np.isfinite(refs).all()
    assert all((np.array(row) < refs).all() for row in finite)


def test_a_goal_that_is_no_goal_is_named():
    with pytest.raises(ValueError, match="got 'max'"):
        pareto.non_dominated([[1.0]], ("max",))


def test_values_that_do_not_fit_the_goals_are_refused():
    with pytest.raises(ValueError, match=r"expected \(n, 2\) for the goals, got \(1, 3\)"):
        pareto.non_dominated([[1.0, 2.0, 3.0]], ("minimize",) * 2)


def test_a_reference_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="expected finite numbers"):
        pareto.hypervolume([[1.0]], [math.inf], ("minimize",))
