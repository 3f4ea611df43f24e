"""Make a Lightning training follow schedules, whatever its module has configured."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.utilities.types import LRSchedulerConfig
from torch import Tensor
from torch.optim import Optimizer

from automl import PluginError
from automl_lr_refinement.schedules import Schedule
from automl_lr_refinement.table import TableLR


@dataclass(frozen=True, slots=True)
class Peak:
    """The learning rate at the peak.

    Attributes:
        rate: of the parameter group with the largest; the others keep their ratio to it. None
            leaves them as the module has them.
        factor: on top.
    """

    rate: float | None = None
    factor: float = 1.0


class Follow(Callback):
    """Follow schedules from the first optimizer step to the last.

    In automatic optimization the schedule moves once an optimizer step. In manual optimization
    Lightning cannot know how many steps a batch makes, so the schedule moves once a batch.

    Args:
        schedules: one for each optimizer, or one for all.
        peak: learning rate to multiply.
        fraction: of the training after which it ends, the schedules with it.
        replace: whether the module's own schedulers are left out; without it they are refused.
    """

    def __init__(
        self,
        schedules: Sequence[Schedule],
        peak: Peak | None = None,
        *,
        fraction: float = 1.0,
        replace: bool = False,
    ) -> None:
        self.schedules = tuple(schedules)
        self.peak = peak or Peak()
        self.fraction = fraction
        self.replace = replace
        self.steps = 0

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put the schedules in the place of the module's own; a checkpoint is loaded afterwards."""
        own = trainer.strategy.lr_scheduler_configs
        if own and not self.replace:
            names = ", ".join(type(config.scheduler).__name__ for config in own)
            raise PluginError(
                f"lr_refinement: {type(pl_module).__name__} has a scheduler of its own ({names}), "
                "which would fight the schedule of the study; set "
                "`plugins.lr_refinement.own_scheduler: replace`, or configure none"
            )
        self.steps = max(2, round(self.fraction * length(trainer)))
        trainer.strategy.lr_scheduler_configs = [
            LRSchedulerConfig(scheduler, interval="step") for scheduler in self.schedulers(trainer)
        ]

    def schedulers(self, trainer: Trainer) -> list[TableLR]:
        """Make a scheduler for each optimizer."""
        optimizers, schedules = trainer.optimizers, self.schedules
        if len(schedules) == 1:
            schedules = schedules * len(optimizers)
        if not optimizers or len(schedules) != len(optimizers):
            raise PluginError(
                f"lr_refinement: {len(schedules)} schedules for {len(optimizers)} optimizers; "
                "configure_optimizers must return the same optimizers in each run, and at least one"
            )
        for optimizer in optimizers:
            set_peak(optimizer, self.peak)
        return [TableLR(o, s, self.steps) for o, s in zip(optimizers, schedules, strict=True)]

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer
    ) -> None:
        """Refuse to go on when something else has set a learning rate."""
        scheduler = next((s for s in tables(trainer) if s.optimizer is optimizer), None)
        if scheduler is None:
            there = [type(config.scheduler).__name__ for config in trainer.lr_scheduler_configs]
            raise PluginError(
                f"lr_refinement: the schedule was replaced by {', '.join(there) or 'nothing'} in "
                f"training; something else schedules: a callback, or {type(pl_module).__name__} "
                "itself; remove that, or the plugin"
            )
        automatic = pl_module.automatic_optimization
        step = trainer.global_step if automatic else trainer.fit_loop.epoch_loop.total_batch_idx
        if reason := fight(scheduler, step):
            raise PluginError(
                f"lr_refinement: at step {step} {reason}; something else sets it: "
                f"a callback, or {type(pl_module).__name__} itself; remove that, or the plugin"
            )

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move the schedules of manual optimization, and end an exploration."""
        del outputs, batch, batch_idx
        if not pl_module.automatic_optimization:
            for scheduler in tables(trainer):
                scheduler.move(trainer.fit_loop.epoch_loop.total_batch_idx + 1)
        if self.fraction < 1 and tables(trainer)[0].last_epoch >= self.steps:
            trainer.should_stop = True


def length(trainer: Trainer) -> int:
    """Return the number of optimizer steps of a whole training.

    Raises:
        PluginError: the training has no end that is known before.
    """
    names = {
        type(one).__name__ for one in getattr(trainer, "callbacks", ())
    }  # of either tree of Lightning
    if "GradientAccumulationScheduler" in names:
        raise PluginError(
            "lr_refinement: GradientAccumulationScheduler changes the length of training, which a "
            "schedule has to know; set trainer.accumulate_grad_batches instead"
        )
    steps = trainer.estimated_stepping_batches
    if not math.isfinite(steps) or steps < 1:
        raise endless(trainer.max_epochs, trainer.max_steps)
    return int(steps)


def endless(max_epochs: int | None, max_steps: int) -> PluginError:
    """Return the error of a training without a known end."""
    return PluginError(
        f"lr_refinement: the training has no known end (max_epochs={max_epochs}, "
        f"max_steps={max_steps}), and a schedule needs one; set trainer.max_steps, or "
        "trainer.max_epochs with data whose length is known"
    )


def tables(trainer: Trainer) -> list[TableLR]:
    """Return the schedulers that `Follow` has put in place."""
    found = (config.scheduler for config in trainer.lr_scheduler_configs)
    return [scheduler for scheduler in found if isinstance(scheduler, TableLR)]


def fight(scheduler: TableLR, step: int) -> str:
    """Say where an optimizer is not as its schedule left it; nothing if it is."""
    groups, rates = scheduler.optimizer.param_groups, scheduler.get_last_lr()
    if len(groups) != len(rates):
        return f"the optimizer has {len(groups)} parameter groups, where it began with {len(rates)}"
    if scheduler.last_epoch != step:
        return f"the schedule has been moved to its step {scheduler.last_epoch}"
    for group, rate in zip(groups, rates, strict=True):
        # looking at a rate that lies on the device would wait for that
        readable = not (isinstance(group["lr"], Tensor) and group["lr"].device.type != "cpu")
        if readable and not math.isclose(group["lr"], rate, rel_tol=1e-6):
            return f"the learning rate is {float(group['lr']):g}, not {float(rate):g} as scheduled"
    return ""


def set_peak(optimizer: Optimizer, peak: Peak) -> None:
    """Set the learning rate from which the schedule is multiplied, in every group.

    A scheduler that is replaced has changed the rates already; what it started from is in the
    groups.
    """
    groups = optimizer.param_groups
    bases = [group.get("max_lr", group.get("initial_lr", group["lr"])) for group in groups]
    factor = peak.factor * (1.0 if peak.rate is None else peak.rate / float(max(bases)))
    for group, base in zip(groups, bases, strict=True):
        group["initial_lr"] = group["lr"] = base * factor
