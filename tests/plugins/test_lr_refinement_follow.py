"""A training follows the schedule of the study, and nothing may fight it."""

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from plugins.lr_refinement_toys import QUIET, Line, Pair, fit
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, OneCycleLR
from torch.utils.data import IterableDataset

from automl import PluginError
from automl_lr_refinement import logger, norms, schedules
from automl_lr_refinement.follow import Follow, Peak

pytestmark = [pytest.mark.filterwarnings(f"ignore:{text}") for text in QUIET]


def rates(model, folder, follow, **settings):
    """The learning rate of each step of a training."""
    log = logger.NormLogger(folder / "norms.npz")
    fit(model, folder, follow, log, **settings)
    return [found.lr[:, 0] for found in norms.load(log.path)]


def test_the_schedule_is_stepped_once_an_optimizer_step(tmp_path):
    (seen,) = rates(Line(), tmp_path, Follow([schedules.linear()]))
    np.testing.assert_allclose(seen, 0.1 * (1 - np.arange(10) / 10), rtol=1e-6)


def test_accumulation_shortens_the_schedule(tmp_path):
    follow = Follow([schedules.linear()])
    (seen,) = rates(Line(), tmp_path, follow, accumulate_grad_batches=2)
    np.testing.assert_allclose(seen, 0.1 * (1 - np.arange(6) / 6), rtol=1e-6)


def test_the_peak_is_set_or_multiplied_and_groups_keep_their_ratio(tmp_path):
    class Groups(Line):
        def configure_optimizers(self):
            groups = [{"params": [self.layer.weight], "lr": 0.2}, {"params": [self.layer.bias]}]
            return torch.optim.SGD(groups, lr=0.05)

    log = logger.NormLogger(tmp_path / "norms.npz")
    fit(Groups(), tmp_path, Follow([schedules.constant()], Peak(1.0, 0.5)), log)
    np.testing.assert_allclose(norms.load(log.path)[0].lr[0], [0.5, 0.125])


def test_an_exploration_ends_with_its_schedule(tmp_path):
    follow = Follow([schedules.linear()], fraction=0.4)
    (seen,) = rates(Line(), tmp_path, follow)
    np.testing.assert_allclose(seen, 0.1 * (1 - np.arange(4) / 4), rtol=1e-6)


def test_a_resumed_training_follows_the_schedule_on(tmp_path):
    (whole,) = rates(Line(), tmp_path, Follow([schedules.cosine()]), max_epochs=4)

    class Cut(pl.Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            if trainer.current_epoch == 1:
                trainer.save_checkpoint(tmp_path / "cut.ckpt")

    fit(Line(), tmp_path, Follow([schedules.cosine()]), Cut(), max_epochs=4)
    follow = Follow([schedules.cosine()])
    (end,) = rates(Line(), tmp_path, follow, max_epochs=4, ckpt_path=tmp_path / "cut.ckpt")
    np.testing.assert_allclose(end, whole[10:], rtol=1e-6)


def test_a_scheduler_of_the_module_is_refused_unless_the_study_replaces_it(tmp_path):
    def own(optimizer):
        return CosineAnnealingLR(optimizer, 3)

    with pytest.raises(PluginError, match=r"own .CosineAnnealingLR.*own_scheduler: replace"):
        fit(Line(scheduler=own), tmp_path, Follow([schedules.linear()]))
    follow = Follow([schedules.linear()], replace=True)
    (seen,) = rates(Line(scheduler=own), tmp_path, follow)
    np.testing.assert_allclose(seen, 0.1 * (1 - np.arange(10) / 10), rtol=1e-6)


@pytest.mark.parametrize(
    "own",
    [lambda o: LambdaLR(o, lambda step: 0.01), lambda o: OneCycleLR(o, 0.1, total_steps=10)],
    ids=["warm-up", "one cycle"],
)
def test_a_replaced_scheduler_leaves_the_peak_that_it_had(own, tmp_path):
    (seen,) = rates(Line(scheduler=own), tmp_path, Follow([schedules.constant()], replace=True))
    np.testing.assert_allclose(seen, 0.1, rtol=1e-6)


def test_a_module_that_sets_the_rate_itself_is_an_error_in_words(tmp_path):
    class WarmUp(Line):
        def optimizer_step(self, epoch, batch, optimizer, closure):
            optimizer.param_groups[0]["lr"] = 0.001
            super().optimizer_step(epoch, batch, optimizer, closure)

    with pytest.raises(PluginError, match=r"step 0 the learning rate is 0\.001.*WarmUp itself"):
        fit(WarmUp(), tmp_path, Follow([schedules.linear()]))


def test_a_rate_that_is_a_tensor_is_watched_too(tmp_path):
    class Jump(Line):
        def on_train_batch_start(self, batch, index):
            self.optimizers().param_groups[0]["lr"].fill_(0.3)

    model = Jump(torch.optim.Adam, lr=torch.tensor(0.1), foreach=False)
    with pytest.raises(PluginError, match=r"step 0 the learning rate is 0\.3, not 0\.1"):
        fit(model, tmp_path, Follow([schedules.linear()]))


def test_a_module_that_steps_the_schedule_its_own_way_is_an_error_in_words(tmp_path):
    class Epochs(Line):
        def lr_scheduler_step(self, scheduler, metric):
            scheduler.move(self.current_epoch)

    model = Epochs(scheduler=lambda optimizer: CosineAnnealingLR(optimizer, 3))
    with pytest.raises(PluginError, match=r"step 1 the schedule has been moved to its step 0"):
        fit(model, tmp_path, Follow([schedules.linear()], replace=True))


@pytest.mark.filterwarnings("ignore:SWA is currently only supported every epoch")
def test_a_callback_that_brings_a_scheduler_is_an_error_in_words(tmp_path):
    averaging = pl.callbacks.StochasticWeightAveraging(0.01, swa_epoch_start=1)
    with pytest.raises(PluginError, match="the schedule was replaced by SWALR"):
        fit(Line(), tmp_path, Follow([schedules.linear()]), averaging)


def test_parameter_groups_that_join_later_are_an_error_in_words(tmp_path):
    class Grows(Line):
        def on_train_epoch_start(self):
            if self.current_epoch == 1:
                self.optimizers().add_param_group({"params": [torch.nn.Parameter(torch.ones(1))]})

    with pytest.raises(PluginError, match="has 2 parameter groups, where it began with 1"):
        fit(Grows(), tmp_path, Follow([schedules.linear()]))


def test_accumulation_that_changes_in_training_is_refused(tmp_path):
    changes = pl.callbacks.GradientAccumulationScheduler({0: 2, 1: 1})
    with pytest.raises(PluginError, match=r"set trainer\.accumulate_grad_batches"):
        fit(Line(), tmp_path, Follow([schedules.linear()]), changes)


def test_manual_optimization_moves_every_schedule_once_a_batch(tmp_path):
    first, second = rates(Pair(), tmp_path, Follow([schedules.linear(), schedules.cosine()]))
    np.testing.assert_allclose(first, 0.1 * (1 - np.arange(10) / 10), rtol=1e-6)
    places = np.array([0, 2, 4, 5, 7, 9]) / 10
    np.testing.assert_allclose(second, 0.005 * (1 + np.cos(np.pi * places)), rtol=1e-3)


def test_every_optimizer_needs_its_schedule(tmp_path):
    with pytest.raises(PluginError, match="2 schedules for 1 optimizers"):
        fit(Line(), tmp_path, Follow([schedules.linear()] * 2))


class Endless(IterableDataset):
    def __iter__(self):
        while True:
            yield torch.ones(4), torch.ones(())


@pytest.mark.parametrize("settings", [{"max_epochs": -1}, {"data": None, "max_epochs": 1}])
def test_training_without_a_known_end_is_refused(tmp_path, settings):
    loader = torch.utils.data.DataLoader(Endless(), batch_size=2)
    data = {"data": loader} if "data" in settings else {}
    with pytest.raises(PluginError, match=r"no known end.*max_steps=-1"):
        fit(Line(), tmp_path, Follow([schedules.linear()]), **(settings | data))


def test_endless_data_with_a_number_of_steps_has_an_end(tmp_path):
    loader = torch.utils.data.DataLoader(Endless(), batch_size=2)
    follow = Follow([schedules.linear()])
    (seen,) = rates(Line(), tmp_path, follow, data=loader, max_steps=5, limit_val_batches=0)
    np.testing.assert_allclose(seen, 0.1 * (1 - np.arange(5) / 5), rtol=1e-6)
