"""A torch scheduler that follows a schedule's table, stepped once an optimizer step."""

from typing import Any

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from automl_lr_refinement.schedules import Schedule, interpolate


class TableLR(LRScheduler):
    """Multiply each group's learning rate by the schedule's value at its step.

    The state is plain numbers and holds the table, so that a resumed run needs nothing else.

    Args:
        optimizer: whose groups have their peak learning rates.
        schedule: to follow.
        steps: optimizer steps of the whole training; after them the last value stays.
        last_epoch: steps done; -1 for a new training.
    """

    def __init__(
        self, optimizer: Optimizer, schedule: Schedule, steps: int, last_epoch: int = -1
    ) -> None:
        if steps < 1:
            raise ValueError(f"steps: must be at least 1, got {steps}")
        self.table = list(schedule.table)
        self.steps = steps
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float | Tensor]:
        """Return the learning rate of each group at the present step."""
        factor = interpolate(self.table, self.last_epoch / self.steps)
        return [base * factor for base in self.base_lrs]

    def move(self, step: int) -> None:
        """Go to a step at once, for training loops that do not step once a batch."""
        self.last_epoch = step
        rates = self.get_lr()
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            put(group, rate)
        self._last_lr = rates


def put(group: dict[str, Any], rate: float | Tensor) -> None:
    """Set the learning rate of a group, in place where it is a tensor."""
    if isinstance(group["lr"], Tensor):
        group["lr"].fill_(rate)
    else:
        group["lr"] = rate
