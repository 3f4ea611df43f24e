"""Modules whose behaviour is chosen by name, and what is done with a network of them.

A user's own network takes part in a search by holding `OneOf` modules; modules of the same edge
are chosen together.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn


@runtime_checkable
class Choosable(Protocol):
    """A module with an edge: it can be told what to be, and replaced by what it then is."""

    edge: str

    def choose(self, option: str) -> None:
        """Behave like this option from now on."""

    def fixed(self) -> nn.Module:
        """Return a plain module that behaves like the chosen option, with its weights."""


class OneOf(nn.Module):
    """One of several modules of the same input and output shapes.

    Args:
        edge: name of the choice; several modules may share it.
        options: the candidates by name; the first is chosen at the start.
    """

    def __init__(self, edge: str, options: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.edge = edge
        self.names = tuple(options)
        self.options = nn.ModuleList(options.values())
        self.active = 0
        self.mixed: tuple[int, ...] = ()
        self.inputs: list[Tensor] = []

    def choose(self, option: str) -> None:
        """Run this option alone."""
        if option not in self.names:
            raise ValueError(f"{self.edge}: no option {option!r}; it has {', '.join(self.names)}")
        self.active = self.names.index(option)

    def mix(self, alive: Sequence[int]) -> None:
        """Run the mean of these options, each on an input tensor of its own; none ends that."""
        self.mixed = tuple(alive)
        self.inputs = []

    def forward(self, x: Tensor) -> Tensor:
        """Apply the chosen option, or the mean of those that are mixed."""
        if not self.mixed:
            chosen: Tensor = self.options[self.active](x)
            return chosen
        self.inputs = [x.view_as(x) for _ in self.mixed]
        pairs = zip(self.mixed, self.inputs, strict=True)
        return torch.stack([self.options[index](own) for index, own in pairs]).mean(dim=0)

    def fixed(self) -> nn.Module:
        """Return the chosen option."""
        return self.options[self.active]


class Prefix(nn.Module):
    """The first few of a row of layers; the option is their number.

    Args:
        edge: name of the choice.
        layers: in their order; all are run at the start.
    """

    def __init__(self, edge: str, layers: Sequence[nn.Module]) -> None:
        super().__init__()
        self.edge = edge
        self.layers = nn.ModuleList(layers)
        self.depth = len(layers)

    def choose(self, option: str) -> None:
        """Run so many layers."""
        self.depth = int(option)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layers that are there."""
        for layer in list(self.layers)[: self.depth]:
            x = layer(x)
        return x

    def fixed(self) -> nn.Module:
        """Return the layers that are there."""
        return nn.Sequential(*list(self.layers)[: self.depth])


def choosable(network: nn.Module) -> dict[str, list[Choosable]]:
    """Return the modules with a choice by edge, in the order of the network."""
    found: dict[str, list[Choosable]] = {}
    for module in network.modules():
        if isinstance(module, Choosable):
            found.setdefault(module.edge, []).append(module)
    return found


def choose(network: nn.Module, chosen: Mapping[str, str]) -> None:
    """Set every choice of a network.

    Raises:
        ValueError: the network lacks an edge, or has one that is not chosen.
    """
    there = choosable(network)
    if lost := sorted(there.keys() ^ chosen.keys()):
        side = "is not chosen" if lost[0] in there else "is not in the network"
        raise ValueError(f"edge {lost[0]!r} {side}; the network has {', '.join(there) or 'none'}")
    for edge, modules in there.items():
        for module in modules:
            module.choose(chosen[edge])


def fix(network: nn.Module, chosen: Mapping[str, str]) -> nn.Module:
    """Return a copy of a network in which every choice is replaced by what was chosen."""
    other = copy.deepcopy(network)
    choose(other, chosen)
    return replaced(other)


def replaced(module: nn.Module) -> nn.Module:
    """Replace choices by what they are now, from the outside in."""
    while isinstance(module, Choosable):
        module = module.fixed()
    for name, child in list(module.named_children()):
        setattr(module, name, replaced(child))
    return module
