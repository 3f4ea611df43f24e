"""Finetune between rounds of pruning: the study's own training, with a smaller learning rate."""

import math
from typing import Any

import pytorch_lightning as pl

PEAKS = ("lr", "initial_lr", "max_lr", "min_lr")  # what schedulers keep in an optimizer's groups


def targets(density: float, rounds: int) -> list[float]:
    """Return the density after each round: every round keeps the same share of what is left.

    Args:
        density: after the last round.
        rounds: how many; 0 for as many as it takes for none to remove more than half.
    """
    count = rounds or max(1, math.ceil(math.log2(1 / density) - 1e-9))
    return [density ** (number / count) for number in range(1, count + 1)]


class Rate(pl.Callback):
    """Multiply the learning rates of a fit, and what its schedulers return to, once.

    Args:
        factor: of the rates that the model configures.
    """

    def __init__(self, factor: float) -> None:
        self.factor = factor
        self.done = False

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Scale the rates, unless a checkpoint holds scaled ones."""
        del pl_module
        if self.done:
            return
        for optimizer in trainer.optimizers:
            for group in optimizer.param_groups:
                group |= {name: group[name] * self.factor for name in PEAKS if name in group}
        for config in trainer.lr_scheduler_configs:
            scheduler: Any = config.scheduler
            if hasattr(scheduler, "base_lrs"):
                scheduler.base_lrs = [rate * self.factor for rate in scheduler.base_lrs]
        self.done = True

    def state_dict(self) -> dict[str, Any]:
        """Return whether the rates are scaled."""
        return {"done": self.done}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over whether the rates are scaled."""
        self.done = state_dict["done"]
