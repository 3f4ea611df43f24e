"""Residual networks for images of 32 pixels, 20 layers deep by default.

Source: He, Zhang, Ren and Sun, Deep Residual Learning for Image Recognition, 2016, section 4.2.
Where the size changes, the path beside is a strided convolution of one pixel (their option B).
"""

from itertools import pairwise

from torch import Tensor, nn

from automl.zoo.convnet import Mean
from automl.zoo.descent import Descent, OptimizerName, ScheduleName
from automl.zoo.predictor import Predictor, blank, positive


class ResNet(Predictor):
    """A convolution, three stages of residual blocks, the mean and a linear map.

    It has 6 `blocks` + 2 layers: 20 by default.

    Args:
        width: channels of the first stage; the second and third have twice and four times as many.
        blocks: of each stage.
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
        blocks: int = 3,
        lr: float = 0.1,
        optimizer: OptimizerName = "sgd",
        momentum: float = 0.9,
        weight_decay: float = 5e-4,
        schedule: ScheduleName = "cosine",
        warmup: float = 0.1,
        classes: int = 10,
        channels: int = 3,
        size: int = 32,
    ) -> None:
        positive(width=width, blocks=blocks, classes=classes, channels=channels, size=size)
        widths = [width, width, 2 * width, 4 * width]
        stages = [
            residual_stage(*pair, blocks=blocks, stride=1 if index == 0 else 2)
            for index, pair in enumerate(pairwise(widths))
        ]
        network = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            *stages,
            Mean(),
            nn.Linear(4 * width, classes),
        )
        descent = Descent(lr, optimizer, momentum, weight_decay, schedule, warmup)
        super().__init__(network, descent, blank(channels, size, size))
        self.save_hyperparameters()


class ResidualBlock(nn.Module):
    """Two convolutions beside a path that leaves its input as it is, or fits it to the output."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.beside: nn.Module = nn.Identity()
        if stride > 1 or inputs != outputs:
            convolution = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.beside = nn.Sequential(convolution, nn.BatchNorm2d(outputs))

    def forward(self, images: Tensor) -> Tensor:
        """Take (N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        return nn.functional.relu(self.body(images) + self.beside(images))


def residual_stage(inputs: int, outputs: int, *, blocks: int, stride: int) -> nn.Sequential:
    """Return blocks of one width, the first of which may halve the image."""
    first = ResidualBlock(inputs, outputs, stride)
    return nn.Sequential(first, *(ResidualBlock(outputs, outputs, 1) for _ in range(blocks - 1)))
