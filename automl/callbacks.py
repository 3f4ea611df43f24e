"""The Lightning callbacks of every fit: tell how it goes, stop when asked, save and resume."""

import random
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint

from automl.checkpoints import Checkpoints
from automl.job import Line

PAUSE = 20.0  # seconds between two checkpoints of a fit


class NotFiniteError(Exception):
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


class Stopper(pl.Callback):
    """End the fit when the driver asks for it."""

    def __init__(self, line: Line) -> None:
        self.line = line

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """End the fit after this batch if the driver has asked."""
        if self.line.stopped():
            trainer.should_stop = True


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
        if not trainer.is_global_zero:
            return
        metrics = scalars(trainer.callback_metrics)
        for name in sorted(self.watched & metrics.keys()):
            if not np.isfinite(metrics[name]):
                raise NotFiniteError(
                    f"{name} is {metrics[name]} after epoch {trainer.current_epoch}"
                )
        if metrics:
            self.line.report(self.progress(trainer), metrics)
        if self.line.stopped():
            trainer.should_stop = True

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


class Saver(Checkpoint):
    """Save at the end of an epoch, at most every `pause` seconds, and when the fit breaks off.

    The states of the random number generators are saved and restored too, so that a fit that goes
    on from a checkpoint draws what the uncut one would. Lightning calls it after other callbacks.
    """

    def __init__(self, checkpoints: Checkpoints, pause: float = PAUSE) -> None:
        self.checkpoints = checkpoints
        self.pause = pause
        self.saved_at = time.monotonic()
        self.saved_step = -1
        self.random: dict[str, Any] | None = None

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Restore the random number generators when the fit goes on from a checkpoint.

        The first epoch's order of the data is drawn before `on_train_start`.
        """
        del trainer, pl_module
        if self.random is not None:
            restore_random(self.random)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save if it is time to."""
        del pl_module
        if time.monotonic() - self.saved_at >= self.pause:
            self.save(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the end of the fit."""
        del pl_module
        self.save(trainer)

    def save(self, trainer: pl.Trainer) -> None:
        """Write a checkpoint unless this step has one."""
        if self.saved_step == trainer.global_step:
            return
        name = f"step={trainer.global_step}.ckpt"
        self.checkpoints.save(name, trainer.save_checkpoint, scalars(trainer.callback_metrics))
        self.saved_at, self.saved_step = time.monotonic(), trainer.global_step

    def state_dict(self) -> dict[str, Any]:
        """Return the states of the random number generators."""
        return {"random": random_state()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the states until the fit starts."""
        self.random = state_dict["random"]


def random_state() -> dict[str, Any]:
    """Return the states of all generators, in types that `weights_only` loading allows."""
    version, inner, gauss = random.getstate()
    _, keys, position, has_gauss, cached = np.random.get_state()  # noqa: NPY002 - users' code draws here
    return {
        "python": [version, list(inner), gauss],
        "numpy": [torch.from_numpy(np.asarray(keys).astype(np.int64)), position, has_gauss, cached],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def restore_random(state: Mapping[str, Any]) -> None:
    """Set all generators to what `random_state` returned."""
    version, inner, gauss = state["python"]
    random.setstate((version, tuple(inner), gauss))
    keys, position, has_gauss, cached = state["numpy"]
    words = keys.numpy().astype(np.uint32)
    np.random.set_state(("MT19937", words, position, has_gauss, cached))  # noqa: NPY002 - as above
    torch.set_rng_state(state["torch"])
    if state["cuda"]:
        torch.cuda.set_rng_state_all(state["cuda"])
