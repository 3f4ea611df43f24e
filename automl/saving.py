"""The Lightning callback that saves a fit so that it goes on exactly from where it was."""

import logging
import pickle
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint

from automl import position, tallies
from automl.callbacks import Stopper, scalars, together
from automl.checkpoints import FORMAT, Checkpoints

PAUSE = 20.0  # seconds between two checkpoints of a fit
SHARE = 20  # a fit trains at least so many times as long as it saves


def resumable(checkpoints: Checkpoints) -> Path | None:
    """Return the checkpoint that a fit goes on from; if one cannot be, the log says why."""
    log = logging.getLogger("automl")
    if checkpoints.foreign is not None:
        said = f"written in format {checkpoints.foreign}, this automl reads {FORMAT}"
        log.warning("%s: %s; the fit begins anew", checkpoints.folder, said)
    last = checkpoints.last()
    if last is None:
        return None
    try:
        torch.load(last, map_location="cpu", weights_only=True, mmap=True)
    except (pickle.UnpicklingError, RuntimeError) as error:
        said = " ".join(str(error).split())[:300]
        log.warning("%s: cannot be read (%s); the fit begins anew", last, said)
        checkpoints.drop()
        return None
    return last


@dataclass(frozen=True, slots=True)
class Steady:
    """A fit after an optimizer step, to tell whether an error has changed anything since."""

    batches: int
    step: int
    versions: int  # how often buffers were written to
    counts: dict[str, int]
    random: dict[str, Any]
    logged: dict[str, dict[str, Any]]


class Saver(Checkpoint):
    """Save every `pause` seconds, also within an epoch, and when the fit breaks off.

    The states of the random number generators and the place in the data are saved and restored
    too, so that a fit that goes on does what the uncut one would. In the middle of an epoch nothing
    is saved that could not go on exactly. Lightning calls it after other callbacks.

    Args:
        checkpoints: of this fit.
        stopper: knows whether the fit was cut.
        pause: seconds between two checkpoints.
    """

    def __init__(
        self, checkpoints: Checkpoints, stopper: Stopper | None = None, pause: float = PAUSE
    ) -> None:
        self.checkpoints, self.stopper, self.pause = checkpoints, stopper, pause
        self.saved_at = time.monotonic()
        self.saved_step = -1
        self.took = 0.0  # seconds that the last checkpoint took
        self.loaded: list[dict[str, Any]] = []  # of each rank
        self.begun: dict[str, Any] | None = None  # the random numbers that the epoch began with
        self.before: dict[str, dict[str, Any]] = {}  # logged before the fit was cut
        self.counts = False  # whether the fit can go on from the middle of an epoch
        self.late: list[dict[str, Any]] = []  # the random numbers after the last two batches
        self.steady: Steady | None = None
        self.broken: Steady | None = None  # to be saved in the place of what is there now
        self.trainer: Any = None

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Restore the random numbers before loaders are made that are made every epoch."""
        del pl_module
        self.trainer = trainer
        if self.loaded and position.reloads(trainer):
            position.restore_random(trainer, mine(trainer, self.loaded)["random"])

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Go to the place in the data, and restore the random numbers."""
        self.counts = position.countable(trainer)
        if not self.loaded or position.reloads(trainer):
            return
        loaded = mine(trainer, self.loaded)
        self.begun = loaded["begun"] or loaded["random"]
        position.restore_random(trainer, self.begun)
        position.begin_again(trainer, loaded["batches"], loaded["late"])
        if loaded["batches"]:
            position.restore_random(trainer, loaded["random"])
            self.before = loaded["logged"]
            tallies.put_back(pl_module, loaded["metrics"])

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Remember the random numbers that the epoch begins with."""
        del pl_module
        if self.begun is None:
            self.begun = position.random_state(trainer)

    def on_before_backward(self, *_: Any) -> None:
        """Note that something changes from here on."""
        self.steady = None

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any
    ) -> None:
        """Save if it is time to and the fit can go on from here."""
        if self.before:
            tallies.add(trainer, self.before)
        self.steady = None
        if position.ahead(trainer):
            self.late = [*self.late[-1:], position.random_state(trainer)]
        if not (self.counts and position.steady(trainer)):
            return
        if together(trainer, self._due() or trainer.should_stop or trainer.received_sigterm):
            self.save(trainer)
        if trainer.world_size == 1:
            self.steady = self._now(trainer, pl_module)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save if it is time to."""
        del pl_module
        if self.before:
            tallies.add(trainer, self.before)
        if self.stopper is not None and self.stopper.cut:
            return
        self.begun = self.steady = None
        self.before, self.late = {}, []
        if together(trainer, self._due() or trainer.received_sigterm):
            self.save(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the end of the fit, unless it was cut: what it was then is saved already."""
        del pl_module
        if self.stopper is None or not self.stopper.cut:
            self.save(trainer)

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Save what the fit was after its last step, if nothing has changed since."""
        last, self.steady = self.steady, None
        if last is None or isinstance(exception, FloatingPointError):
            return
        if any(position.stateful(one) for one in position.loaders(trainer)):
            return  # they are one batch further on
        same = (trainer.global_step, versions(pl_module), tallies.counts(pl_module))
        if same == (last.step, last.versions, last.counts):
            self.broken = last
            with suppress(OSError, RuntimeError):  # or it would hide what broke the fit
                self.save(trainer)

    def save(self, trainer: pl.Trainer) -> None:
        """Write a checkpoint unless this step has one; rank 0 alone writes."""
        if self.saved_step == trainer.global_step:
            return
        began = time.monotonic()
        name = f"step={trainer.global_step}.ckpt"
        # all ranks read them: what is logged with sync_dist is reduced when it is read
        logged = scalars(trainer.callback_metrics)
        if trainer.is_global_zero:
            metrics = self.checkpoints.metrics | logged
            self.checkpoints.save(name, trainer.save_checkpoint, metrics)
        else:
            trainer.save_checkpoint(self.checkpoints.folder / name)
        self.saved_at, self.saved_step = time.monotonic(), trainer.global_step
        self.took = self.saved_at - began

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Count an unfinished batch as not begun."""
        del trainer, pl_module
        if self.broken is None:
            return
        loops = checkpoint["loops"]["fit_loop"]
        progress = loops["epoch_loop.batch_progress"]
        for part in (progress["total"], progress["current"]):
            done = part["processed"]
            part |= {"ready": done, "started": done, "completed": done - 1}
        progress["is_last_batch"] = False
        loops["epoch_loop.state_dict"]["_batches_that_stepped"] -= 1

    def state_dict(self) -> dict[str, Any]:
        """Return the states of the random number generators, and the place in the epoch."""
        trainer, last = self.trainer, self.broken
        progress = trainer.fit_loop.epoch_loop.batch_progress
        # `begun` is forgotten at the end of an epoch
        inside = last is not None or (self.begun is not None and not progress.is_last_batch)
        batches = last.batches if last else progress.current.processed if inside else 0
        state = {
            "random": last.random if last else position.random_state(trainer),
            "begun": self.begun if inside else None,
            "batches": batches,
            "late": self.late[0] if inside and len(self.late) > 1 else None,
            "logged": self._logged() if inside else {},
            "metrics": tallies.accumulated(trainer.lightning_module) if inside else {},
        }
        return {"ranks": everyone(trainer, state)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the states until the fit starts."""
        self.loaded = state_dict["ranks"]

    def _due(self) -> bool:
        return time.monotonic() - self.saved_at >= max(self.pause, SHARE * self.took)

    def _now(self, trainer: pl.Trainer, module: pl.LightningModule) -> Steady:
        progress: Any = trainer.fit_loop.epoch_loop.batch_progress.current
        known = (versions(module), tallies.counts(module), position.random_state(trainer))
        logged = tallies.logged(trainer) | self.before
        return Steady(progress.processed, trainer.global_step, *known, logged)

    def _logged(self) -> dict[str, dict[str, Any]]:
        return self.broken.logged if self.broken else tallies.logged(self.trainer) | self.before


def mine(trainer: pl.Trainer, states: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the state of this rank."""
    return states[trainer.global_rank % len(states)]


def everyone(trainer: pl.Trainer, state: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the states of all ranks, on every rank."""
    states = [state] * trainer.world_size
    if trainer.world_size > 1:
        torch.distributed.all_gather_object(states, state)
    return states


def versions(module: torch.nn.Module) -> int:
    """Say how often the buffers of a model have been written to."""
    return sum(buffer._version for buffer in module.buffers())  # noqa: SLF001 - torch's own count
