"""Models that draw random numbers, and loaders of every kind, to be cut within an epoch."""

import torch
import toys
from torch.utils.data import DataLoader, IterableDataset
from torchmetrics import MeanMetric

BATCHES = 4  # of an epoch of `toys.Pairs`


class Drawing(toys.Line):
    """Draws in its steps, and logs what it gathers over an epoch in three ways."""

    def __init__(self, lr=0.1, noise=0.1):
        super().__init__(lr=lr, noise=noise)
        self.dropout = torch.nn.Dropout(0.3)
        self.gathered = MeanMetric()

    def forward(self, x):
        return self.out(self.dropout(self.layer(x)))

    def training_step(self, batch, index):
        self.begun(index)
        loss = super().training_step(batch, index)
        self.gathered.update(loss.detach())
        self.log("mean", loss, on_epoch=True)
        self.log("most", loss, on_step=False, on_epoch=True, reduce_fx="max")
        self.log("gathered", self.gathered, on_step=False, on_epoch=True)
        self.passed(index)
        return loss

    def begun(self, index):
        """Do what a test wants to happen at the beginning of a step."""

    def passed(self, index):
        """Do what a test wants to happen in the middle of a step."""


class Noisy:
    """Pairs whose inputs are disturbed anew each time that they are read."""

    def __init__(self):
        self.pairs = toys.Pairs().set()

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, index):
        x, y = self.pairs[index]
        return x + 0.1 * torch.randn(1), y


class Stream(IterableDataset):
    """The same without a length."""

    def __iter__(self):
        yield from (Noisy()[index] for index in torch.randperm(32).tolist())


class Placed:
    """A loader that tells its place and goes to one."""

    def __init__(self):
        self.place = 0

    def __len__(self):
        return BATCHES

    def __iter__(self):
        x, y = toys.Pairs().set().tensors
        self.place %= BATCHES
        while self.place < BATCHES:
            self.place += 1
            rows = slice(8 * self.place - 8, 8 * self.place)
            yield x[rows] + 0.1 * torch.randn(8, 1), y[rows]

    def state_dict(self):
        return {"place": self.place}

    def load_state_dict(self, state):
        self.place = state["place"]


class Fed(toys.Pairs):
    """Feeds a model with one of several loaders."""

    def __init__(self, kind="noisy"):
        super().__init__()
        self.kind = kind

    def train_dataloader(self):
        match self.kind:
            case "noisy":
                return DataLoader(Noisy(), 8, shuffle=True)
            case "own":
                own = torch.Generator().manual_seed(1)
                return DataLoader(Noisy(), 8, shuffle=True, generator=own)
            case "workers":
                return DataLoader(Noisy(), 8, shuffle=True, num_workers=2)
            case "stream":
                return DataLoader(Stream(), 8)
            case _:
                return Placed()


class Keeping(Drawing):
    """Keeps in an epoch what no checkpoint has."""

    def on_train_epoch_start(self):
        self.seen = []

    def passed(self, index):
        self.seen.append(index)

    def on_train_epoch_end(self):
        self.log("seen", float(len(self.seen)))
