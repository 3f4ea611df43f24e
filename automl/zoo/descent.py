"""How the networks of the zoo are optimized: the optimizer, and the learning rate over time."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import torch
from torch import nn

OptimizerName: TypeAlias = Literal["sgd", "adam", "adamw"]
ScheduleName: TypeAlias = Literal["constant", "cosine"]


@dataclass(frozen=True, slots=True)
class Descent:
    """An optimizer, its settings, and the schedule of its learning rate.

    Attributes:
        lr: the peak learning rate.
        optimizer: `sgd` (with Nesterov momentum), `adam` or `adamw`.
        momentum: of sgd; the others ignore it.
        weight_decay: of matrices and kernels; biases and normalizations have none.
        schedule: `constant`, or `cosine` down to 0 at the end of training.
        warmup: fraction of training in which the learning rate rises linearly to its peak.
    """

    lr: float
    optimizer: str = "adamw"
    momentum: float = 0.9
    weight_decay: float = 0.01
    schedule: str = "cosine"
    warmup: float = 0.1

    def __post_init__(self) -> None:
        check_one_of("optimizer", self.optimizer, ("sgd", "adam", "adamw"))
        check_one_of("schedule", self.schedule, ("constant", "cosine"))
        if not self.lr > 0:
            raise ValueError(f"lr must be above 0, got {self.lr}")
        if not 0 <= self.warmup < 1:
            raise ValueError(f"warmup is a fraction of training in [0, 1), got {self.warmup}")

    def optimize(self, module: nn.Module) -> torch.optim.Optimizer:
        """Make the optimizer of the parameters that are trained."""
        groups = decay_groups(module, self.weight_decay)
        match self.optimizer:
            case "sgd":
                nesterov = self.momentum > 0
                return torch.optim.SGD(
                    groups, lr=self.lr, momentum=self.momentum, nesterov=nesterov
                )
            case "adam":
                return torch.optim.Adam(groups, lr=self.lr)
            case _:
                return torch.optim.AdamW(groups, lr=self.lr)

    def factor(self, step: int, steps: float) -> float:
        """Return the learning rate of a step as a fraction of the peak.

        Args:
            step: counts from 0.
            steps: of the whole training.
        """
        rising = self.warmup * steps
        if step < rising:
            return (step + 1) / (rising + 1)
        if self.schedule == "constant":
            return 1.0
        progress = min(1.0, (step - rising) / max(1.0, steps - rising))
        return 0.5 * (1 + math.cos(math.pi * progress))

    def configure(self, module: nn.Module, steps: float) -> Mapping[str, Any]:
        """Return what `configure_optimizers` of a LightningModule returns."""
        if not math.isfinite(steps):
            raise ValueError(
                f"schedule {self.schedule} needs an end of training; set max_epochs or max_steps"
            )
        optimizer = self.optimize(module)
        scheduler = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: self.factor(step, steps)
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }


def decay_groups(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Part the trained parameters into those that decay and those with less than two axes."""
    trained = [p for p in module.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def check_one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    """Refuse a name that is not among those allowed."""
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")
