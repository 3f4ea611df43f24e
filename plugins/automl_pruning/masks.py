"""Masks: which weights stay, and a Lightning callback that keeps the others at zero.

The masks live in the callback, not in the module: the state dict keeps its keys, and a checkpoint
holds the masks, packed to bits, beside it. Weights are masked after every step of the optimizer,
because masked gradients alone do not hold: momentum and weight decay move a weight too.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from automl_pruning.criteria import order
from automl_pruning.units import Unit, parts

Masks: TypeAlias = dict[str, Tensor]  # by parameter name, of booleans shaped like it


def make_masks(
    units: Sequence[Unit], scores: Sequence[Tensor], keep: Sequence[int] | np.ndarray[Any, Any]
) -> Masks:
    """Return masks that keep the most important weights of each unit."""
    masks: Masks = {}
    for unit, score, count in zip(units, scores, keep, strict=True):
        masks |= parts(order(score) < int(count), unit)
    return masks


def apply(model: nn.Module, masks: Mapping[str, Tensor]) -> None:
    """Set what the masks do not keep to zero; a NaN there becomes zero too."""
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for name, mask in masks.items():
            parameters[name].masked_fill_(~mask.to(parameters[name].device), 0)


def nonzero_masks(model: nn.Module, units: Sequence[Unit]) -> Masks:
    """Return the masks that a model's own zeros are."""
    parameters = dict(model.named_parameters())
    return {name: parameters[name].detach() != 0 for unit in units for name in unit.weights}


def density(masks: Mapping[str, Tensor]) -> float:
    """Return the share of weights that stay."""
    kept = sum(int(mask.sum()) for mask in masks.values())
    return kept / sum(mask.numel() for mask in masks.values())


def pack(masks: Mapping[str, Tensor]) -> dict[str, dict[str, Any]]:
    """Return masks as bits, in types that `weights_only` loading allows."""
    return {
        name: {
            "shape": list(mask.shape),
            "bits": torch.from_numpy(np.packbits(mask.cpu().numpy().reshape(-1))),
        }
        for name, mask in masks.items()
    }


def unpack(packed: Mapping[str, Mapping[str, Any]]) -> Masks:
    """Return the masks that were packed."""
    masks = {}
    for name, entry in packed.items():
        count = int(np.prod(entry["shape"]))
        bits = np.unpackbits(entry["bits"].cpu().numpy(), count=count).astype(bool)
        masks[name] = torch.from_numpy(bits).reshape(entry["shape"])
    return masks


class KeepMasks(pl.Callback):
    """Hold the pruned weights at zero while Lightning trains.

    Args:
        masks: by parameter name of the LightningModule.
    """

    def __init__(self, masks: Mapping[str, Tensor]) -> None:
        self.masks = dict(masks)
        self.handles: list[Any] = []

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take the masks of rank 0 and apply them."""
        shared = trainer.strategy.broadcast(pack(self.masks))
        self.masks = {name: mask.to(pl_module.device) for name, mask in unpack(shared).items()}
        apply(pl_module, self.masks)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Mask after each step of each optimizer, from the first one on."""
        apply(pl_module, self.masks)
        self.handles = [
            optimizer.register_step_post_hook(lambda *_: apply(pl_module, self.masks))
            for optimizer in trainer.optimizers
        ]

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Any
    ) -> None:
        """Mask the gradients, so that neither momentum nor clipping sees pruned weights."""
        del trainer, optimizer
        parameters = dict(pl_module.named_parameters())
        for name, mask in self.masks.items():
            if (gradient := parameters[name].grad) is not None:
                gradient.mul_(mask)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop masking."""
        del trainer, pl_module
        for handle in self.handles:
            handle.remove()
        self.handles = []

    def state_dict(self) -> dict[str, Any]:
        """Return the masks as bits."""
        return {"masks": pack(self.masks)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the masks of a checkpoint."""
        self.masks = unpack(state_dict["masks"])
