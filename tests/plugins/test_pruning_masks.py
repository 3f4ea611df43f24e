"""Masks hold through training, checkpoints, kills and several processes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from automl_pruning import masks
from automl_pruning.criteria import importances
from automl_pruning.units import find_units

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec"),
    pytest.mark.filterwarnings("ignore:.*smaller than the logging interval"),
    pytest.mark.filterwarnings("ignore:.*when using `ckpt_path`, callbacks"),
]
QUIET = {
    "logger": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "accelerator": "cpu",
}


class Net(pl.LightningModule):
    def __init__(self, optimizer="adamw"):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))
        self.optimizer = optimizer

    def training_step(self, batch, batch_idx):
        return nn.functional.cross_entropy(self.net(batch[0]), batch[1])

    def configure_optimizers(self):
        if self.optimizer == "sgd":
            return torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01)
        return torch.optim.AdamW(self.parameters(), lr=0.01)

    def train_dataloader(self):
        generator = torch.Generator().manual_seed(0)
        x = torch.randn(64, 8, generator=generator)
        return DataLoader(TensorDataset(x, x[:, :3].argmax(1)), batch_size=16)


def pruned_net(keep=(20, 9), **options):
    torch.manual_seed(0)
    net = Net(**options)
    units = find_units(net)
    found = masks.make_masks(units, importances(net, units, "magnitude", torch.zeros(0)), keep)
    return net, found


def trainer(tmp_path, *callbacks, **options):
    settings = {"max_epochs": 3, "enable_checkpointing": False, "default_root_dir": tmp_path}
    return pl.Trainer(**QUIET | settings | options, callbacks=list(callbacks))


def zeros_hold(net, found):
    return all(bool((net.get_parameter(n)[~mask] == 0).all()) for n, mask in found.items())


def test_masks_keep_the_most_important_weights_of_each_unit():
    net, found = pruned_net()
    for name, count in zip(found, (20, 9), strict=True):
        kept = net.get_parameter(name)[found[name]].abs()
        assert found[name].sum() == count
        assert kept.min() >= net.get_parameter(name)[~found[name]].abs().max()
    assert masks.density(found) == 29 / 176


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_training_moves_no_pruned_weight_and_all_others(tmp_path, optimizer):
    net, found = pruned_net(optimizer=optimizer)
    before = {name: net.get_parameter(name).detach().clone() for name in found}
    trainer(tmp_path, masks.KeepMasks(found)).fit(net)
    assert zeros_hold(net, found)
    for name, mask in found.items():
        assert (net.get_parameter(name)[mask] != before[name][mask]).all()


def test_momentum_from_before_does_not_revive_weights():
    net, found = pruned_net()
    optimizer = net.configure_optimizers()
    for _ in range(3):
        net.training_step(next(iter(net.train_dataloader())), 0).backward()
        optimizer.step()
    masks.apply(net, found)
    optimizer.zero_grad()
    optimizer.step()
    optimizer.register_step_post_hook(lambda *_: masks.apply(net, found))
    net.training_step(next(iter(net.train_dataloader())), 0).backward()
    optimizer.step()
    assert zeros_hold(net, found)


def test_masking_turns_weights_that_are_not_numbers_into_zeros():
    net, found = pruned_net()
    with torch.no_grad():
        net.net[0].weight.fill_(torch.nan)
    masks.apply(net, found)
    assert zeros_hold(net, found)


def test_packed_masks_come_back_exactly():
    _, found = pruned_net(keep=(21, 13))
    again = masks.unpack(masks.pack(found))
    assert all(torch.equal(mask, again[name]) for name, mask in found.items())
    assert sum(entry["bits"].numel() for entry in masks.pack(found).values()) == 16 + 6


def test_the_state_dict_has_the_keys_of_the_plain_model(tmp_path):
    net, found = pruned_net()
    run = trainer(tmp_path, masks.KeepMasks(found))
    run.fit(net)
    assert list(net.state_dict()) == list(Net().state_dict())
    run.save_checkpoint(tmp_path / "last.ckpt")
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)
    Net().load_state_dict(saved["state_dict"])


def test_a_resumed_training_has_the_same_masks_and_weights_as_an_uncut_one(tmp_path):
    net, found = pruned_net()
    whole = trainer(tmp_path, masks.KeepMasks(found), max_epochs=4)
    whole.fit(net)
    first, _ = pruned_net()
    cut = trainer(tmp_path, masks.KeepMasks(found), max_epochs=2)
    cut.fit(first)
    cut.save_checkpoint(tmp_path / "cut.ckpt")
    again = Net()
    holder = masks.KeepMasks({})
    last = {"ckpt_path": str(tmp_path / "cut.ckpt"), "weights_only": True}
    trainer(tmp_path, holder, max_epochs=4).fit(again, **last)
    assert all(torch.equal(holder.masks[name], mask) for name, mask in found.items())
    assert zeros_hold(again, found)
    for name, value in net.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])


KILLED = """
import os, signal, sys, warnings
warnings.simplefilter("ignore")
sys.path.insert(0, {here!r})
import pytorch_lightning as pl
from automl_pruning import masks
from test_pruning_masks import pruned_net, trainer

class Die(pl.Callback):
    def on_train_batch_end(self, trainer, *_):
        if trainer.global_step == 10:
            os.kill(os.getpid(), signal.SIGKILL)

net, found = pruned_net()
saver = pl.callbacks.ModelCheckpoint({folder!r}, save_last=True, every_n_epochs=1)
callbacks = [masks.KeepMasks(found), saver, Die()]
trainer({folder!r}, *callbacks, max_epochs=5, enable_checkpointing=True).fit(net)
"""


@pytest.mark.slow
def test_a_killed_training_goes_on_with_exact_masks(tmp_path):
    code = KILLED.format(here=str(Path(__file__).parent), folder=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", code], check=False, env=os.environ)
    assert done.returncode == -signal.SIGKILL
    net, found = pruned_net()
    holder = masks.KeepMasks({})
    last = {"ckpt_path": str(tmp_path / "last.ckpt"), "weights_only": True}
    trainer(tmp_path, holder, max_epochs=5).fit(net, **last)
    assert net.trainer.global_step == 20
    assert zeros_hold(net, found)
    assert masks.density(masks.nonzero_masks(net, find_units(net))) == 29 / 176


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_several_processes_hold_the_masks_of_the_first(tmp_path):
    net, found = pruned_net()
    run = trainer(tmp_path, masks.KeepMasks(found), strategy="ddp_fork", devices=2, max_epochs=1)
    run.fit(net)
    assert zeros_hold(net, found)
