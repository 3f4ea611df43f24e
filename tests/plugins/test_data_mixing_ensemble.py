"""Replicas that train side by side end where they would end alone."""

import numpy as np
import pytest
import torch
from torch import nn

import automl
from automl.study import Study
from automl.zoo.text import TinyGPT
from automl_data_mixing.ensemble import Ensemble, fits, run_together
from automl_data_mixing.options import Options
from automl_data_mixing.policies import Fixed
from automl_data_mixing.preparation import in_waves
from plugins import data_mixing_drill as drill

PATHS = [
    np.tile(mixture, (drill.REWEIGHTS, 1))
    for mixture in ([1.0, 0.0, 0.0], [0.2, 0.3, 0.5], [0.0, 0.0, 1.0])
]


def model():
    torch.manual_seed(0)
    return TinyGPT(width=8, layers=1, heads=2, context=8, lr=1e-2)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*does not have many workers:UserWarning")
@pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec.*")
@pytest.mark.filterwarnings("ignore:.*log_every_n_steps.*:UserWarning")
def test_an_ensemble_ends_like_single_trainings_with_lightning(tmp_path):
    options = Options(
        batch_size=8, steps=drill.STEPS, reweights=drill.REWEIGHTS, context=8, feedback_rows=4
    )
    together = run_together(
        Ensemble(model(), len(PATHS), drill.STEPS * drill.REWEIGHTS),
        drill.corpus(), options, drill.SETTING, [(path, 1) for path in PATHS],
    )  # fmt: skip
    for index, path in enumerate(PATHS):
        folder = tmp_path / str(index)
        folder.mkdir()
        _, alone = drill.train(folder, Fixed(path))
        assert together[index].weights == alone.course.weights
        assert np.allclose(together[index].losses, alone.course.losses, atol=1e-4)
        assert together[index].rates == pytest.approx(alone.course.rates, abs=1e-6)


def test_a_step_gives_every_replica_its_own_loss():
    ensemble = Ensemble(model(), 2, 10)
    tokens = torch.randint(0, 256, (2, 4, 8))
    losses = ensemble.step(tokens, tokens)
    alone = [float(model().loss((part, part)).detach()) for part in tokens]
    assert losses.tolist() == pytest.approx(alone, abs=1e-5)
    first, second = ([p.clone() for p in one.parameters()] for one in ensemble.each())
    assert any(not torch.equal(a, b) for a, b in zip(first, second, strict=True))


class Workshop:
    def __init__(self):
        self.built = 0

    def model(self, job, changes):
        self.built += 1
        return model()


def test_waves_are_trained_once_and_kept(tmp_path):
    study = Study(
        name="x", model={"class_path": "a.B"}, objectives={"m": {"goal": "minimize"}},
        budget={"trials": 1},
    )  # fmt: skip
    workshop = Workshop()
    job = automl.Job(
        study=study, params={}, seed=0, device="cpu", folder=tmp_path, shared=tmp_path,
        model=None, data=None, trainer={}, line=None, workshop=workshop,
    )  # fmt: skip
    options = Options(batch_size=8, steps=2, reweights=3, context=8, feedback_rows=4)
    work = [(path[:3], 0) for path in PATHS]
    first = in_waves(job, options, drill.corpus(), work)
    assert in_waves(job, options, drill.corpus(), work) == first
    assert workshop.built == 1
    assert [one["course"]["weights"][0] for one in first] == [path[0].tolist() for path in PATHS]


def test_models_with_buffers_or_without_a_loss_train_alone():
    assert fits(model())
    assert not fits(nn.Linear(2, 2))
    strange = model()
    strange.register_buffer("count", torch.zeros(1))
    assert not fits(strange)
