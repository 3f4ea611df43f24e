"""Refinement beside other plugins, and beside other processes."""

import numpy as np
import pytest
import torch
from plugins.lr_refinement_toys import QUIET, Line, batches, fit
from torch.utils.data import DataLoader, Subset

import automl
from automl import stages
from automl.job import JobSpec
from automl_lr_refinement import logger, norms

pytestmark = [pytest.mark.filterwarnings(f"ignore:{text}") for text in QUIET]


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
