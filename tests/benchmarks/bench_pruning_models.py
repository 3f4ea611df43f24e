"""What the pruning benchmarks share: data, networks, training and one pruned copy at a time."""

import logging
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch

from automl.zoo import Digits, Images, ResNet, ViT
from automl_pruning.criteria import importances
from automl_pruning.curves import measure, probe
from automl_pruning.finetune import Rate
from automl_pruning.masks import KeepMasks, apply, make_masks
from automl_pruning.options import Options
from automl_pruning.pruner import Pruner
from automl_pruning.repair import dense_moments, repair
from automl_pruning.units import find_units, flat

CIFAR = Path(__file__).resolve().parents[2].parent / "shared" / "data"
METHODS = ("repair-aware rd", "plain rd", "lamp", "erk", "global", "uniform")


@dataclass(frozen=True)
class Setting:
    """What one study measures: data, network and how long it is trained.

    `images` of CIFAR-10 are used, a `held_out` share of them to measure; `size` is "small" for a
    network that a CPU trains in seconds.
    """

    data: str
    model: str
    epochs: int
    finetune: int
    rate: float
    calibration: int
    points: int
    images: int | None = None
    held_out: float = 0.2
    size: str = "full"


def make_data(setting, seed):
    if setting.data == "digits":
        return Digits(batch_size=64, shift=1, val=0.3, test=0.0, seed=seed)
    if not (CIFAR / "cifar10-train.parquet").exists():
        sys.exit("no ../shared/data/cifar10-train.parquet beside the checkout")
    parts = {"subset": setting.images, "val": setting.held_out, "test": 0.0, "seed": seed}
    return Images(str(CIFAR / "cifar10-train.parquet"), shift=4, flip=True, **parts)


def make_model(data, model, size="full"):
    shape = {"channels": 1, "size": 8} if data == "digits" else {"channels": 3, "size": 32}
    digits = data == "digits"
    match model, size:
        case "resnet", "full":
            return ResNet(width=16, blocks=3, lr=0.05 if digits else 0.1, **shape)
        case "vit", "full":
            depth, patch = (3, 2) if digits else (6, 4)
            return ViT(width=48, depth=depth, patch=patch, lr=2e-3, **shape)
        case "vit", "small":
            return ViT(width=48, depth=3, patch=8, lr=2e-3, **shape)
        case _:
            return ResNet(width=8, blocks=1, lr=0.1, **shape)


def quiet():
    warnings.filterwarnings("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    torch.set_num_threads(1)


def trainer(**options):
    plain = {
        "logger": False,
        "enable_progress_bar": False,
        "enable_checkpointing": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
        "limit_val_batches": 0,
    }
    return pl.Trainer(**plain | options)


def train(setting, seed):
    """Return a dense model, its data, calibration inputs and held-out samples."""
    pl.seed_everything(seed, verbose=False)
    model = make_model(setting.data, setting.model, setting.size)
    data = make_data(setting, seed)
    trainer(max_epochs=setting.epochs).fit(model, data)
    batches = [batch[0] for batch in data.train_dataloader()]
    held_out = list(data.val_dataloader())
    return model, data, torch.cat(batches)[: setting.calibration], held_out


def accuracy(model, held_out):
    was = model.training
    model.eval()
    with torch.no_grad():
        hits = sum(int((model(x).argmax(1) == y).sum()) for x, y in held_out)
    model.train(was)
    return hits / sum(len(y) for _, y in held_out)


def look(model, inputs, method, points):
    """Return a pruner of the model as it is now, with curves if the method needs them."""
    units = find_units(model, inputs)
    scores = tuple(importances(model, units, "magnitude", inputs))
    weights = dict(model.named_parameters())
    most = np.array([int(torch.count_nonzero(flat(weights, unit))) for unit in units])
    allocator = "rd" if method.endswith("rd") else method
    eye = probe(model, inputs, repair=method != "plain rd")
    curves = measure(model, units, scores, eye, points) if allocator == "rd" else {}
    return Pruner(Options(allocator=allocator), units, scores, eye, most, curves)


def prune(model, pruner, density, dense=None):
    """Prune and repair in place, the same repair for every method; return the masks."""
    keep = pruner.keep(density)
    masks = make_masks(pruner.units, pruner.scores, keep)
    moments = dense_moments(model, pruner.eye.inputs) if dense is None else dense
    apply(model, masks)
    repair(model, pruner.eye.inputs, moments)
    return masks


def finetune(model, data, masks, setting, seed):
    pl.seed_everything(seed, verbose=False)
    callbacks = [KeepMasks(masks), Rate(setting.rate)]
    trainer(max_epochs=setting.finetune, callbacks=callbacks).fit(model, data)
