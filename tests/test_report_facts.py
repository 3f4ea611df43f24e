"""The facts of a report against what is counted by hand or by brute force."""

import itertools
import math
from dataclasses import replace
from pathlib import Path

import histories
import numpy as np
import pytest

from automl import history as h
from automl import pareto
from automl.report import importance, noise, points, timeline
from automl.report.facts import facts
from automl.space import Float, Space
from automl.study import Resources


@pytest.fixture(scope="module")
def made():
    return histories.made(), histories.facts_of("made")


@pytest.mark.parametrize("name", histories.ODD)
def test_every_odd_study_has_facts(name):
    found = histories.facts_of(name)
    assert sum(found.states.values()) == found.trials
    assert all(point.feasible for point in found.front)


@pytest.mark.parametrize("name", ["empty", "none done", "all failed"])
def test_a_study_without_a_result_says_so(name):
    found = histories.facts_of(name)
    assert found.front == ()
    assert found.hypervolume == 0
    assert found.notes


def test_the_front_is_what_no_feasible_point_dominates():
    found = facts(histories.constrained(3))
    points = [p for p in found.points if p.metrics["latency_ms"] <= 5]
    costs = {p.label: np.array([-p.values[0], p.values[1], p.values[2]]) for p in points}
    expected = {
        label
        for label, mine in costs.items()
        if not any((c <= mine).all() and (c < mine).any() for c in costs.values())
    }
    assert {p.label for p in found.front} == expected


def test_the_label_of_a_further_point_is_its_trial_and_name(made):
    history, found = made
    trial = next(t for t in history.trials if t.points)
    labels = [p.label for p in found.points if p.trial == trial.number]
    assert labels == [str(trial.number), *(f"{trial.number}/{p.name}" for p in trial.points)]


def test_a_further_point_has_its_own_parameters_over_those_of_its_trial(made):
    history, found = made
    trial = next(t for t in history.trials if t.points)
    point = found.point(f"{trial.number}/density=0.05")
    assert point.params == {**trial.params, "pruning.density": 0.05}
    assert point.artifact.endswith("points/0.05.ckpt")


def test_the_trace_ends_at_the_hypervolume_and_at_everything_spent(made):
    history, found = made
    last = found.trace[-1]
    assert last.hypervolume == pytest.approx(found.hypervolume)
    assert last.front == len(found.front)
    assert last.trials == len(history.trials)
    assert last.seconds == pytest.approx(found.seconds)
    assert last.gpu_hours == pytest.approx(found.seconds / 3600)


def test_the_trace_after_each_trial_is_the_hypervolume_of_its_predecessors():
    history = histories.made(15)
    found = facts(history)
    ordered = sorted(history.trials, key=lambda t: (t.attempts[-1].ended, t.number))
    for count, step in enumerate(found.trace, start=1):
        early = {t.number for t in ordered[:count]}
        values = [p.values for p in found.points if p.trial in early]
        expected = pareto.hypervolume(values, [0.1, 200_000], history.study.goals)
        assert step.hypervolume == pytest.approx(expected)


def test_contributions_are_what_the_hypervolume_loses(made):
    history, found = made
    for point in found.front:
        rest = [p.values for p in found.points if p is not point]
        left = pareto.hypervolume(rest, [0.1, 200_000], history.study.goals)
        assert point.contribution == pytest.approx(found.hypervolume - left, abs=1e-6)


def test_the_gain_at_no_cost_is_the_best_among_those_not_worse_elsewhere(made):
    _, found = made
    default = found.point(found.default)
    free = [p.values[1] for p in found.points if p.values[0] >= default.values[0]]
    assert found.objectives[1].free == min(free)
    assert found.objectives[1].default == default.values[1]


def test_better_points_are_those_that_dominate_the_default(made):
    _, found = made
    accuracy, size = found.point(found.default).values
    better = [p for p in found.front if p.values[0] >= accuracy and p.values[1] <= size]
    assert found.better == len(better)


def test_a_point_that_lacks_an_objective_is_not_feasible_and_says_why():
    plain = histories.made(1)
    trial = h.Trial(1, "done", {}, "tpe", 1, plain.folder, {"parameters": 3.0})
    found = facts(histories.history(plain.study, plain.space, [*plain.trials, trial]))
    assert found.point("1").violated == ("val_accuracy is missing",)


def test_paths_below_the_working_directory_are_relative(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert points.shown(tmp_path / "runs" / "a") == "runs/a"
    assert points.shown(Path("/elsewhere/runs")) == "/elsewhere/runs"


def test_points_beyond_the_reference_are_on_the_front_but_nobody_is_advised_to_take_them():
    plain = histories.made(1)
    small = {"val_accuracy": 0.05, "parameters": 1.0}
    trial = h.Trial(1, "done", {}, "tpe", 1, plain.folder, small)
    found = facts(histories.history(plain.study, plain.space, [*plain.trials, trial]))
    assert [p.label for p in found.front] == ["0", "1"]
    assert [p.label for p in found.choices] == ["0"]
    assert found.objectives[1].best_at == "0"


def test_a_reference_is_taken_from_outside_when_it_is_given():
    found = facts(histories.made(), references=(0.5, 1e6))
    assert [o.ref for o in found.objectives] == [0.5, 1e6]


def test_the_union_of_intervals_equals_counting_seconds():
    draw = np.random.default_rng(0)
    for _ in range(50):
        starts = draw.integers(0, 40, 6)
        spans = [(int(a), int(a + b)) for a, b in zip(starts, draw.integers(0, 9, 6), strict=True)]
        seconds = set(itertools.chain.from_iterable(range(a, b) for a, b in spans))
        assert timeline.covered(spans) == len(seconds)


def test_an_attempt_that_never_had_a_device_is_on_none():
    made = histories.made()
    study = made.study.model_copy(update={"resources": Resources(gpus=1)})
    begun = h.Attempt(0, 1.0, 2.0, ("cpu",), "here", "lost")
    placed = h.Attempt(1, 2.0, 3.0, ("cuda:0",), "node", "done")
    trial = replace(made.trials[0], attempts=(begun, placed))
    spans = timeline.spans(replace(made, study=study, trials=(trial,)))
    assert [span.device for span in spans] == [timeline.NOWHERE, "node:cuda:0"]
    assert [one.name for one in timeline.devices(spans)] == ["node:cuda:0"]


def test_attempts_of_one_device_at_one_time_get_a_lane_each():
    spans = timeline.spans(histories.made())
    for a, b in itertools.combinations(spans, 2):
        same = (a.device, a.lane) == (b.device, b.lane)
        assert not (same and max(a.start, b.start) < min(a.end, b.end))


def test_an_attempt_that_goes_on_is_drawn_to_the_last_moment_known():
    (span,) = timeline.spans(histories.none_done())
    assert span.end == 6.0  # what the running trial reported last


def test_failures_are_grouped_by_kind_the_most_frequent_first():
    groups = facts(histories.all_failed()).failures
    assert [(g.kind, len(g.trials)) for g in groups] == [("nan", 3), ("oom", 3)]


def test_importance_finds_the_parameters_that_a_metric_is_made_of(made):
    _, found = made
    by_name = {item.objective: item for item in found.importance}
    top = {i.parameter for i in by_name["parameters"].influences[:2]}
    assert top == {"model.width", "pruning.density"}


def test_importance_of_an_additive_function_is_its_share_of_the_variance():
    draw = np.random.default_rng(0)
    codes = draw.random((1500, 3))
    target = 3 * codes[:, 0] + codes[:, 1]
    explained, losses = importance.shuffled(codes, target, np.arange(1500))
    assert explained > 0.95
    assert losses.mean(axis=0) == pytest.approx([0.9, 0.1, 0.0], abs=0.06)


def test_importance_of_pure_noise_is_not_told():
    plain, draw = histories.made(60), np.random.default_rng(0)
    trials = [
        h.Trial(
            t.number, "done", t.params, "tpe", t.number, t.folder,
            {"val_accuracy": draw.random(), "parameters": draw.random()},
        )
        for t in plain.trials
    ]  # fmt: skip
    found = facts(histories.history(plain.study, plain.space, trials))
    assert [item.influences for item in found.importance] == [(), ()]
    assert all("Too few trials to tell" in item.note for item in found.importance)


def test_importance_of_few_trials_is_not_told():
    found = facts(histories.made(10))
    assert all("are needed" in item.note for item in found.importance)


def test_a_conditional_parameter_is_shuffled_only_where_it_holds():
    codes = np.array([[1.0, np.nan], [2.0, 5.0], [3.0, 6.0], [4.0, np.nan]])
    changed = importance.permuted(codes, ~np.isnan(codes), 1, np.random.default_rng(1))
    assert np.isnan(changed[[0, 3], 1]).all()
    assert sorted(changed[[1, 2], 1]) == [5.0, 6.0]


def test_ranks_have_the_mean_rank_for_ties():
    assert importance.rank_of(np.array([3.0, 1.0, 3.0, 2.0])) == pytest.approx(
        [5 / 6, 0, 5 / 6, 1 / 3]
    )


def test_noise_is_not_measured_where_no_setting_was_repeated(made):
    assert made[1].noise.method.startswith("Not measured")
    assert made[1].noise.chances == ()


def test_the_deviation_between_seeds_is_pooled_over_settings():
    history = histories.repeated()
    found = facts(history)
    groups = [[p for p in found.points if not p.name][i : i + 3] for i in range(0, 36, 3)]
    within = [np.var([p.values[0] for p in group], ddof=1) for group in groups]
    settings = noise.settings(history, [p for p in found.points if not p.name])
    assert [len(group) for group in settings] == [3] * 12
    assert noise.pooled(groups, 2)[0] == pytest.approx(math.sqrt(np.mean(within)))


def test_a_point_that_was_trained_again_has_its_noise_from_there():
    history = histories.made()
    point = histories.facts_of("made").front[0]
    again = [
        h.Trial(
            n, "done", point.params, "random", 1000 + n, history.folder,
            {"val_accuracy": 0.9 + n / 100, "parameters": 5000},
        )
        for n in range(4)
    ]  # fmt: skip
    plan = histories.study(2, name="digits-front-point")
    found = facts(history, again=[histories.history(plan, history.space, again)])
    (repeat,) = found.noise.repeats
    assert (repeat.labels, repeat.runs) == ((point.label,), 5)
    assert repeat.means[0] == pytest.approx((point.values[0] + 3.66) / 5)
    assert {label for label, _ in found.noise.chances} == {p.label for p in found.front}


def test_a_point_far_ahead_is_surely_non_dominated_and_a_tie_is_not():
    space = Space({"x": Float(0, 1)})
    plan = histories.study(1, objectives={"val_accuracy": {"goal": "maximize", "ref": 0}})
    values = [0.9, 0.9001, 0.2]
    trials = [
        h.Trial(
            n, "done", {"x": n / 10}, "tpe", n, Path(),
            {"val_accuracy": value, "val_accuracy_se": 0.01},
        )
        for n, value in enumerate(values)
    ]  # fmt: skip
    ((label, chance),) = facts(histories.history(plan, space, trials)).noise.chances
    assert label == "1"
    assert chance == pytest.approx(0.5, abs=0.1)


def test_secrets_of_a_study_are_not_in_its_facts():
    found = histories.facts_of("hostile")
    texts = [found.resolved, found.failures[0].traceback, *found.provenance.values()]
    assert "s3cr3t" not in "".join(texts)
