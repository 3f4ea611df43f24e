"""The networks of chain and cell spaces: all operations for a supernet, or one on each edge."""

from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import Tensor, nn

from automl_nas.choices import OneOf, Prefix, choosable, fix
from automl_nas.norms import shared_norms
from automl_nas.ops import Layers, convolution
from automl_nas.space import Architecture, Cell, Chain, Space, named


class Mean(nn.Module):
    """The mean of each channel."""

    def forward(self, x: Tensor) -> Tensor:
        """Take (B, C, H, W) to (B, C)."""
        return x.mean(dim=(2, 3))


class CellNet(nn.Module):
    """One cell: every node sums an operation of every node before it.

    Args:
        space: the cell space.
        channels: of every node.
    """

    def __init__(self, space: Cell, channels: int) -> None:
        super().__init__()
        self.pairs = space.pairs
        layers = Layers()
        self.edges = nn.ModuleList(
            OneOf(edge.name, {name: layers.operation(name, channels) for name in edge.operations})
            for edge in space.edges
        )

    def forward(self, x: Tensor) -> Tensor:
        """Take (B, C, H, W) to the same shape."""
        nodes = {0: x}
        for (start, end), module in zip(self.pairs, self.edges, strict=True):
            value = module(nodes[start])
            nodes[end] = nodes[end] + value if end in nodes else value
        return nodes[max(nodes)]


class Reduction(nn.Module):
    """The residual block that halves the image and doubles the channels.

    Args:
        channels: of the input.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        double = 2 * channels
        self.shortcut = nn.Sequential(
            nn.AvgPool2d(2), nn.Conv2d(channels, double, kernel_size=1, bias=False)
        )
        self.body = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(channels, double, kernel_size=3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(double),
            nn.ReLU(),
            nn.Conv2d(double, double, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(double),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Take (B, C, H, W) with even H and W to (B, 2C, H/2, W/2)."""
        out: Tensor = self.shortcut(x) + self.body(x)
        return out


def build(space: Space) -> nn.Module:
    """Return the network of a space with every choice open.

    Raises:
        ValueError: a space of the user's own, whose network the user's model is.
    """
    match space:
        case Chain():
            return chain(space)
        case Cell():
            return cells(space)
        case _:
            raise ValueError("a space of kind 'own' has its network in the model")


def chain(space: Chain) -> nn.Module:
    """Return stem, layers with an operation to choose, mean and classifier."""
    layers = Layers(elastic=bool(space.widths))
    width = max(space.widths, default=space.width)
    blocks = [block(space, layers, index, width) for index in range(space.layers)]
    body = Prefix("depth", blocks) if space.depths else nn.Sequential(*blocks)
    return nn.Sequential(
        layers.conv(space.channels, width, 3),
        layers.norm(width),
        body,
        Mean(),
        layers.linear(width, space.classes),
    )


def block(space: Chain, layers: Layers, index: int, width: int) -> nn.Module:
    """Return one layer of a chain, with its pooling if the image is halved before it."""
    edge = space.edges[index]
    choice = OneOf(edge.name, {name: layers.operation(name, width) for name in edge.operations})
    return nn.Sequential(nn.MaxPool2d(2), choice) if index in space.reduce else choice


def cells(space: Cell) -> nn.Module:
    """Return stem, three stages of cells with reductions between them, mean and classifier."""
    widths = [space.width, 2 * space.width, 4 * space.width]
    body: list[nn.Module] = [CellNet(space, widths[0]) for _ in range(space.cells)]
    for before, after in pairwise(widths):
        body += [Reduction(before), *(CellNet(space, after) for _ in range(space.cells))]
    return nn.Sequential(
        convolution(space.channels, space.width, 3),
        nn.BatchNorm2d(space.width),
        *body,
        nn.BatchNorm2d(widths[-1]),
        nn.ReLU(),
        Mean(),
        nn.Linear(widths[-1], space.classes),
    )


def supernet(network: nn.Module) -> nn.Module:
    """Prepare a network with open choices for shared training, in place; return it."""
    return shared_norms(network)


def stand_alone(space: Space, architecture: Architecture) -> nn.Module:
    """Return the network of one architecture, with fresh weights and ordinary norms."""
    return fix(build(space), named(space, architecture))


def edges_missing(space: Space, network: nn.Module) -> list[str]:
    """Say how the choices of a network differ from the edges of a space."""
    there = {name: options_of(modules[0]) for name, modules in choosable(network).items()}
    wanted: Mapping[str, tuple[str, ...]] = {edge.name: edge.operations for edge in space.edges}
    found = [f"edge {name!r} is not in the model" for name in wanted if name not in there]
    found += [f"edge {name!r} is not in the space" for name in there if name not in wanted]
    for name in wanted.keys() & there.keys():
        lost = sorted(set(wanted[name]) - set(there[name]))
        if there[name] and lost:
            found.append(f"edge {name!r} has no option {lost[0]!r} in the model")
    return found


def options_of(module: object) -> tuple[str, ...]:
    """Return the names of the options of a choice, none if it takes any."""
    return module.names if isinstance(module, OneOf) else ()


def counted(network: nn.Module, example: Tensor) -> tuple[int, int]:
    """Count the parameters of a network and its MACs on one image, by running it.

    Args:
        network: convolutions and linear maps are counted.
        example: (1, C, H, W) input.
    """
    macs = [0]

    def add(module: nn.Module, _: object, output: Tensor) -> None:
        weight = module.weight
        if isinstance(weight, Tensor):
            macs[0] += weight.numel() * (output[0, 0].numel() if output.ndim > 2 else 1)

    kinds = (nn.Conv2d, nn.Linear)
    hooks = [m.register_forward_hook(add) for m in network.modules() if isinstance(m, kinds)]
    try:
        with torch.no_grad():
            network.eval()(example)
    finally:
        for hook in hooks:
            hook.remove()
    return sum(p.numel() for p in network.parameters()), macs[0]
