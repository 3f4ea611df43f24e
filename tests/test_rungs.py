"""Early stopping: facts that hold for every order in which reports arrive."""

import math
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automl.pareto import non_dominated, ranks
from automl.places import epsilon_net, hypervolume_order, place, scaled
from automl.rungs import Rungs, completed, levels, rung_of
from automl.study import Constraint, Fidelity, Objective

ONE = {"accuracy": Objective(goal="maximize")}
TWO = ONE | {"parameters": Objective(goal="minimize")}
NAMES = ("a", "b", "c", "d")
EXAMPLES = settings(max_examples=30, deadline=None)  # a loaded machine has no deadlines

curves = st.lists(
    st.lists(st.integers(0, 20), min_size=9, max_size=9), min_size=1, max_size=12
)  # one accuracy an epoch, of each trial


def rungs(objectives=ONE, constraints=None, *, seed=0, not_before=0.0, **fidelity):
    settings = Fidelity(**{"min": 1, "max": 9, "eta": 3} | fidelity)
    return Rungs(settings, objectives, constraints, seed=seed, not_before=not_before)


def mixed(curves, seed):
    """Return (trial, epoch, accuracy) so that each trial's own epochs are in order."""
    rng = np.random.default_rng(seed)
    todo = {trial: iter(enumerate(curve, 1)) for trial, curve in enumerate(curves)}
    events = []
    while todo:
        trial = int(rng.choice(list(todo)))
        if (following := next(todo[trial], None)) is None:
            del todo[trial]
        else:
            events.append((trial, *following))
    return events


def run(stopping, events, metrics=lambda _, value: {"accuracy": value}):
    """Report until each trial is stopped; return the decisions, and the stopped trials."""
    decisions, stopped = [], set()
    for trial, epoch, value in events:
        if trial not in stopped:
            decisions.append(stopping.report(trial, epoch, metrics(trial, value)))
            stopped |= set() if decisions[-1].goes_on else {trial}
    return decisions, stopped


@EXAMPLES
@given(curves, st.integers(0, 99))
def test_nothing_is_stopped_before_the_first_rung(curves, seed):
    decisions, _ = run(rungs(min=4), mixed(curves, seed))
    assert all(decision.goes_on for decision in decisions if decision.step < 4)


@EXAMPLES
@given(curves, st.integers(0, 99))
def test_nothing_is_stopped_within_the_grace_of_a_plugin(curves, seed):
    decisions, _ = run(rungs(not_before=6), mixed(curves, seed))
    assert all(decision.goes_on for decision in decisions if decision.step < 6)


@EXAMPLES
@given(curves, st.integers(0, 99))
def test_each_decision_is_that_of_halving_those_who_have_come(curves, seed):
    stopping, came, stopped = rungs(), {1: [], 3: []}, set()
    for trial, epoch, value in mixed(curves, seed):
        if trial in stopped:
            continue
        decision = stopping.report(trial, epoch, {"accuracy": value})
        if epoch in came:
            came[epoch].append(value)
            order = sorted(range(len(came[epoch])), key=lambda i: -came[epoch][i])  # stable
            survivors = order[: math.ceil(len(order) / 3)]
            assert decision.goes_on == (len(order) - 1 in survivors)
        else:
            assert decision.goes_on
        stopped |= set() if decision.goes_on else {trial}


@pytest.mark.parametrize("order", list(permutations([0.1, 0.2, 0.3, 0.4, 0.5])))
def test_whoever_comes_last_is_judged_as_if_all_had_waited(order):
    stopping = rungs(eta=2)
    decisions = [stopping.report(t, 1, {"accuracy": a}) for t, a in enumerate(order)]
    assert decisions[-1].goes_on == (order[-1] in {0.3, 0.4, 0.5})


@EXAMPLES
@given(curves, st.integers(0, 99), st.sampled_from([2, 3, 4.5]))
def test_the_best_of_each_rung_go_on_in_every_order(curves, seed, eta):
    stopping = rungs(eta=eta)
    decisions, _ = run(stopping, mixed(curves, seed))
    for decision in decisions:
        if decision.rung is not None and decision.position <= decision.among / eta:
            assert decision.goes_on


@EXAMPLES
@given(curves, st.integers(0, 99))
def test_with_two_objectives_the_front_of_each_rung_goes_on(curves, seed):
    stopping = rungs(TWO)
    sizes = {trial: (7 * trial) % 5 for trial in range(len(curves))}
    came = {1: [], 3: []}
    stopped = set()
    for trial, epoch, value in mixed(curves, seed):
        if trial in stopped:
            continue
        point = {"accuracy": value, "parameters": sizes[trial]}
        decision = stopping.report(trial, epoch, point)
        if epoch in came:
            came[epoch].append(tuple(point.values()))
            front = non_dominated(came[epoch], ("maximize", "minimize"))
            depth = ranks(came[epoch], ("maximize", "minimize"))
            better = (depth < depth[-1]).sum()
            new = came[epoch].count(came[epoch][-1]) == 1
            assert decision.goes_on or not (front[-1] and new)
            assert decision.goes_on or better + (depth == depth[-1]).sum() > len(front) / 3
            assert decision.among == len(front)
        stopped |= set() if decision.goes_on else {trial}


def test_with_four_objectives_a_front_of_all_is_cut_by_its_order():
    stopping = rungs({name: Objective(goal="minimize") for name in NAMES}, eta=2)
    decisions = [
        stopping.report(trial, 1, dict(zip(NAMES, row, strict=True)))
        for trial, row in enumerate(np.eye(4) * 3 + 1)
    ]
    assert [decision.kept for decision in decisions] == [1, 1, 2, 2]
    assert not all(decision.goes_on for decision in decisions)


@EXAMPLES
@given(curves, st.integers(0, 99), st.integers(0, 40))
def test_recorded_reports_rebuild_the_rungs(curves, seed, cut):
    events = mixed(curves, seed)
    whole, again = rungs(spare=0.5, brackets=2), rungs(spare=0.5, brackets=2)
    expected, _ = run(whole, events)
    recorded = [(d.trial, d.step, curves[d.trial][int(d.step) - 1]) for d in expected]
    for trial, epoch, value in recorded[:cut]:
        again.recall(trial, epoch, {"accuracy": value})
    got = [again.report(t, e, {"accuracy": v}) for t, e, v in recorded[cut:]]
    assert got == expected[cut:]
    assert again.spared == whole.spared


def test_a_retried_trial_keeps_its_first_place_at_a_rung():
    stopping = rungs()
    for accuracy in (0.5, 0.1):
        assert stopping.report(0, 1, {"accuracy": accuracy}).goes_on
    assert not stopping.report(1, 1, {"accuracy": 0.3}).goes_on


def test_the_lowest_loss_goes_on_when_the_goal_is_to_minimize():
    stopping = rungs({"loss": Objective(goal="minimize")})
    fates = [stopping.report(t, 1, {"loss": loss}).goes_on for t, loss in enumerate((3, 4, 2))]
    assert fates == [True, False, True]


@pytest.mark.parametrize("objectives", [ONE, TWO])
def test_what_is_not_a_number_comes_last(objectives):
    stopping = rungs(objectives)
    for trial in range(2):
        stopping.report(trial, 1, {"accuracy": 0.1 * trial, "parameters": 1 + trial})
    assert not stopping.report(2, 1, {"accuracy": math.nan, "parameters": 0}).goes_on


def test_infeasible_trials_come_after_all_feasible_ones():
    stopping = rungs(constraints={"latency": Constraint(max=5)})
    assert stopping.report(0, 1, {"accuracy": 0.1, "latency": 4}).goes_on
    worst = stopping.report(1, 1, {"accuracy": 0.9, "latency": 20})
    bad = stopping.report(2, 1, {"accuracy": 0.9, "latency": 6})
    assert (worst.goes_on, worst.position, bad.position) == (False, 2, 2)
    assert stopping.report(3, 1, {"accuracy": 0.2, "latency": math.nan}).position == 4


def test_the_least_infeasible_go_on_where_none_is_feasible():
    stopping = rungs(constraints={"latency": Constraint(max=5)})
    fates = [
        stopping.report(t, 1, {"latency": v, "accuracy": 0}).goes_on
        for t, v in enumerate((9, 8, 30))
    ]
    assert fates == [True, True, False]


def test_a_cost_known_from_the_start_counts_at_the_first_rung():
    stopping = rungs(TWO)
    for trial, size in enumerate((100, 10, 200)):
        assert stopping.report(trial, 0, {"parameters": size}).goes_on
    fates = [stopping.report(t, 1, {"accuracy": 0.5}) for t in range(3)]
    assert [fate.goes_on for fate in fates] == [True, True, False]
    assert fates[2].ignored == ()


def test_objectives_known_only_at_the_end_are_left_out_and_named():
    stopping = rungs(TWO)
    stopping.report(0, 1, {"accuracy": 0.9})
    decision = stopping.report(1, 1, {"accuracy": 0.5})
    assert decision.ignored == ("parameters",)
    assert str(decision) == (
        "trial 1 is stopped at 1: place 2 of 2 at rung 1, which keeps 1, without parameters"
    )


def test_a_trial_without_any_objective_goes_on():
    stopping = rungs(TWO)
    for trial in range(6):
        assert stopping.report(trial, 3, {"train_loss": trial}).goes_on


def test_those_who_do_not_know_an_objective_are_no_rivals():
    stopping = rungs(TWO)
    stopping.report(0, 1, {"accuracy": 0.9})
    assert stopping.report(1, 1, {"accuracy": 0.5, "parameters": 3}).among == 1


def test_a_spared_trial_finishes_and_is_no_rival_later():
    stopping = rungs(spare=1.0)
    stopping.report(0, 1, {"accuracy": 0.5})
    weak = stopping.report(1, 1, {"accuracy": 0.4})
    assert (weak.goes_on, weak.spared) == (True, True)
    assert all(stopping.report(1, epoch, {"accuracy": 0.9}).goes_on for epoch in range(2, 10))
    assert stopping.report(0, 3, {"accuracy": 0.5}).among == 1


def test_about_the_fraction_asked_for_is_spared():
    stopping = rungs(spare=0.2)
    stopping.report(0, 1, {"accuracy": 1.0})
    spared = [stopping.report(trial, 1, {"accuracy": 0.0}).spared for trial in range(1, 401)]
    assert 50 < sum(spared) < 110


def test_brackets_start_a_rung_later_each_and_share_no_rivals():
    stopping = rungs(brackets=2)
    late = [trial for trial in range(40) if stopping.bracket(trial) == 1]
    early = [trial for trial in range(40) if stopping.bracket(trial) == 0]
    for trial in range(40):
        decision = stopping.report(trial, 1, {"accuracy": -trial})
        assert decision.rung == (None if trial in late else 1)
    assert stopping.report(late[0], 3, {"accuracy": 0}).among == 1
    assert stopping.report(early[0], 3, {"accuracy": 0}).among == 1


def test_brackets_have_the_sizes_of_hyperband():
    stopping = rungs(brackets=3)
    counts = np.bincount([stopping.bracket(trial) for trial in range(6000)])
    weights = np.array([9 / 3, 3 / 2, 1 / 1])
    assert counts / 6000 == pytest.approx(weights / weights.sum(), abs=0.02)


@pytest.mark.parametrize(
    ("step", "settings", "rung"),
    [
        (0.5, {}, None),
        (1, {}, 0),
        (2.999999, {}, 0),
        (3, {}, 1),
        (9, {}, 1),
        (9, {"max": 10}, 2),
        (1000, {"max": None}, 6),
        (3, {"max": 1}, None),
        (0.1 + 0.2, {"min": 0.1, "max": 1.0}, 1),
        (2.5, {"eta": 2.5}, 1),
    ],
)
def test_a_rung_is_reached_with_its_progress(step, settings, rung):
    assert rung_of(step, Fidelity(**{"min": 1, "max": 9, "eta": 3} | settings)) == rung


@pytest.mark.parametrize(
    ("given", "trainer", "end"),
    [
        ({"max": None}, {"max_epochs": 9}, 9),
        ({"max": 4}, {"max_epochs": 9}, 4),
        ({"max": None}, {"max_epochs": -1}, None),
        ({"max": None}, {}, None),
        ({"max": None, "unit": "step"}, {"max_steps": 500, "max_epochs": 3}, 500),
        ({"max": None, "unit": "seconds"}, {"max_epochs": 3}, None),
    ],
)
def test_the_end_of_a_trial_is_that_of_its_trainer_unless_given(given, trainer, end):
    assert completed(Fidelity(**given), trainer).max == end


def test_there_is_no_rung_at_the_end():
    assert levels(Fidelity(min=1, max=27, eta=3), 27) == (1, 3, 9)
    assert levels(Fidelity(min=1, max=8, eta=3), 8) == (1, 3)
    assert levels(Fidelity(min=5, max=5, eta=3), 5) == ()


@pytest.mark.parametrize(
    ("given", "trainer", "first"),
    [
        ({"max": 27}, {}, 3),
        ({}, {"max_epochs": 45}, 5),
        ({"max": 4}, {}, 1),
        ({}, {}, 1),
        ({"unit": "step"}, {"max_steps": 900}, 100),
        ({"unit": "seconds", "max": 4.5}, {}, 0.5),
        ({"unit": "seconds"}, {}, 1),
        ({"min": 1, "max": 27}, {}, 1),
    ],
)
def test_the_first_rung_is_at_a_ninth_of_a_trial_unless_the_study_says_where(given, trainer, first):
    assert completed(Fidelity(**given), trainer).first == first


def test_a_report_beyond_several_rungs_counts_at_the_highest():
    stopping = rungs()
    assert stopping.report(0, 1, {"accuracy": 0.9}).rung == 1
    assert stopping.report(1, 5, {"accuracy": 0.1}).rung == 3


@pytest.mark.parametrize("order", [epsilon_net, hypervolume_order])
def test_an_order_names_each_point_once(order):
    front = scaled(np.random.default_rng(0).random((9, 3)))
    assert sorted(order(front)) == list(range(9))


def test_the_epsilon_net_takes_the_furthest_point_next():
    x = np.array([0.0, 0.1, 0.5, 0.9, 1.0])
    front = np.column_stack([x, (1 - x) ** 2])
    order = epsilon_net(front)
    for k in range(1, 5):
        distance = np.linalg.norm(front[:, None] - front[order[:k]], axis=2).min(1)
        assert distance[order[k]] == pytest.approx(distance.max())
    assert order[0] == 2


def test_the_hypervolume_order_adds_the_most_volume_next():
    front = np.array([[0.0, 1.0], [0.3, 0.3], [1.0, 0.0], [0.31, 0.29]])
    assert hypervolume_order(front)[0] == 1  # 0.8 * 0.8 of the reference 1.1
    assert hypervolume_order(front)[-1] == 3


def test_a_front_is_scaled_and_infinities_are_drawn_in():
    front = np.array([[1.0, np.inf], [3.0, 5.0], [np.inf, 4.0]])
    assert scaled(front).tolist() == [[0.0, 1.0], [1.0, 1.0], [1.0, 0.0]]
    assert scaled(np.full((2, 2), np.inf)).tolist() == [[1.0, 1.0], [1.0, 1.0]]


def test_of_equal_trials_only_the_first_are_kept():
    one, two = rungs(), rungs(TWO)
    equal = {"accuracy": 0.1, "parameters": 5}
    assert sum(one.report(trial, 1, equal).goes_on for trial in range(9)) == 1
    assert sum(two.report(trial, 1, equal).goes_on for trial in range(9)) == 1


@EXAMPLES
@given(
    st.lists(st.tuples(*[st.integers(0, 3)] * 4), min_size=1, max_size=10),
    st.integers(1, 10),
    st.integers(2, 4),
)
def test_as_many_as_are_kept_have_a_place_among_the_kept(points, least, objectives):
    values = np.array(points, dtype=float)[:, :objectives]
    goals, none = ("minimize",) * objectives, np.zeros(len(points))
    for order in ("epsilon-net", "hypervolume"):
        places = [
            place(i, values, none, goals, least=least, order=order) for i in range(len(points))
        ]
        kept = min(places[0].kept, len(points))
        assert sum(found.position <= found.kept for found in places) == kept
        assert places[0].kept >= least


def test_a_rung_has_room_for_hundreds():
    stopping = rungs(TWO)
    for trial in range(300):
        metrics = {"accuracy": 1 / (1 + trial), "parameters": trial}
        last = stopping.report(trial, 1, metrics)
    assert (last.position, last.among, last.kept) == (300, 300, 100)
