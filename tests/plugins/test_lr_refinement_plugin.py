"""The plugin in a trial: explore, refine, train, confirm, report."""

import math
import re
import subprocess
import sys

import numpy as np
import pytest
from plugins.lr_refinement_toys import QUIET, Ear, study, trial, used

import automl
from automl import stages
from automl.job import JobSpec
from automl.space import Space
from automl_lr_refinement import LrRefinement, norms, schedules
from automl_lr_refinement.options import Options, space

pytestmark = [pytest.mark.filterwarnings(f"ignore:{text}") for text in QUIET]


def steps(folder, phase):
    return norms.load(folder / "0" / "lr_refinement" / f"{phase}.npz")[0].steps


def test_a_refined_trial_explores_a_quarter_and_counts_it(tmp_path):
    ear = Ear()
    outcome = trial(tmp_path, ear, shape="refined")
    assert (steps(tmp_path, "explore-1"), steps(tmp_path, "train")) == (10, 40)
    assert outcome.metrics["optimizer_steps"] == 50
    assert [step for step, _ in ear.heard] == [1, 2, 3, 4]


def test_an_analytic_trial_trains_once(tmp_path):
    outcome = trial(tmp_path, shape="wsd")
    assert outcome.metrics["optimizer_steps"] == 40
    assert used(tmp_path).label == "wsd, last 20% decaying, warm-up 5%"


def test_exploring_leaves_no_trace_in_the_training(tmp_path):
    plain, explored = tmp_path / "a", tmp_path / "b"
    for folder in (plain, explored):
        folder.mkdir()
    first = trial(plain, shape="linear", warmup=0.0)
    second = trial(explored, shape="refined", strength=0.0, explore=1.0)
    assert second.metrics["val_loss"] == pytest.approx(first.metrics["val_loss"], rel=1e-5)


def test_the_schedule_comes_from_the_norms_of_the_exploration(tmp_path):
    trial(tmp_path, shape="refined", fallback=False, guard=0)
    path = tmp_path / "0" / "lr_refinement" / "explore-1.npz"
    (log,) = norms.load(path)
    from automl_lr_refinement import refine

    want = refine.schedule(log.effective("l2"), 2, preset="paper")
    np.testing.assert_allclose(used(tmp_path).table, want)
    assert used(tmp_path).provenance["parent"]["sha256"] == log.sha256()


def test_a_second_round_refines_a_run_under_the_first(tmp_path):
    trial(tmp_path, shape="refined", rounds=2, fallback=False)
    assert used(tmp_path).provenance["round"] == 2
    (second,) = norms.load(tmp_path / "0" / "lr_refinement" / "explore-2.npz")
    assert not np.allclose(second.lr[:, 0], 0.1 * (1 - np.arange(10) / 10))


@pytest.mark.parametrize(("under", "last"), [("linear", 0.01), ("constant", 0.1)])
def test_the_exploration_follows_the_schedule_of_the_options(tmp_path, under, last):
    trial(tmp_path, shape="refined", explore_under=under)
    (log,) = norms.load(tmp_path / "0" / "lr_refinement" / "explore-1.npz")
    assert log.lr[-1, 0] == pytest.approx(last)


def test_a_study_can_explore_once_for_all_trials(tmp_path):
    (tmp_path / "shared").mkdir()
    trial(tmp_path, kind="prepare", base="study", shape="refined")
    shared = tmp_path / "shared" / "lr_refinement" / "explore-1.npz"
    assert norms.load(shared)[0].steps == 10
    outcome = trial(tmp_path, base="study", shape="refined")
    assert (
        used(tmp_path).provenance["parent"]["norms"] == "../../shared/lr_refinement/explore-1.npz"
    )
    assert outcome.metrics["optimizer_steps"] == 50


@pytest.mark.parametrize("patience", [3, 30, 60])
def test_a_stopped_trial_ends_wherever_it_is(tmp_path, patience):
    outcome = trial(tmp_path, Ear(patience), shape="refined", confirm=3)
    assert outcome.state == "stopped"


def test_an_attempt_goes_on_where_the_last_one_was_killed(tmp_path):
    whole = trial(tmp_path, shape="refined")
    (tmp_path / "0" / "lr_refinement" / "used-0.json").unlink()
    again = trial(tmp_path, attempt=1, shape="refined")
    assert again.metrics["optimizer_steps"] == 50
    assert again.metrics["val_loss"] == pytest.approx(whole.metrics["val_loss"])


def test_each_optimizer_has_a_schedule_of_its_own(tmp_path):
    trial(tmp_path, model="Pair", shape="refined", fallback=False)
    folder = tmp_path / "0" / "lr_refinement"
    pair = [schedules.Schedule.read(folder / f"used-{n}.json") for n in (0, 1)]
    assert [one.provenance["norm"] for one in pair] == ["l2", "l1"]


def test_a_scheduler_of_the_model_is_an_error_of_the_study_in_words(tmp_path):
    outcome = trial(tmp_path, model="Scheduled", shape="linear")
    assert "own_scheduler: replace" in outcome.message
    assert trial(tmp_path, model="Scheduled", own_scheduler="replace").state == "done"


@pytest.mark.parametrize("model", ["Line", "Scheduled"])
def test_a_plan_finds_a_scheduler_that_would_fight(tmp_path, model):
    outcome = trial(tmp_path, kind="smoke", model=model, shape="linear")
    assert (outcome.state, "own_scheduler: replace" in outcome.message) in {
        "Line": [("done", False)],
        "Scheduled": [("broken", True)],
    }[model]


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ({"trainer": {"max_epochs": -1}}, "broken"),
        ({"trainer": {"max_time": "00:00:01:00"}}, "broken"),
        ({"trainer": {"max_steps": 9}}, "done"),
        ({"trainer": {}, "fidelity": {"unit": "epoch", "min": 1, "max": 2}}, "done"),
    ],
)
def test_a_plan_finds_a_training_without_an_end(tmp_path, change, state):
    asked = automl.Study.model_validate(study(shape="linear").model_dump() | change)
    spec = JobSpec(asked, "smoke", 0, 0, {}, 7, tmp_path, tmp_path, tmp_path)
    outcome = stages.run(spec, Ear())
    assert (outcome.state, "no known end" in outcome.message) == (state, state == "broken")


def test_an_optimizer_that_rests_while_exploring_is_an_error_in_words(tmp_path):
    outcome = trial(tmp_path, model="Late", shape="refined")
    assert "AdamW made no step in the exploratory run, which is 25%" in outcome.message


def test_an_exploration_without_a_finite_gradient_is_a_failure_that_teaches(tmp_path):
    outcome = trial(tmp_path, model="Broken", shape="refined")
    assert outcome.failure.kind == "nan"
    assert "no gradient of SGD was finite" in outcome.failure.message


def test_the_shape_decides_what_else_is_searched():
    proposed = space(Options())
    assert Space(proposed).default() == {"shape": "linear", "peak": 1.0, "warmup": 0.05}
    refined = {"tau", "strength", "guard", "explore", "rounds"}
    assert {n for n, one in proposed.items() if one.when == {"shape": ("refined",)}} == refined


def test_a_shape_that_the_study_sets_is_searched_without_conditions():
    proposed = space(Options(shape="refined", base="study"))
    assert set(proposed) == {"peak", "tau", "strength", "guard", "rounds"}
    assert not Space(proposed).conditional()


@pytest.mark.parametrize(
    ("options", "space", "grace"),
    [
        ({}, {}, math.inf),
        ({"shape": "linear"}, {}, 0.0),
        ({"shape": "refined"}, {}, math.inf),
        ({"shape": "linear"}, {"lr_refinement.shape": {"choice": ["linear", "wsd"]}}, math.inf),
    ],
)
def test_no_trial_is_stopped_early_where_shapes_differ(options, space, grace):
    asked = study(**options).model_copy(update={"space": space})
    assert LrRefinement(Options(**options)).grace(asked) == grace


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"shape": "cosine"}, "cosine, warm-up 5%"),
        ({"confirm": 5}, "1.25 times.*At least 26 trainings more"),
        ({"rounds": 2}, "2 exploratory runs.*Not compared with linear decay"),
    ],
)
def test_the_plan_shows_the_schedule_or_what_it_will_cost(tmp_path, options, words):
    outcome = trial(tmp_path, kind="smoke", **options)
    (_, section) = outcome.result["previews"][0]
    (part,) = section.parts
    assert re.search(words, getattr(part, "alt", getattr(part, "text", "")))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"shape": "wsd", "warmup": 0.5, "decay": 0.6}, "exceed the training"),
        ({"confirm": 2}, "3 seeds or more"),
        ({"taus": 0.1}, "taus"),
    ],
)
def test_options_that_mean_nothing_are_refused(given, words):
    with pytest.raises(ValueError, match=words):
        Options(**given)


def test_the_driver_needs_no_torch_for_this_plugin():
    code = (
        "import sys, automl_lr_refinement as p, automl_lr_refinement.report;"
        "p.LrRefinement(p.LrRefinement.Options()).space(); print(*sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "pytorch_lightning", "pandas", "sklearn"} & set(found.stdout.split())
