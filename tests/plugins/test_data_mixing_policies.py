"""Policies, guards and the environment whose best course is known."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automl_data_mixing.aioli import Aioli, law
from automl_data_mixing.course import Course, Setting, within
from automl_data_mixing.environment import Toy, rollout, value
from automl_data_mixing.policies import DoReMi, Fixed, Odm, Schedule, Static

SETTING = Setting(
    ("a", "b", "c"), (False, False, True), (100, 200, 50), reweights=6, rows_per_step=320
)
GUARDED = {"low": (0.0, 0.0, 0.0), "high": (1.0, 1.0, 1.0)}


def setting(**changes):
    fields = {name: getattr(SETTING, name) for name in SETTING.__slots__}
    return Setting(**(fields | changes))


def shares(course):
    return [sum(w for w, t in zip(row, SETTING.target, strict=True) if t) for row in course.weights]


def play(policy, made=SETTING, **toy):
    return rollout(policy, Toy(made, **toy), made)


def test_a_mixture_has_its_share_and_its_composition():
    mixture = SETTING.mixture(0.4, np.array([1.0, 3.0, 7.0]))
    assert mixture == pytest.approx([0.15, 0.45, 0.4])


@pytest.mark.parametrize(
    "policy",
    [Static(0.3), Schedule(0.9, 0.1), Odm(), DoReMi(np.array([1.0, 1.0, 2.0])), Aioli(0.5)],
)
def test_every_policy_gives_mixtures(policy):
    weights = np.array(play(policy).weights)
    assert weights.shape == (6, 3)
    assert weights.min() >= 0
    assert weights.sum(axis=1) == pytest.approx(np.ones(6))


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ("linear", [1, 0.8, 0.6, 0.4, 0.2, 0]),
        ("step", [1, 1, 1, 0, 0, 0]),
        ("cosine", [1, 0.904508, 0.654508, 0.345492, 0.095492, 0]),
    ],
)
def test_a_schedule_goes_from_start_to_end(shape, expected):
    assert shares(play(Schedule(1, 0, shape))) == pytest.approx(expected, abs=1e-6)


def test_odm_prefers_high_losses_and_keeps_its_floor():
    weights = np.array(play(Odm(floor=0.05)).weights[-1])
    assert weights[2] > weights[0]
    assert weights.min() >= 0.05


def test_doremi_gives_the_excess_more_weight_and_ignores_what_is_below_the_reference():
    weights = np.array(play(DoReMi(np.array([1.0, 9.0, 9.0]))).weights[-1])
    assert weights[0] > weights[1] == pytest.approx(weights[2])


def test_aioli_finds_the_linear_law_of_a_run_and_forgets_an_older_one():
    draw = np.random.default_rng(0)
    mixtures, old, new = draw.dirichlet(np.ones(3), size=40), *draw.normal(size=(2, 3, 3))
    drops = np.concatenate([mixtures[:20] @ old.T, mixtures[20:] @ new.T])
    assert law(mixtures, drops, memory=0.5) == pytest.approx(new, abs=0.02)


def test_aioli_sweeps_over_the_domains_and_then_follows_the_preference():
    courses = [play(Aioli(w)) for w in (0.1, 0.9)]
    swept = [[2 / 3, 1 / 6, 1 / 6], [1 / 6, 2 / 3, 1 / 6], [1 / 6, 1 / 6, 2 / 3]]
    assert np.array(courses[0].weights[:3]) == pytest.approx(np.array(swept))
    assert shares(courses[0])[-1] < 1 / 3 < shares(courses[1])[-1]


def test_a_policy_depends_on_the_course_alone():
    course = play(Odm())
    cut = Course(SETTING, course.weights[:3], course.losses[:4], course.rates[:4])
    assert cut.decide(Odm()).weights == course.weights[:4]


def test_a_course_survives_being_written():
    course = play(Schedule(0.9, 0.1))
    assert Course.from_dict(SETTING, course.to_dict()) == course


@given(st.lists(st.floats(0, 1), min_size=3, max_size=3), st.floats(0, 0.3), st.floats(0.4, 1))
@settings(deadline=None, max_examples=100)
def test_bounds_hold_and_ratios_off_the_bounds_are_kept(weights, low, high):
    given = np.array(weights) + 1e-3
    found = within(given, np.full(3, low), np.full(3, high))
    assert found.sum() == pytest.approx(1)
    assert found.min() >= low - 1e-6
    assert found.max() <= high + 1e-6
    for i, j in itertools.combinations(range(3), 2):
        if all(low + 1e-6 < found[k] < high - 1e-6 for k in (i, j)):
            assert found[i] / found[j] == pytest.approx(given[i] / given[j], rel=1e-4)


def test_bounds_that_no_mixture_meets_are_refused():
    with pytest.raises(ValueError, match=r"sum to 1\.2"):
        play(Static(0.5), setting(low=(0.4,) * 3, high=(1.0,) * 3))


def test_the_share_changes_no_faster_than_allowed():
    course = play(Schedule(1, 0, "step"), setting(max_change=0.25))
    assert shares(course) == pytest.approx([1, 1, 1, 0.75, 0.5, 0.25])
    assert course.notes == {3: "change limited", 4: "change limited", 5: "change limited"}


def test_the_breaker_clamps_the_share_while_the_sources_are_forgotten():
    course = play(Static(1.0), setting(forgetting_limit=0.15, breaker_share=0.1))
    assert shares(course)[:2] == [1, 1]
    assert shares(course)[2] == pytest.approx(0.1)
    assert course.notes[2] == "breaker tripped"


def test_the_known_course_beats_every_course_on_a_grid():
    small = setting(reweights=4)
    toy = Toy(small)
    best = np.stack([small.mixture(s) for s in toy.best(0.6)])
    known = value(play(Fixed(best), small), 0.6)
    for path in itertools.product(np.linspace(0, 1, 6), repeat=4):
        course = play(Fixed(np.stack([small.mixture(s) for s in path])), small)
        assert value(course, 0.6) <= known + 1e-12


def test_the_known_course_learns_first_and_heals_last():
    shares = Toy(SETTING).best(0.5)
    assert (np.diff(shares) < 0).all()
