"""Small models and plugins that tests search, fast enough to run by the hundred."""

import os
import signal
import time
from pathlib import Path

import pytorch_lightning as pl
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch.utils.data import DataLoader, TensorDataset

import automl


class Line(pl.LightningModule):
    """Fits y = 2x; logs its loss, and `size`, which grows with `width`."""

    def __init__(self, lr: float = 0.1, width: int = 4, optimizer: str = "sgd", noise: float = 0.0):
        super().__init__()
        self.save_hyperparameters()
        self.lr, self.width, self.optimizer, self.noise = lr, width, optimizer, noise
        self.layer = torch.nn.Linear(1, width)
        self.out = torch.nn.Linear(width, 1)

    def forward(self, x):
        return self.out(self.layer(x))

    def training_step(self, batch, index):
        x, y = batch
        x = x + self.noise * torch.randn_like(x)
        return torch.nn.functional.mse_loss(self(x), y)

    def validation_step(self, batch, index):
        x, y = batch
        self.log("val_loss", torch.nn.functional.mse_loss(self(x), y))
        self.log("size", float(self.width))

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=self.lr)
        return {
            "optimizer": optimizer,
            "lr_scheduler": torch.optim.lr_scheduler.StepLR(optimizer, 2, 0.5),
        }


class SlowLine(Line):
    """As `Line`, but an epoch takes half a second."""

    def on_train_epoch_end(self):
        time.sleep(0.5)


class Pairs(pl.LightningDataModule):
    """32 points of y = 2x, shuffled."""

    def __init__(self, count: int = 32, batch: int = 8):
        super().__init__()
        self.count, self.batch = count, batch

    def set(self):
        x = torch.linspace(-1, 1, self.count)[:, None]
        return TensorDataset(x, 2 * x)

    def train_dataloader(self):
        return DataLoader(self.set(), self.batch, shuffle=True)

    def val_dataloader(self):
        return DataLoader(self.set(), self.batch)


class Blank(pl.LightningModule):
    """Does nothing."""

    def __init__(self, x: float = 0.5, n: int = 3, choice: str = "a"):
        super().__init__()
        self.x, self.n, self.choice = x, n, choice


class Formula:
    """Trains nothing: `near` is the distance of x from 0.3, `far` that of x from 0.7."""

    @automl.hookimpl
    def train(self, job):
        return True

    @automl.hookimpl
    def measure(self, job):
        x = job.model.x
        return {"near": abs(x - 0.3), "far": abs(x - 0.7)}


class Slow(Formula):
    """As `Formula`, but takes half a second."""

    @automl.hookimpl
    def train(self, job):
        time.sleep(0.5)
        return True


class Curve(Formula):
    """Yields three further points from each job."""

    @automl.hookimpl
    def refine(self, job):
        for step in (1, 2, 3):
            x = job.model.x * step / 4
            yield job.point(
                f"step={step}",
                params={"model.x": x},
                metrics={"near": abs(x - 0.3), "far": abs(x - 0.7)},
            )


class BreakOptions(BaseModel):
    model_config = ConfigDict(extra="forbid")
    how: str = Field("raise", description="how to fail")
    above: float = Field(0.5, description="fails where model.x is above")
    times: int = Field(99, description="fails in the first attempts only")


class Break(Formula):
    """Fails in the way that its options say."""

    Options = BreakOptions

    def __init__(self, options):
        self.options = options

    @automl.hookimpl
    def train(self, job):
        tries = job.folder / "tries"
        count = int(tries.read_text()) if tries.exists() else 0
        tries.parent.mkdir(parents=True, exist_ok=True)
        tries.write_text(str(count + 1))
        if job.model.x > self.options.above and count < self.options.times:
            fail(self.options.how)
        return True


def fail(how):
    """End this process or its work in the way that `how` names."""
    match how:
        case "raise":
            raise RuntimeError("as told")
        case "oom":
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "hang":
            time.sleep(1000)
        case "exit":
            raise SystemExit(1)


def study(folder, **changes):
    """Make a study over `Blank` with `Formula`, in `folder`."""
    given = {
        "name": "toy",
        "model": {"class_path": "toys.Blank"},
        "plugins": {"formula": {"path": "formula.py"}},
        "objectives": {
            "near": {"goal": "minimize", "ref": 1.0},
            "far": {"goal": "minimize", "ref": 1.0},
        },
        "space": {"model.x": {"float": [0, 1]}},
        "budget": {"trials": 6},
        "search": {"sampler": "random"},
        "engine": "inline",
        "folder": str(folder / "runs"),
    }
    return automl.Study(**(given | changes))


def beside(folder, plugin="Formula", name="formula.py"):
    """Write a plugin file that gives a toy, or a plugin `module.Class`, to studies in `folder`."""
    module, _, kind = plugin.rpartition(".")
    module = module or "toys"
    text = f"import {module}\n\n\nclass Mine({module}.{kind}):\n    pass\n"
    (folder / name).write_text(text, encoding="utf-8")
    return folder


def paths(folder: Path):
    """Return every file below a folder."""
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


class Preview:
    """Shows a table in the plan."""

    @automl.hookimpl
    def preview(self, job):
        rows = ((type(job.model).__name__, 1),)
        yield automl.Section("What would be done", (automl.Table("Units", ("unit", "n"), rows),))


class File(Formula):
    """Measures a number that a file beside the study holds."""

    @automl.hookimpl
    def measure(self, job):
        return {"near": float(Path("number.txt").read_text()), "far": 0.0}


class Breaks(Formula):
    """Puts a file where the folder of the store is, as if that could not be written any more."""

    @automl.hookimpl
    def measure(self, job):
        store = Path("store")
        if store.is_dir():
            store.rename("gone")
            store.write_text("no folder")
        return super().measure(job)


class Counted(Formula):
    """Writes down each time that it has run, and with which x."""

    @automl.hookimpl
    def train(self, job):
        with Path("ran.txt").open("a") as file:
            file.write(f"{job.model.x!r}\n")
        return True


class SlowCounted(Counted):
    """As `Counted`, but takes half a second."""

    @automl.hookimpl
    def train(self, job):
        time.sleep(0.5)
        return super().train(job)


class Wordless(Formula):
    """Measures nothing that is a number."""

    @automl.hookimpl
    def measure(self, job):
        return {"near": None, "far": 0.0}
