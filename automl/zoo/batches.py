"""Data that lies in memory as tensors, cut into batches without worker processes."""

from collections.abc import Iterator
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler


class Samples(Dataset[tuple[Tensor, Tensor]]):
    """Inputs and targets of equal number; images of bytes become numbers in [0, 1].

    Args:
        inputs: (N, ...) features or images.
        targets: (N,) classes or numbers.
    """

    def __init__(self, inputs: Tensor, targets: Tensor) -> None:
        if len(inputs) != len(targets):
            raise ValueError(f"{len(inputs)} inputs, but {len(targets)} targets")
        self.inputs = inputs
        self.targets = targets

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return numbers(self.inputs[index]), self.targets[index]

    def __getitems__(self, indices: list[int]) -> tuple[Tensor, Tensor]:
        """Return a whole batch at once, which is what makes loading cheap."""
        chosen = torch.as_tensor(indices)
        return numbers(self.inputs[chosen]), self.targets[chosen]


class Shuffle(Sampler[int]):
    """A new order in each epoch, which depends on the seed and the epoch alone.

    So a training that was cut between two epochs goes on with the order that it would have had.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.seed = torch.initial_seed()
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order; Lightning calls this before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed((self.seed + self.epoch) % 2**63)
        order: list[int] = torch.randperm(self.count, generator=generator).tolist()
        return iter(order)


class InMemory(pl.LightningDataModule):
    """Training, validation and test samples that `load` reads once.

    Args:
        batch_size: samples of a training batch.
        shift: most pixels by which a training image is shifted.
        flip: whether training images may be mirrored.
    """

    def __init__(self, batch_size: int, *, shift: int = 0, flip: bool = False) -> None:
        super().__init__()
        if batch_size < 1 or shift < 0:
            raise ValueError(f"batch_size {batch_size} is below 1, or shift {shift} below 0")
        self.batch_size = batch_size
        self.shift, self.flip = shift, flip
        self.splits: dict[str, Samples] = {}

    def load(self) -> dict[str, Samples]:
        """Return the samples of `train`, `val` and `test`."""
        raise NotImplementedError(f"{type(self).__name__} must say how its samples are loaded")

    def setup(self, stage: str | None = None) -> None:
        """Load the samples, unless they are there."""
        del stage
        self.splits = self.splits or self.load()

    def train_dataloader(self) -> DataLoader[tuple[Tensor, Tensor]]:
        """Return the training batches, in a new order each epoch."""
        samples = self.splits["train"]
        return DataLoader(samples, self.batch_size, sampler=Shuffle(len(samples)), collate_fn=whole)

    def val_dataloader(self) -> DataLoader[tuple[Tensor, Tensor]]:
        """Return the validation batches, in order."""
        return DataLoader(self.splits["val"], max(self.batch_size, 256), collate_fn=whole)

    def test_dataloader(self) -> DataLoader[tuple[Tensor, Tensor]]:
        """Return the test batches, in order."""
        return DataLoader(self.splits["test"], max(self.batch_size, 256), collate_fn=whole)

    def on_after_batch_transfer(
        self, batch: tuple[Tensor, Tensor], dataloader_idx: int
    ) -> tuple[Tensor, Tensor]:
        """Shift and mirror the images of a training batch."""
        del dataloader_idx
        changes = self.shift or self.flip
        if not (changes and self.trainer is not None and self.trainer.training):
            return batch
        # of the seed and the step alone, so that a training that was cut goes on as it would have
        seed = (torch.initial_seed() + self.trainer.global_step) % 2**63
        generator = torch.Generator().manual_seed(seed)
        images = jitter(batch[0], shift=self.shift, flip=self.flip, generator=generator)
        return images, batch[1]


def whole(batch: Any) -> Any:
    """Leave a batch as `Samples` made it, where torch would stack single samples."""
    return batch


def numbers(inputs: Tensor) -> Tensor:
    """Turn bytes into numbers in [0, 1]; leave numbers as they are."""
    return inputs.float() / 255 if inputs.dtype == torch.uint8 else inputs


def split(
    inputs: Tensor, targets: Tensor, *, val: float, test: float, seed: int
) -> dict[str, Samples]:
    """Part samples at random into `train`, `val` and `test`.

    Args:
        inputs: (N, ...) features or images.
        targets: (N,) classes or numbers.
        val: fraction of the samples.
        test: fraction of the samples.
        seed: of the split.
    """
    if min(val, test) < 0 or val + test >= 1:
        raise ValueError(f"val and test are fractions that leave a rest, got {val} and {test}")
    order = torch.randperm(len(targets), generator=torch.Generator().manual_seed(seed))
    kept_out = round(len(targets) * test)
    validating = kept_out + round(len(targets) * val)
    parts = {
        "train": order[validating:],
        "val": order[kept_out:validating],
        "test": order[:kept_out],
    }
    return {name: Samples(inputs[part], targets[part]) for name, part in parts.items()}


def jitter(images: Tensor, *, shift: int, flip: bool, generator: torch.Generator) -> Tensor:
    """Shift each image at random, filling with zeros, and mirror half of them.

    Args:
        images: (N, C, H, W).
        shift: most pixels up or down, left or right.
        flip: whether left and right may be exchanged.
        generator: of the random numbers, on the CPU.

    Returns:
        (N, C, H, W) images.
    """
    count, _, height, width = images.shape
    if shift:
        padded = torch.nn.functional.pad(images, (shift,) * 4)
        corner = torch.randint(0, 2 * shift + 1, (2, count, 1), generator=generator)
        corner = corner.to(images.device)
        rows = corner[0] + torch.arange(height, device=images.device)
        columns = corner[1] + torch.arange(width, device=images.device)
        which = torch.arange(count, device=images.device)[:, None, None]
        images = padded[which, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    if flip:
        mirrored = torch.rand(count, generator=generator).to(images.device) < 0.5
        images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
    return images
