"""Let a policy steer a Lightning fit: one epoch for each mixture, and a record that replays it."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl

from automl_data_mixing.course import Course, Policy, Setting
from automl_data_mixing.evaluation import Evaluator
from automl_data_mixing.loader import MixtureData
from automl_data_mixing.sampler import Rows, Sampler, Stock

RECORD = "mixing.json"


class Steering(pl.Callback):
    """Observes the losses when an epoch ends, and says the mixture of the next.

    Everything it knows is the course, which is saved with every checkpoint, and so is the loader's
    state: Lightning restores a loader in the middle of an epoch, but not at the end of one. All
    processes use what the first one observed.

    Args:
        policy: chooses the mixtures.
        setting: of the run.
        evaluator: observes the losses.
        data: whose loader is told the mixtures.
        record: file that is written after each mixture.
    """

    def __init__(
        self,
        policy: Policy,
        setting: Setting,
        evaluator: Evaluator,
        data: MixtureData,
        record: Path,
    ) -> None:
        self.policy, self.evaluator, self.data, self.record = policy, evaluator, data, record
        self.course = Course(setting)
        self.seconds = 0.0  # that observing and deciding took
        self.started = self.before = 0.0  # when the fit began, and what earlier attempts took
        self.loader: dict[str, bytes] = {}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Choose the first mixture, unless the run goes on from a checkpoint."""
        self.started = time.monotonic() - self.before
        if not self.course.losses:
            self._advance(trainer, pl_module)
        elif self.data.loader is not None:
            self.data.loader.load_state_dict(self.loader)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Observe what the mixture did, and choose the next one."""
        self._advance(trainer, pl_module)
        pl_module.log("target_loss", self._mean(targets=True), sync_dist=True)
        pl_module.log("source_loss", self._mean(targets=False), sync_dist=True)
        pl_module.log("forgetting", self.course.forgetting(), sync_dist=True)

    def _advance(self, trainer: pl.Trainer, model: pl.LightningModule) -> None:
        began = time.monotonic()
        losses = trainer.strategy.broadcast(self.evaluator(model).tolist())
        self.course = self.course.observe(losses, rate_of(trainer))
        if not self.course.done and self.data.loader is not None:
            self.course = self.course.decide(self.policy)
            self.data.loader.sampler.set_weights(self.course.weights[-1])
        self.seconds += time.monotonic() - began
        if trainer.is_global_zero:
            self._write()

    def _mean(self, *, targets: bool) -> float:
        flags = self.course.setting.flags
        return float(np.array(self.course.losses[-1])[flags if targets else ~flags].mean())

    def _write(self) -> None:
        loader, setting = self.data.loader, self.course.setting
        content = self.course.to_dict() | {
            "names": list(setting.names),
            "target": list(setting.target),
            "counts": list(loader.sampler.place.counts) if loader else [],
            "batches": self.data.length,
            "seed": self.data.stock.seed,
            "batch_size": self.data.stock.batch_size,
            "manifest": self.data.stock.manifest,
            "seconds": self.seconds,
            "fit_seconds": time.monotonic() - self.started,
        }
        write_text(self.record, json.dumps(content, indent=1))

    def state_dict(self) -> dict[str, Any]:
        """Return the course so far, the loader's place and the time spent."""
        loader = self.data.loader.state_dict() if self.data.loader else {}
        fit = time.monotonic() - self.started
        return {
            "course": self.course.to_dict(),
            "loader": loader,
            "seconds": self.seconds,
            "fit": fit,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a course and a place."""
        self.course = Course.from_dict(self.course.setting, state_dict["course"])
        self.loader = state_dict["loader"]
        self.seconds, self.before = state_dict["seconds"], state_dict["fit"]


def rate_of(trainer: pl.Trainer) -> float:
    """Return the learning rate as a fraction of the one that its schedule scales."""
    group = trainer.optimizers[0].param_groups[0]
    return float(group["lr"]) / float(group.get("initial_lr", group["lr"]) or 1.0)


def replay(record: dict[str, Any], stock: Stock) -> Iterator[Rows]:
    """Yield the domains and rows of every batch of a recorded run.

    Raises:
        ValueError: if the rows are not those of the record.
    """
    if record["manifest"] != stock.manifest:
        raise ValueError(
            f"record: it was made with rows {record['manifest'][:12]}, "
            f"these are {stock.manifest[:12]}; restore the files that the manifest names"
        )
    sampler = Sampler(stock)
    for weights in record["weights"]:
        sampler.set_weights(weights)
        for _ in range(record["batches"]):
            yield sampler.next()


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
