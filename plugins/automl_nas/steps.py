"""Run the steps of a LightningModule outside a fit: losses, and metrics that it logs."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from automl_nas.norms import statistics


class Log:
    """What a module logs, averaged over batches by their sizes."""

    def __init__(self) -> None:
        self.totals: dict[str, tuple[Any, int]] = {}
        self.size = 1

    def log(self, name: str, value: Any, *_: Any, **options: Any) -> None:
        """Stand in for `LightningModule.log`; a torchmetrics metric is computed at the end."""
        if hasattr(value, "compute"):
            self.totals[name] = (value, 0)
            return
        size = options.get("batch_size") or self.size
        total, count = self.totals.get(name, (0.0, 0))
        detached = value.detach() if isinstance(value, Tensor) else value
        self.totals[name] = (total + detached * size, count + size)

    def log_dict(self, values: Mapping[str, Any], *_: Any, **options: Any) -> None:
        """Stand in for `LightningModule.log_dict`."""
        for name, value in values.items():
            self.log(name, value, **options)

    def means(self) -> dict[str, float]:
        """Return the mean of everything that was logged."""
        found: dict[str, float] = {}
        for name, (total, count) in self.totals.items():
            found[name] = float(total / count if count else total.compute())
            if not count:
                total.reset()
        return found


@contextmanager
def logging(module: nn.Module) -> Iterator[Log]:
    """Catch what a module logs inside, where no Trainer listens."""
    log = Log()
    changed: dict[str, Any] = {"log": log.log, "log_dict": log.log_dict}
    for name, function in changed.items():
        object.__setattr__(module, name, function)
    try:
        yield log
    finally:
        for name in changed:
            object.__delattr__(module, name)


@contextmanager
def untouched(module: nn.Module) -> Iterator[None]:
    """Undo inside what a forward pass changes: mode, buffers, random numbers."""
    modes = {part: part.training for part in module.modules()}
    buffers = {name: buffer.clone() for name, buffer in module.named_buffers()}
    devices = {p.device.index or 0 for p in module.parameters() if p.device.type == "cuda"}
    try:
        with torch.random.fork_rng(sorted(devices)):
            yield
    finally:
        for part, mode in modes.items():
            part.training = mode
        with torch.no_grad():
            for name, buffer in module.named_buffers():
                buffer.copy_(buffers[name])


def moved(batch: Any, device: torch.device) -> Any:
    """Return a batch of tensors, lists and dicts on a device."""
    match batch:
        case Tensor():
            return batch.to(device)
        case dict():
            return {name: moved(value, device) for name, value in batch.items()}
        case list() | tuple():
            return [moved(value, device) for value in batch]
        case _:
            return batch


def size_of(batch: Any) -> int:
    """Return the number of samples of a batch: the length of its first tensor."""
    match batch:
        case Tensor():
            return len(batch)
        case dict():
            return size_of(next(iter(batch.values())))
        case _:
            return size_of(batch[0])


def training_loss(module: Any, batch: Any) -> Tensor:
    """Return the loss of the module's training step on a batch.

    Raises:
        TypeError: the step returns no loss, as in manual optimization.
    """
    with logging(module):
        out = module.training_step(batch, 0)
    loss = out["loss"] if isinstance(out, Mapping) else out
    if not isinstance(loss, Tensor):
        raise TypeError(f"training_step must return a loss, got {type(loss).__name__}")
    return loss


def validated(module: Any, batches: Iterable[Any], calibration: Any) -> dict[str, float]:
    """Return the means of what the module's validation step logs.

    Args:
        module: with its path chosen.
        batches: to validate on, on the module's device.
        calibration: the batch whose statistics shared norms use.
    """
    module.eval()
    with torch.no_grad(), logging(module) as log:
        with statistics(module):
            module.validation_step(calibration, 0)
        log.totals.clear()
        for index, batch in enumerate(batches):
            log.size = size_of(batch)
            module.validation_step(batch, index)
    return log.means()
