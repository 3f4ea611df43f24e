"""The section of the report, from real trials."""

import re
from dataclasses import replace

import pytest
from plugins.lr_refinement_toys import QUIET, Ear, study, trial

from automl.history import History, Report, Trial
from automl.space import Space
from automl_lr_refinement.options import Options
from automl_lr_refinement.report import sections

pytestmark = [pytest.mark.filterwarnings(f"ignore:{text}") for text in QUIET]


def history(tmp_path, model="Line", **options):
    """What the driver knows after two trials."""
    trials = []
    for number, shape in enumerate(("linear", "refined")):
        folder = tmp_path / shape
        folder.mkdir()
        ear = Ear()
        given = options if shape == "refined" else {}
        outcome = trial(folder, ear, model=model, shape=shape, **given)
        params = {"lr_refinement.shape": shape, "lr_refinement.peak": 1.0}
        told = tuple(Report(step, 0.0, metrics) for step, metrics in ear.heard)
        trials.append(
            Trial(number, "done", params, "default", 7, folder / "0", outcome.metrics, (), told)
        )
    return History(study(**options), Space({}), tuple(trials), tmp_path)


def test_the_report_shows_norms_schedules_peaks_curves_and_the_verdict(tmp_path):
    found = history(tmp_path, confirm=3, fallback=False, control_peak=1.0)
    (section,) = sections(found, Options())
    titles = [getattr(part, "title", "") for part in section.parts]
    assert titles[1:] == [
        "Refined against linear decay on fresh seeds",
        "Best trial of each shape",
        "Schedules",
        "Gradient norms of the exploratory run",
        "Peak learning rate",
        "Peaks on fresh seeds, trial 1",
        "Course of training",
    ]
    assert "Of 1 refined schedules that were compared" in section.parts[0].text
    assert "warm-up" in section.parts[3].alt
    assert [one.style for one in section.parts[5].series] == ["points", "points"]
    peaks = {one.name: one for one in section.parts[6].series}
    assert peaks["linear"].x == (1.0,)
    assert len(peaks["refined"].x) >= 3
    assert min(peaks["refined"].error) > 0


def test_the_report_of_a_folder_that_was_moved_still_draws_the_norms(tmp_path):
    found = history(tmp_path)
    moved = (tmp_path / "refined").rename(tmp_path / "elsewhere")
    trials = (found.trials[0], replace(found.trials[1], folder=moved / "0"))
    (section,) = sections(replace(found, trials=trials), Options())
    titles = [getattr(part, "title", "") for part in section.parts]
    assert "Gradient norms of the exploratory run" in titles


def test_the_report_draws_every_optimizer(tmp_path):
    (section,) = sections(history(tmp_path, model="Pair", fallback=False), Options())
    titles = [getattr(part, "title", "") for part in section.parts]
    assert "Gradient norms of the exploratory run, optimizer 1: AdamW" in titles
    names = [one.name for one in section.parts[titles.index("Schedules")].series]
    assert [name.rpartition(", ")[2] for name in names[1:]] == ["optimizer 0", "optimizer 1"]


def test_linear_decay_is_drawn_also_where_no_trial_has_it(tmp_path):
    found = history(tmp_path, fallback=False)
    (section,) = sections(replace(found, trials=found.trials[1:]), Options())
    (figure,) = (part for part in section.parts if getattr(part, "title", "") == "Schedules")
    assert figure.series[-1].name == "linear decay, not trained"
    assert figure.series[-1].y[200] == pytest.approx(0.5, abs=0.01)


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
