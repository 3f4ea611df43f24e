"""The plugin in a trial: explore, refine, train, confirm, report."""

import json
import math
import re
import subprocess
import sys
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from plugins.lr_refinement_toys import QUIET

import automl
from automl import stages
from automl.history import History, Report, Trial
from automl.job import JobSpec
from automl.space import Space
from automl_lr_refinement import LrRefinement, norms, schedules, verdict
from automl_lr_refinement.options import Options, space
from automl_lr_refinement.report import sections

pytestmark = [pytest.mark.filterwarnings(f"ignore:{text}") for text in QUIET]
TOYS = "plugins.lr_refinement_toys"


def study(model="Line", **options):
    """A study of least squares with this plugin."""
    return automl.Study.model_validate(
        {
            "name": "toy",
            "model": {"class_path": f"{TOYS}.{model}"},
            "data": {"class_path": f"{TOYS}.Batches"},
            "trainer": {"max_epochs": 4},
            "plugins": {"lr_refinement": options},
            "objectives": {"val_loss": {"goal": "minimize"}},
            "budget": {"trials": 1},
        }
    )


@dataclass
class Ear:
    """The driver's end of a line; asks to stop when it was asked often enough."""

    patience: float = float("inf")
    heard: list = field(default_factory=list)

    def report(self, step, metrics):
        self.heard.append((step, metrics))

    def stopped(self):
        self.patience -= 1
        return self.patience < 0


def trial(folder, ear=None, *, kind="trial", attempt=0, model="Line", **options):
    """Run one trial in this process."""
    spec = JobSpec(
        study(model, **options), kind, 0, attempt, {}, 7, folder / "0", folder / "shared", folder
    )
    spec.folder.mkdir(exist_ok=True)
    return stages.run(spec, ear or Ear())


def steps(folder, phase):
    return norms.load(folder / "0" / "lr_refinement" / f"{phase}.npz")[0].steps


def used(folder):
    return schedules.Schedule.read(folder / "0" / "lr_refinement" / "used-0.json")


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
    assert used(tmp_path).provenance["parent"]["norms"] == str(shared)
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


def test_a_confirmed_verdict_decides_what_is_exported(tmp_path):
    trial(tmp_path, shape="refined", confirm=3, fallback=False)
    folder = tmp_path / "0" / "lr_refinement"
    compared = verdict.read(folder / "confirm.json")
    exported = schedules.Schedule.read(folder / "schedule.json")
    assert len(set(compared.linear)) == 3
    assert exported.label.startswith("refined") == (compared.case() == "better")
    assert exported.provenance["confirmation"] == compared.text()


def test_linear_decay_has_its_own_best_peak_in_a_comparison(tmp_path):
    trial(tmp_path, shape="refined", confirm=3, fallback=False, peak=0.5, control_warmup=0.3)
    compared = verdict.read(tmp_path / "0" / "lr_refinement" / "confirm.json")
    assert compared.control_peak > compared.peak == 0.5
    (log,) = norms.load(tmp_path / "0" / "lr_refinement" / "confirm-3-linear-1.npz")
    np.testing.assert_allclose(log.lr[[0, 12], 0], [0, 0.1], rtol=1e-2)
    assert "a warm-up of 30%" in compared.text()


def test_a_degenerate_schedule_is_not_compared_with_itself(tmp_path):
    trial(tmp_path, shape="refined", confirm=3)
    folder = tmp_path / "0" / "lr_refinement"
    assert not (folder / "confirm.json").exists()
    exported = schedules.Schedule.read(folder / "schedule.json")
    assert exported.provenance["confirmation"] == "refined is linear decay"


def test_a_refined_schedule_that_nothing_confirmed_is_not_exported(tmp_path):
    trial(tmp_path, shape="refined", fallback=False)
    path = tmp_path / "0" / "lr_refinement" / "schedule.json"
    assert json.loads(path.read_text())["label"] == "linear"


def test_each_optimizer_has_a_schedule_of_its_own(tmp_path):
    trial(tmp_path, model="Pair", shape="refined", fallback=False)
    folder = tmp_path / "0" / "lr_refinement"
    pair = [schedules.Schedule.read(folder / f"used-{n}.json") for n in (0, 1)]
    assert [one.provenance["norm"] for one in pair] == ["l2", "l1"]


def test_a_scheduler_of_the_model_is_an_error_of_the_study_in_words(tmp_path):
    outcome = trial(tmp_path, model="Scheduled", shape="linear")
    assert "own_scheduler: replace" in outcome.message
    assert trial(tmp_path, model="Scheduled", own_scheduler="replace").state == "done"


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
    [({"shape": "cosine"}, "cosine, warm-up 5%"), ({"confirm": 5}, "1.25 times.*20 trainings")],
)
def test_the_plan_shows_the_schedule_or_what_it_will_cost(options, words):
    ((part,),) = (one.parts for one in LrRefinement(Options(**options)).preview(None))
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


def history(tmp_path, **options):
    """What the driver knows after two trials."""
    trials = []
    for number, shape in enumerate(("linear", "refined")):
        folder = tmp_path / shape
        folder.mkdir()
        ear = Ear()
        outcome = trial(folder, ear, shape=shape, **(options if shape == "refined" else {}))
        params = {"lr_refinement.shape": shape, "lr_refinement.peak": 1.0}
        told = tuple(Report(step, 0.0, metrics) for step, metrics in ear.heard)
        trials.append(
            Trial(number, "done", params, "default", 7, folder / "0", outcome.metrics, (), told)
        )
    return History(study(**options), Space({}), tuple(trials), tmp_path)


def test_the_report_shows_norms_schedules_peaks_curves_and_the_verdict(tmp_path):
    (section,) = sections(history(tmp_path, confirm=3, fallback=False), Options())
    titles = [getattr(part, "title", "") for part in section.parts]
    assert titles[1:] == [
        "Refined against linear decay on fresh seeds",
        "Best trial of each shape",
        "Schedules",
        "Gradient norms of the exploratory run",
        "Peak learning rate",
        "Course of training",
    ]
    assert "Of 1 refined schedules that were compared" in section.parts[0].text
    assert "warm-up" in section.parts[3].alt
    assert [one.style for one in section.parts[5].series] == ["points", "points"]


def test_the_report_says_when_nothing_was_confirmed(tmp_path):
    (section,) = sections(history(tmp_path, fallback=False), Options())
    assert "not compared with linear decay on fresh seeds" in section.parts[0].text


def test_the_report_says_why_a_schedule_was_degenerate(tmp_path):
    (section,) = sections(history(tmp_path), Options())
    assert re.search(r"degenerate in 1 of 1 trials.*of training", section.parts[0].text)


def test_the_report_compares_what_training_ended_with(tmp_path):
    found = history(tmp_path)
    pruned = tuple(replace(one, metrics={**one.metrics, "val_loss": 9.0}) for one in found.trials)
    (section,) = sections(replace(found, trials=pruned), Options())
    assert max(row[3] for row in section.parts[1].rows) < 9


def test_a_study_without_finished_trials_has_no_section(tmp_path):
    assert sections(History(study(), Space({}), (), tmp_path), Options()) == []


def test_the_driver_needs_no_torch_for_this_plugin():
    code = (
        "import sys, automl_lr_refinement as p, automl_lr_refinement.report;"
        "p.LrRefinement(p.LrRefinement.Options()).space(); print(*sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "pytorch_lightning", "pandas", "sklearn"} & set(found.stdout.split())
