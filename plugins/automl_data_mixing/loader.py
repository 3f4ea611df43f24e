"""Batches of a mixture: a loader whose state is exact whatever reads ahead, and its data module."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from automl_data_mixing.corpus import Corpus
from automl_data_mixing.sampler import Place, Rows, Sampler, Stock, draw

Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True, slots=True)
class Ahead:
    """A batch that is being read: the places before and after it, and how to wait for it."""

    before: Place
    after: Place
    result: Callable[[], Batch]


class MixtureLoader:
    """Yields pairs of tokens (B, C) and next tokens (B, C) drawn from a corpus.

    Its length is known, which Lightning needs to save a state that is not one batch ahead. Ranks
    take slices of the same global batch, and threads only read: the order of the data depends on
    neither. What was read ahead of a change of weights is thrown away.

    Args:
        corpus: rows by domain.
        stock: what the sampler draws from.
        length: number of batches of the whole training.
        rank: of this process.
        world: number of processes; must divide the batch size.
        workers: threads that read ahead, each one batch.
    """

    def __init__(
        self,
        corpus: Corpus,
        stock: Stock,
        length: int,
        *,
        rank: int = 0,
        world: int = 1,
        workers: int = 0,
    ) -> None:
        if stock.batch_size % world:
            raise ValueError(
                f"batch_size: {stock.batch_size} cannot be divided among {world} processes"
            )
        self.corpus, self.length, self.workers = corpus, length, workers
        self.share = slice(rank, None, world)
        self.sampler = Sampler(stock)

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[Batch]:
        """Go on from where the state says; a loader that is through starts its next epoch."""
        stock, sampler = self.sampler.stock, self.sampler
        end = sampler.place.batch + self.length - sampler.place.batch % self.length
        pool: Any = ThreadPoolExecutor(self.workers) if self.workers else nullcontext()
        ahead: list[Ahead] = []
        with pool as executor:
            while sampler.place.batch < end:
                if ahead and ahead[0].before != sampler.place:
                    ahead.clear()  # the weights have changed since these were read
                place = ahead[-1].after if ahead else sampler.place
                while len(ahead) < max(1, self.workers) and place.batch < end:
                    rows, after = draw(stock, place)
                    ahead.append(Ahead(place, after, self._reading(executor, rows)))
                    place = after
                first = ahead.pop(0)
                sampler.place = first.after
                yield first.result()

    def _reading(self, executor: ThreadPoolExecutor | None, rows: Rows) -> Callable[[], Batch]:
        return executor.submit(self.read, rows).result if executor else partial(self.read, rows)

    def read(self, rows: Rows) -> Batch:
        """Read this rank's slice of a global batch."""
        domains, indices = (part[self.share] for part in rows)
        pairs = zip(domains.tolist(), indices.tolist(), strict=True)
        return pair(np.stack([self.corpus.training[k][row] for k, row in pairs]))

    def state_dict(self) -> dict[str, bytes]:
        """Return the state after the batch that was yielded last."""
        return self.sampler.state_dict()

    def load_state_dict(self, state: dict[str, bytes]) -> None:
        """Go to a state, on any number of ranks."""
        self.sampler.load_state_dict(state)


def pair(rows: Any) -> Batch:
    """Split rows (B, C + 1) into tokens and, one place further on, what is to be predicted."""
    tokens = torch.from_numpy(np.asarray(rows).astype(np.int64))
    return tokens[:, :-1], tokens[:, 1:]


class MixtureData(pl.LightningDataModule):
    """A corpus as Lightning's data: a mixture to train on, held-out rows to validate on.

    Args:
        corpus: rows by domain.
        stock: what the sampler draws from.
        length: number of batches of the whole training.
        workers: threads that read ahead.
        held_rows: held-out rows of each domain to validate on.
    """

    def __init__(
        self,
        corpus: Corpus,
        stock: Stock,
        length: int,
        *,
        workers: int = 0,
        held_rows: int = 64,
    ) -> None:
        super().__init__()
        self.corpus, self.stock, self.length = corpus, stock, length
        self.workers, self.held_rows = workers, held_rows
        self.loader: MixtureLoader | None = None
        self.weights: Any = None

    def start(self, weights: Any) -> None:
        """Say the mixture of the first batches, before the loader is made."""
        self.weights = weights

    def train_dataloader(self) -> MixtureLoader:
        """Return the loader of this rank."""
        rank, world = (
            (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        )
        self.loader = MixtureLoader(
            self.corpus, self.stock, self.length, rank=rank, world=world, workers=self.workers
        )
        if self.weights is not None:
            self.loader.sampler.set_weights(self.weights)
        return self.loader

    def val_dataloader(self) -> Any:
        """Return held-out rows of every domain."""
        rows = np.concatenate([held[: self.held_rows] for held in self.corpus.held])
        return DataLoader(TensorDataset(*pair(rows)), batch_size=self.stock.batch_size)


def stock_of(corpus: Corpus, batch_size: int, seed: int) -> Stock:
    """Describe a corpus to the sampler."""
    return Stock(
        tuple(len(rows) for rows in corpus.training),
        batch_size,
        seed,
        tuple(np.inf if e.max_epochs is None else e.max_epochs for e in corpus.entries),
        corpus.fingerprint,
    )
