"""A callback that breaks training, for the check that a plugin hides no failure."""

from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
import torch

from automl.callbacks import NotFiniteError


class Break(pl.Callback):
    """Raise what is raised where memory ends or a metric is not finite, after the first batch.

    Args:
        kind: how to break.
        mark: file that is made before, to tell a trial that trains nothing.
    """

    def __init__(self, kind: Literal["oom", "nan"], mark: Path) -> None:
        self.kind = kind
        self.mark = mark

    def on_train_batch_end(self, *of_lightning: Any) -> None:
        """Break."""
        del of_lightning
        self.mark.touch()
        if self.kind == "oom":
            raise torch.cuda.OutOfMemoryError("out of memory")
        raise NotFiniteError("a metric is nan")
