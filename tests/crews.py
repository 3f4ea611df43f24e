"""A model that several ranks train, each of which says who it is and what it has seen."""

import os
import signal
import time
from pathlib import Path

import psutil
import torch
import toys

from automl.files import write_json


class Counting(toys.Line):
    """As `toys.Line`, but fails in a rank if told, in the second epoch."""

    def __init__(self, lr: float = 0.1, how: str = "train"):
        super().__init__(lr=lr, noise=0.1)
        self.how, self.seen = how, []

    def on_train_start(self):
        self.say()

    def on_train_end(self):
        self.say()

    def say(self):
        path = Path(f"said-{self.global_rank}.json")
        said = {"pid": os.getpid(), "group": os.getpgrp(), "seen": self.seen}
        write_json(path, said | {"weight": self.out.weight.tolist()})

    def training_step(self, batch, index):
        self.seen += [round(float(x + 1) / 2 * 31) for x in batch[0]]
        what, _, rank = self.how.partition(" on ")
        if rank == str(self.global_rank) and self.current_epoch == 1 and index == 1:
            interrupt() if what == "interrupt" else toys.fail(what)
        loss = super().training_step(batch, index)
        # reduced over all ranks as soon as any of them reads it
        self.log("epoch_loss", loss, on_step=False, on_epoch=True, sync_dist=True)
        return loss

    def validation_step(self, batch, index):
        x, y = batch
        self.log("val_loss", torch.nn.functional.mse_loss(self(x), y), sync_dist=True)
        self.log("world", float(self.trainer.world_size))


class Many(toys.Pairs):
    """As `toys.Pairs`, in batches of four."""

    def __init__(self):
        super().__init__(batch=4)


def interrupt():
    """Press Ctrl-C where the driver runs."""
    psutil.Process().parents()[2].send_signal(signal.SIGINT)
    time.sleep(2)
