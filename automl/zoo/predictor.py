"""What the networks of the zoo share: one LightningModule that trains and validates a predictor."""

from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from automl.zoo.descent import Descent, check_one_of


class Predictor(pl.LightningModule):
    """Train a network to name the class of its input, or to predict a number.

    Classes: cross-entropy; logs `train_loss`, `val_loss`, `val_accuracy`, `test_loss` and
    `test_accuracy`. Numbers (`task="regress"`): mean squared error; logs `r2` for `accuracy`.

    Args:
        network: from a batch of inputs to (N, classes) logits, or (N, 1) numbers.
        descent: how the network is optimized.
        example: one input with a batch axis of 1, for cost measures.
        task: `classify` or `regress`.
    """

    def __init__(
        self, network: nn.Module, descent: Descent, example: Tensor, task: str = "classify"
    ) -> None:
        super().__init__()
        check_one_of("task", task, ("classify", "regress"))
        self.network = network
        self.descent = descent
        self.task = task
        self.example_input_array = example

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the (N, classes) logits, or (N, 1) numbers, of a batch of inputs."""
        outputs: Tensor = self.network(inputs)
        return outputs

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Return the loss of one batch."""
        del batch_idx
        loss = self.loss(self(batch[0]), batch[1])
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(batch[1]))
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Log the loss and the quality of one batch."""
        del batch_idx
        self.judge("val", batch)

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Log the loss and the quality of one batch."""
        del batch_idx
        self.judge("test", batch)

    def judge(self, split: str, batch: tuple[Tensor, Tensor]) -> None:
        """Log the loss and the accuracy, or the coefficient of determination, of one batch."""
        inputs, targets = batch
        outputs = self(inputs)
        loss = self.loss(outputs, targets)
        metrics = {f"{split}_loss": loss}
        if self.task == "classify":
            hits = (outputs.argmax(dim=1) == targets).float().mean()
            metrics[f"{split}_accuracy"] = hits
        else:  # targets are standardized: their variance is 1
            metrics[f"{split}_r2"] = 1 - loss
        self.log_dict(metrics, batch_size=len(targets))

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean loss of a batch.

        Args:
            outputs: (N, classes) logits, or (N, 1) numbers.
            targets: (N,) classes, or numbers.
        """
        if self.task == "classify":
            return nn.functional.cross_entropy(outputs, targets)
        return nn.functional.mse_loss(outputs.squeeze(1), targets)

    def configure_optimizers(self) -> Mapping[str, Any]:  # type: ignore[override] # a dict, typed as what it is
        """Return the optimizer and the schedule of its learning rate."""
        return self.descent.configure(self, self.trainer.estimated_stepping_batches)


def positive(**sizes: int) -> None:
    """Refuse sizes that are not at least 1, by name."""
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name} must be at least 1, got {size}")


def blank(*shape: int) -> Tensor:
    """Return one input of zeros with a batch axis of 1."""
    return torch.zeros(1, *shape)
