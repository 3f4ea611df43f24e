"""A small steered training that can be cut anywhere; run as a script it kills itself on request."""

import hashlib
import os
import sys
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch

from automl.checkpoints import Checkpoints
from automl.saving import Saver
from automl.zoo.text import TinyGPT
from automl_data_mixing.corpus import Corpus, Entry
from automl_data_mixing.course import Setting
from automl_data_mixing.evaluation import Evaluator
from automl_data_mixing.loader import MixtureData, stock_of
from automl_data_mixing.policies import Odm
from automl_data_mixing.steering import Steering

SIZES = {"a": 60, "b": 25, "c": 90}
STEPS, REWEIGHTS = 5, 6


def corpus():
    """Make three domains of random rows that differ in their alphabets."""
    draw = np.random.default_rng(0)
    rows = [draw.integers(10 * k, 10 * k + 9 + k, (n, 9)) for k, n in enumerate(SIZES.values())]
    rows = [part.astype(np.uint8) for part in rows]
    fields = ("source", "source", "target")
    entries = tuple(
        Entry(name, field, 1, 0, size, 8, size, 64, "", "", None, 0.0, 1.0)
        for (name, size), field in zip(SIZES.items(), fields, strict=True)
    )
    return Corpus(entries, tuple(rows), tuple(part[:8] for part in rows))


SETTING = Setting(tuple(SIZES), (False, False, True), tuple(SIZES.values()), REWEIGHTS, STEPS * 8)


class Logged(TinyGPT):
    """Writes a digest of every batch, each process in a file of its own, and dies at one."""

    def __init__(self, log, end=-1):
        super().__init__(width=8, layers=1, heads=2, context=8, lr=1e-2)
        self.log_file, self.end = Path(log), end

    def training_step(self, batch, index):
        digest = hashlib.sha256(batch[0].numpy().tobytes()).hexdigest()
        with self.log_file.with_suffix(f".{self.global_rank}").open("a") as log:
            log.write(f"{self.global_step} {digest}\n")
        if self.global_step == self.end:
            os.kill(os.getpid(), 9)
        return super().training_step(batch, index)


def train(folder, policy=None, end=-1, epochs=REWEIGHTS, **options):
    """Train, or go on from the last checkpoint of the folder; returns model and steering."""
    torch.manual_seed(0)
    model, rows = Logged(str(folder / "log"), end), corpus()
    data = MixtureData(rows, stock_of(rows, 8, seed=1), STEPS)
    steering = Steering(policy or Odm(), SETTING, Evaluator(rows, 4), data, folder / "mixing.json")
    checkpoints = Checkpoints(folder / "checkpoints")
    last = checkpoints.last()
    trainer = pl.Trainer(
        max_epochs=epochs,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        limit_val_batches=0,
        accelerator="cpu",
        callbacks=[steering, Saver(checkpoints, pause=0.0)],
        **options,
    )
    resume = {} if last is None else {"ckpt_path": str(last), "weights_only": True}
    trainer.fit(model, datamodule=data, **resume)
    return model, steering


if __name__ == "__main__":
    made, _ = train(Path(sys.argv[1]), end=int(sys.argv[2]))
    torch.save(made.state_dict(), Path(sys.argv[1]) / "weights.pt")
