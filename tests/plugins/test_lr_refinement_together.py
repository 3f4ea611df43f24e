"""Refinement beside other plugins, and beside other processes."""

import time
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from chromium import browser
from plugins.lr_refinement_toys import QUIET, Line, batches, fit
from torch.utils.data import DataLoader, Subset

import automl
from automl import stages
from automl.job import JobSpec
from automl.studyfile import read
from automl_lr_refinement import confirmation, logger, norms

pytestmark = [pytest.mark.filterwarnings(f"ignore:{text}") for text in QUIET]
STUDIES = Path(__file__).resolve().parents[2] / "studies"


class Deaf:
    """A line on which nobody listens."""

    def report(self, step, metrics):
        pass

    def stopped(self):
        return False


@pytest.mark.slow
def test_a_refined_model_is_pruned_and_both_plugins_are_heard(tmp_path):
    refined = {"shape": "refined", "own_scheduler": "replace"}
    pruned = {"front": 1, "compare": False, "finetune_epochs": 0, "calibration": 32, "points": 3}
    study = automl.Study.model_validate(
        {
            "name": "together",
            "model": {"class_path": "automl.zoo.MLP"},
            "data": {"class_path": "automl.zoo.Digits"},
            "trainer": {"max_epochs": 1},
            "plugins": {"lr_refinement": refined, "pruning": pruned},
            "objectives": {"val_loss": {"goal": "minimize"}},
            "budget": {"trials": 1},
        }
    )
    folder = tmp_path / "0"
    folder.mkdir()
    spec = JobSpec(study, "trial", 0, 0, {}, 7, folder, tmp_path / "shared", tmp_path)
    outcome = stages.run(spec, Deaf())
    assert outcome.state == "done", outcome
    assert outcome.metrics["optimizer_steps"] == pytest.approx(1.25 * 34, abs=1)
    assert {"density", "val_loss"} <= set(outcome.metrics)
    assert outcome.points


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """The shipped study of both plugins, in small."""
    study = read(STUDIES / "lr_refinement-pruning.yaml").study
    small = {
        "trainer": {"max_epochs": 2},
        "budget": study.budget.model_copy(update={"trials": 2}),
        "engine": "inline",
        "folder": str(tmp_path_factory.mktemp("both")),
    }
    return automl.run(study.model_copy(update=small))


@pytest.mark.slow
def test_a_shipped_study_refines_and_prunes_in_each_trial(both):
    shapes = [trial.params["lr_refinement.shape"] for trial in both.trials]
    assert shapes == ["refined", "linear"]
    for trial in both.trials:
        assert {"density", "optimizer_steps", "val_accuracy"} <= set(trial.metrics)
        assert len(trial.points) == 3
        assert (trial.folder / "schedule.json").exists()


@pytest.mark.slow
def test_the_page_of_both_draws_the_sections_of_both(both):
    with browser() as page:
        page.open(both.report().as_uri())
        drawn = page.run(
            "const theirs = [...document.querySelectorAll('section.plugin:has(.chip)')];"
            "Object.fromEntries(theirs.map((s) => [s.querySelector('.chip').textContent,"
            "s.querySelectorAll('svg[role=group]').length]))"
        )
        assert page.errors == []
    assert drawn["lr_refinement"] == 4
    assert drawn["pruning"] >= 2


class Slow(logger.NormLogger):
    """A log that takes its time to be written."""

    def logs(self, trainer):
        time.sleep(0.5)
        return super().logs(trainer)


class Look(pl.Callback):
    """Says on each process whether a file is there when training has ended."""

    def __init__(self, path):
        self.path = path

    def teardown(self, trainer, pl_module, stage):
        there = self.path.exists()
        self.path.with_name(f"{trainer.global_rank}.txt").write_text(str(there))


class Agree(pl.Callback):
    """Writes what the processes agree on, each of which has another value."""

    def __init__(self, folder):
        self.folder = folder

    def on_train_end(self, trainer, pl_module):
        found = confirmation.agreed(trainer.global_rank + 0.5)
        (self.folder / f"{trainer.global_rank}.txt").write_text(str(found))


@pytest.mark.slow
def test_all_processes_compare_by_the_values_of_the_first(tmp_path):
    two = {"strategy": "ddp_fork", "devices": 2, "max_epochs": 1, "limit_val_batches": 0}
    fit(Line(), tmp_path, Agree(tmp_path), data=DataLoader(batches(2).dataset, 4), **two)
    assert [(tmp_path / f"{rank}.txt").read_text() for rank in (0, 1)] == ["0.5", "0.5"]


@pytest.mark.slow
def test_every_process_waits_for_the_log(tmp_path):
    log = Slow(tmp_path / "norms.npz")
    two = {"strategy": "ddp_fork", "devices": 2, "max_epochs": 1, "limit_val_batches": 0}
    fit(Line(), tmp_path, log, Look(log.path), data=DataLoader(batches(2).dataset, 4), **two)
    assert [(tmp_path / f"{rank}.txt").read_text() for rank in (0, 1)] == ["True", "True"]


@pytest.mark.slow
def test_processes_log_the_norms_of_their_mean_gradient(tmp_path, monkeypatch):
    monkeypatch.delenv("PL_GLOBAL_SEED", raising=False)
    data = batches(8, 4).dataset
    order = torch.randperm(32, generator=torch.Generator().manual_seed(0)).tolist()
    alone, both = (logger.NormLogger(tmp_path / f"{name}.npz") for name in ("alone", "both"))
    model = Line()
    start = {name: value.clone() for name, value in model.state_dict().items()}
    once = {"max_epochs": 1, "limit_val_batches": 0}
    fit(model, tmp_path, alone, data=DataLoader(Subset(data, order), 8), **once)
    model.load_state_dict(start)
    # Lightning hands each process every other sample of that order
    two = {"strategy": "ddp_fork", "devices": 2}
    fit(model, tmp_path, both, data=DataLoader(data, 4, shuffle=True), **once, **two)
    (single,), (together,) = norms.load(alone.path), norms.load(both.path)
    np.testing.assert_allclose(together.l2, single.l2, rtol=1e-5)
