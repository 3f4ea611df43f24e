"""The Lightning callbacks of every fit that tell how it goes and stop it when asked."""

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch

from automl.job import Line
from automl.position import steady


class NotFiniteError(FloatingPointError):
    """A metric that the study optimizes or bounds is NaN or infinite."""


def scalars(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return the metrics that are single numbers, as floats, with one transfer from the device."""
    single = {
        name: value.detach().reshape(())
        if isinstance(value, torch.Tensor)
        else torch.tensor(value, dtype=torch.float64)  # counts beyond 2^24 keep their digits
        for name, value in metrics.items()
        if not isinstance(value, torch.Tensor) or value.numel() == 1
    }
    if not single:
        return {}
    device = next((v.device for v in single.values() if v.device.type != "cpu"), None)
    values = torch.stack([v.to(device=device, dtype=torch.float64) for v in single.values()])
    return dict(zip(single, values.tolist(), strict=True))


def together(trainer: pl.Trainer, said: bool) -> bool:
    """Return what any rank says, on every rank."""
    if trainer.world_size == 1:
        return said
    return bool(trainer.strategy.reduce_boolean_decision(said, all=False))


class Stopper(pl.Callback):
    """End the fit when the driver asks for it.

    Attributes:
        cut: whether the fit was ended in the middle of an epoch.
    """

    def __init__(self, line: Line) -> None:
        self.line = line
        self.cut = False

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """End the fit if the driver has asked; it waits for an optimizer step or a validation."""
        if not self.asked(trainer):
            return
        if trainer.fit_loop.epoch_loop.batch_progress.is_last_batch:
            trainer.should_stop = True
        elif steady(trainer):
            trainer.should_stop = self.cut = True
            trainer.limit_val_batches = 0  # or Lightning would validate what is not complete

    def asked(self, trainer: pl.Trainer) -> bool:
        """Say whether the driver has asked; all ranks give one answer."""
        return together(trainer, self.line.stopped())


class Reporter(Stopper):
    """Report what validation logged, and end the fit when the driver asks for it.

    Args:
        line: the way to the driver.
        unit: `epoch`, `step` or `seconds`: what the reports count.
        watched: metrics that must stay finite.
    """

    def __init__(self, line: Line, unit: str, watched: frozenset[str]) -> None:
        super().__init__(line)
        self.unit = unit
        self.watched = watched
        self.spent = 0.0  # seconds of earlier attempts
        self.started = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        del trainer, pl_module
        self.started = time.monotonic()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Report once an epoch."""
        del pl_module
        if not self.cut:
            self._report(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Report after a validation in the middle of an epoch."""
        del pl_module
        inside = not trainer.sanity_checking and trainer.state.fn == "fit"
        if (
            inside
            and self.unit != "epoch"
            and not trainer.fit_loop.epoch_loop.batch_progress.is_last_batch
        ):
            self._report(trainer)

    def _report(self, trainer: pl.Trainer) -> None:
        # all ranks read them: what is logged with sync_dist is reduced when it is read
        metrics = scalars(trainer.callback_metrics)
        if trainer.is_global_zero:
            self._tell(trainer, metrics)
        if self.asked(trainer):
            trainer.should_stop = True

    def _tell(self, trainer: pl.Trainer, metrics: Mapping[str, float]) -> None:
        for name in sorted(self.watched & metrics.keys()):
            if not np.isfinite(metrics[name]):
                raise NotFiniteError(
                    f"{name} is {metrics[name]} after epoch {trainer.current_epoch}"
                )
        if metrics:
            self.line.report(self.progress(trainer), metrics)

    def progress(self, trainer: pl.Trainer) -> float:
        """Return how far the fit is, in the unit."""
        match self.unit:
            case "step":
                return trainer.global_step
            case "seconds":
                return self.spent + time.monotonic() - self.started
            case _:
                return trainer.current_epoch + 1

    def state_dict(self) -> dict[str, Any]:
        """Return the seconds spent so far."""
        return {"spent": self.spent + time.monotonic() - self.started}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on counting from an earlier attempt."""
        self.spent = state_dict["spent"]
