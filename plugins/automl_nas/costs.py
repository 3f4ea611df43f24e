"""Parameters and multiply-accumulates of built-in operations and networks, in closed form.

Batch norm counts two parameters a channel and no MACs (it is folded at inference); pooling and
sums count none.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Costs:
    """What a network holds and computes for one image."""

    parameters: int
    macs: int

    def __add__(self, other: "Costs") -> "Costs":
        return Costs(self.parameters + other.parameters, self.macs + other.macs)

    def __mul__(self, times: int) -> "Costs":
        return Costs(self.parameters * times, self.macs * times)


NOTHING = Costs(0, 0)


def kernel_weights(channels: int) -> dict[str, int]:
    """Return the weights of the kernels of each built-in operation, without its norm."""
    c = channels
    return {
        "none": 0,
        "skip": 0,
        "avg3": 0,
        "max3": 0,
        "conv1": c * c,
        "conv3": 9 * c * c,
        "conv5": 25 * c * c,
        "sep3": 9 * c + c * c,
    }


def operation_costs(name: str, channels: int, size: int) -> Costs | None:
    """Return the costs of a built-in operation on (channels, size, size), None for another."""
    weights = kernel_weights(channels).get(name)
    if weights is None:
        return None
    return Costs(weights + (2 * channels if weights else 0), weights * size * size)


def convolution(inputs: int, outputs: int, kernel: int, size: int) -> Costs:
    """Return the costs of a convolution and its norm, with (outputs, size, size) as result."""
    weights = kernel**2 * inputs * outputs
    return Costs(weights + 2 * outputs, weights * size * size)


def linear(inputs: int, outputs: int) -> Costs:
    """Return the costs of a linear layer with bias."""
    return Costs(inputs * outputs + outputs, inputs * outputs)


def chain_costs(
    operations: Sequence[str], ends: tuple[int, int, int], size: int, reduce: Sequence[int]
) -> Costs | None:
    """Return the costs of a chain.

    Args:
        operations: of the layers that are there.
        ends: channels of the input, of the layers, and the number of classes.
        size: height and width of the input.
        reduce: indices of layers before which height and width are halved.
    """
    channels, width, classes = ends
    total = convolution(channels, width, 3, size) + linear(width, classes)
    for index, name in enumerate(operations):
        size = size // 2 if index in reduce else size
        costs = operation_costs(name, width, size)
        if costs is None:
            return None
        total += costs
    return total


def cell_costs(
    operations: Sequence[str], ends: tuple[int, int, int], size: int, cells: int
) -> Costs | None:
    """Return the costs of three stages of cells with a residual reduction between them.

    Args:
        operations: of the edges of the cell.
        ends: channels of the input, of the first stage, and the number of classes.
        size: height and width of the input.
        cells: number of cells of a stage.
    """
    channels, width, classes = ends
    total = convolution(channels, width, 3, size)
    for stage in range(3):
        if stage:
            total += reduction(width, size)
            width, size = 2 * width, (size + 1) // 2
        for name in operations:
            costs = operation_costs(name, width, size)
            if costs is None:
                return None
            total += costs * cells
    return total + Costs(2 * width, 0) + linear(width, classes)


def reduction(width: int, size: int) -> Costs:
    """Return the costs of the residual block that halves the image and doubles the channels."""
    half = (size + 1) // 2
    shortcut = Costs(2 * width**2, 2 * width**2 * (size // 2) ** 2)
    body = convolution(width, 2 * width, 3, half) + convolution(2 * width, 2 * width, 3, half)
    return body + shortcut
