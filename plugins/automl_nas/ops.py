"""The candidate operations of an edge, and layers whose width is chosen."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import Tensor, nn
from torch.nn import functional

from automl_nas.space import imported

KERNELS = {"conv1": 1, "conv3": 3, "conv5": 5}


class Nothing(nn.Module):
    """The operation that passes nothing on."""

    def forward(self, x: Tensor) -> Tensor:
        """Return zeros."""
        return x * 0


class Elastic(nn.Module):
    """A convolution or linear map of which the first channels are used.

    Args:
        edge: name of the choice of a width.
        whole: the layer at its greatest width; a convolution has stride 1 and no bias.
        inputs: whether its input channels follow the width.
        outputs: whether its output channels do.
    """

    def __init__(
        self, edge: str, whole: nn.Conv2d | nn.Linear, *, inputs: bool, outputs: bool
    ) -> None:
        super().__init__()
        self.edge = edge
        self.whole = whole
        self.inputs, self.outputs = inputs, outputs
        self.width = whole.weight.shape[0]

    def choose(self, option: str) -> None:
        """Use so many channels."""
        self.width = int(option)

    @property
    def weight(self) -> Tensor:
        """The part of the weight that is used; a depthwise kernel has one input channel."""
        weight = self.whole.weight[: self.width] if self.outputs else self.whole.weight
        follows = self.inputs and weight.shape[1] > 1
        return weight[:, : self.width] if follows else weight

    def forward(self, x: Tensor) -> Tensor:
        """Apply the part that is used."""
        if isinstance(self.whole, nn.Linear):
            return functional.linear(x, self.weight, self.whole.bias)
        groups = self.width if self.whole.groups > 1 else 1
        padding = self.whole.kernel_size[0] // 2
        return functional.conv2d(x, self.weight, None, padding=padding, groups=groups)

    def fixed(self) -> nn.Module:
        """Return a layer of the chosen width with the weights that were used."""
        weight = self.weight.detach().clone()
        outputs, inputs = weight.shape[:2]
        if isinstance(self.whole, nn.Linear):
            linear = nn.Linear(inputs, outputs)
            linear.bias = nn.Parameter(self.whole.bias.detach().clone())
            linear.weight = nn.Parameter(weight)
            return linear
        groups = self.width if self.whole.groups > 1 else 1
        conv = convolution(inputs * groups, outputs, self.whole.kernel_size[0], groups)
        conv.weight = nn.Parameter(weight)
        return conv


class ElasticNorm(nn.Module):
    """A norm of which the first channels are used.

    Args:
        edge: name of the choice of a width.
        channels: at the greatest width.
    """

    def __init__(self, edge: str, channels: int) -> None:
        super().__init__()
        self.edge = edge
        self.norm: nn.Module = nn.BatchNorm2d(channels)
        self.width = channels

    def choose(self, option: str) -> None:
        """Use so many channels."""
        self.width = int(option)

    def forward(self, x: Tensor) -> Tensor:
        """Normalize; a batch norm that is not shared yet uses the statistics of the batch."""
        if isinstance(self.norm, nn.BatchNorm2d):
            return functional.batch_norm(x, None, None, training=True)
        normal: Tensor = self.norm(x)
        return normal

    def fixed(self) -> nn.Module:
        """Return a fresh batch norm of the chosen width, or the shared norm, which has no width."""
        return nn.BatchNorm2d(self.width) if isinstance(self.norm, nn.BatchNorm2d) else self.norm


def convolution(inputs: int, outputs: int, kernel: int, groups: int = 1) -> nn.Conv2d:
    """Return a convolution that keeps the size of the image and has no bias."""
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, groups=groups, bias=False)


@dataclass(frozen=True, slots=True)
class Layers:
    """How layers are made: plain, or elastic on the edge `width`."""

    elastic: bool = False

    def linear(self, inputs: int, outputs: int) -> nn.Module:
        """Return a classifier whose inputs follow the width."""
        layer = nn.Linear(inputs, outputs)
        return Elastic("width", layer, inputs=True, outputs=False) if self.elastic else layer

    def conv(self, inputs: int, outputs: int, kernel: int, groups: int = 1) -> nn.Module:
        """Return a convolution; its inputs follow the width unless they are fewer."""
        layer = convolution(inputs, outputs, kernel, groups)
        if not self.elastic:
            return layer
        return Elastic("width", layer, inputs=inputs == outputs, outputs=True)

    def norm(self, channels: int) -> nn.Module:
        """Return a batch norm."""
        return ElasticNorm("width", channels) if self.elastic else nn.BatchNorm2d(channels)

    def operation(self, name: str, channels: int) -> nn.Module:
        """Return a candidate by its built-in name or import path."""
        plain: dict[str, Callable[[], nn.Module]] = {
            "none": Nothing,
            "skip": nn.Identity,
            "avg3": partial(nn.AvgPool2d, 3, 1, 1, count_include_pad=False),
            "max3": partial(nn.MaxPool2d, 3, 1, 1),
        }
        if name in plain:
            return plain[name]()
        if name == "sep3":
            kernels = [self.conv(channels, channels, 3, channels), self.conv(channels, channels, 1)]
        elif name in KERNELS:
            kernels = [self.conv(channels, channels, KERNELS[name])]
        else:
            return self.own(name, channels)
        return nn.Sequential(nn.ReLU(), *kernels, self.norm(channels))

    def own(self, name: str, channels: int) -> nn.Module:
        """Return an operation of the user's."""
        made = imported(name)(channels)
        if not isinstance(made, nn.Module):
            raise TypeError(f"{name} must return a Module, got {type(made).__name__}")
        return made
