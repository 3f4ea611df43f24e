"""Small modules and trainings for the tests of learning-rate refinement."""

from dataclasses import dataclass, field

import pytorch_lightning as pl
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR
from torch.utils.data import DataLoader, TensorDataset

import automl
from automl import stages
from automl.job import JobSpec
from automl_lr_refinement.schedules import Schedule

QUIET = (  # what Lightning says about small trainings and of newer versions of torch
    ".*does not have many workers",
    ".*isinstance.treespec, LeafSpec",
    ".*smaller than the logging interval",
)


class Line(pl.LightningModule):
    """Least squares in four dimensions, with the optimizer that a test asks for."""

    def __init__(self, optimizer=torch.optim.SGD, *, scheduler=None, **settings):
        super().__init__()
        self.layer = torch.nn.Linear(4, 1)
        self.make, self.settings = optimizer, {"lr": 0.1} | settings
        self.scheduler = scheduler
        self.seen = []

    def loss(self, batch):
        return ((self.layer(batch[0]).squeeze(-1) - batch[1]) ** 2).mean()

    def training_step(self, batch, index):
        return self.loss(batch)

    def validation_step(self, batch, index):
        self.log("val_loss", self.loss(batch))

    def configure_optimizers(self):
        optimizer = self.make(self.parameters(), **self.settings)
        return [optimizer], [self.scheduler(optimizer)] if self.scheduler else []

    def on_before_optimizer_step(self, optimizer):
        flat = torch.cat([p.grad.flatten() for p in self.parameters()])
        self.seen.append([flat.abs().sum().item(), flat.norm().item()])


class Pair(Line):
    """Two optimizers, stepped by hand: the second every other batch."""

    def __init__(self):
        super().__init__()
        self.other = torch.nn.Linear(4, 1)
        self.automatic_optimization = False

    def training_step(self, batch, index):
        first, second = self.optimizers()
        x, y = batch
        for number, (optimizer, layer) in enumerate([(first, self.layer), (second, self.other)]):
            if number and index % 2:
                continue
            optimizer.zero_grad()
            self.manual_backward(((layer(x).squeeze(-1) - y) ** 2).mean())
            optimizer.step()

    def configure_optimizers(self):
        first = torch.optim.SGD(self.layer.parameters(), lr=0.1)
        return [first, torch.optim.AdamW(self.other.parameters(), lr=0.01)]

    def on_before_optimizer_step(self, optimizer):
        grads = [p.grad.flatten() for p in optimizer.param_groups[0]["params"]]
        self.seen.append((type(optimizer).__name__, torch.cat(grads).norm().item()))


class Late(Pair):
    """The second optimizer begins after a quarter of the training."""

    def training_step(self, batch, index):
        super().training_step(batch, 1 if self.current_epoch < 1 else index)


class Broken(Line):
    """A loss that is not a number."""

    def loss(self, batch):
        return super().loss(batch) * torch.nan


class Scheduled(Line):
    """Configures a scheduler of its own."""

    def __init__(self):
        super().__init__(scheduler=lambda optimizer: CosineAnnealingLR(optimizer, 3))


def batches(count=5, size=4, scale=1.0):
    """A loader of the same batches in the same order each time."""
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(count * size, 4, generator=rng)
    return DataLoader(TensorDataset(x, scale * (x.sum(-1) + 1)), batch_size=size)


def trainer(folder, *callbacks, **settings):
    """A quiet trainer on the CPU."""
    quiet = {
        "accelerator": "cpu",
        "devices": 1,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "max_epochs": 2,
    }
    return pl.Trainer(default_root_dir=folder, callbacks=list(callbacks), **(quiet | settings))


def fit(model, folder, *callbacks, data=None, ckpt_path=None, **settings):
    """Train a model and return its trainer."""
    made = trainer(folder, *callbacks, **settings)
    made.fit(model, batches() if data is None else data, batches(2), ckpt_path=ckpt_path)
    return made


class Batches(pl.LightningDataModule):
    """The same batches as data of a study."""

    def train_dataloader(self):
        return batches(10)

    def val_dataloader(self):
        return batches(2)


def study(model="Line", **options):
    """A study of least squares with this plugin."""
    return automl.Study.model_validate(
        {
            "name": "toy",
            "model": {"class_path": f"{__name__}.{model}"},
            "data": {"class_path": f"{__name__}.Batches"},
            "trainer": {"max_epochs": 4},
            "plugins": {"lr_refinement": options},
            "objectives": {"val_loss": {"goal": "minimize"}},
            "budget": {"trials": 1},
        }
    )


@dataclass
class Ear:
    """The driver's end of a line; asks to stop when it was asked often enough."""

    patience: float = float("inf")
    heard: list = field(default_factory=list)

    def report(self, step, metrics):
        self.heard.append((step, metrics))

    def stopped(self):
        self.patience -= 1
        return self.patience < 0


def trial(folder, ear=None, *, kind="trial", attempt=0, model="Line", **options):
    """Run one trial in this process."""
    spec = JobSpec(
        study(model, **options), kind, 0, attempt, {}, 7, folder / "0", folder / "shared", folder
    )
    spec.folder.mkdir(exist_ok=True)
    return stages.run(spec, ear or Ear())


def used(folder):
    return Schedule.read(folder / "0" / "lr_refinement" / "used-0.json")


def exported(folder):
    """The schedule that a trial leaves to use again."""
    return Schedule.read(folder / "0" / "schedule.json")
