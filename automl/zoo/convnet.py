"""A small convolutional network for small images."""

from itertools import pairwise

from torch import Tensor, nn

from automl.zoo.descent import Descent, OptimizerName, ScheduleName
from automl.zoo.predictor import Predictor, blank, positive


class ConvNet(Predictor):
    """Stages of convolution, normalization, rectifier and pooling; then the mean and a linear map.

    Each stage halves the image and doubles the channels.

    Args:
        width: channels of the first stage.
        depth: number of stages; the image must be at least 2^depth pixels wide.
        dropout: probability with which a channel's mean is dropped before the linear map.
        lr: peak learning rate.
        optimizer: `sgd`, `adam` or `adamw`.
        momentum: of sgd.
        weight_decay: of kernels and matrices.
        schedule: of the learning rate: `constant` or `cosine`.
        warmup: fraction of training in which the learning rate rises.
        classes: number of classes.
        channels: of the images.
        size: pixels of an image's side.
    """

    def __init__(  # noqa: PLR0913 - a study reaches each setting by its name
        self,
        *,
        width: int = 16,
        depth: int = 2,
        dropout: float = 0.0,
        lr: float = 0.01,
        optimizer: OptimizerName = "adamw",
        momentum: float = 0.9,
        weight_decay: float = 0.01,
        schedule: ScheduleName = "cosine",
        warmup: float = 0.1,
        classes: int = 10,
        channels: int = 1,
        size: int = 8,
    ) -> None:
        positive(width=width, depth=depth, classes=classes, channels=channels, size=size)
        if size < 2**depth:
            raise ValueError(f"depth {depth} halves images of {size} pixels to nothing")
        widths = [channels, *(width * 2**stage for stage in range(depth))]
        network = nn.Sequential(
            *(stage(*pair) for pair in pairwise(widths)),
            Mean(),
            nn.Dropout(dropout),
            nn.Linear(widths[-1], classes),
        )
        descent = Descent(lr, optimizer, momentum, weight_decay, schedule, warmup)
        super().__init__(network, descent, blank(channels, size, size))
        self.save_hyperparameters()


class Mean(nn.Module):
    """The mean of each channel."""

    def forward(self, images: Tensor) -> Tensor:
        """Take (N, C, H, W) images to (N, C)."""
        return images.mean(dim=(2, 3))


def stage(inputs: int, outputs: int) -> nn.Sequential:
    """Return one stage from `inputs` to `outputs` channels."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
        nn.MaxPool2d(2),
    )
