"""Architecture spaces as records: edges with named operations, canonical forms and costs.

The cell space is that of Dong and Yang, NAS-Bench-201: Extending the Scope of Reproducible Neural
Architecture Search (ICLR 2020); a chain is the smallest space in which operations can conflict.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Annotated, Any, Literal, Protocol, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from automl_nas.costs import Costs, cell_costs, chain_costs, kernel_weights

Architecture: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Edge:
    """A choice point of a network and the names of what can stand there."""

    name: str
    operations: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise ValueError(f"an edge is named by an identifier, got {self.name!r}")
        if len(set(self.operations)) != len(self.operations) or not self.operations:
            raise ValueError(f"{self.name}: operations must be different and at least one")


class Space(Protocol):
    """What every architecture space tells."""

    @property
    def edges(self) -> tuple[Edge, ...]:
        """The choice points, in order."""

    def canonical(self, architecture: Architecture) -> str:
        """Return a text that is equal for architectures that compute the same functions."""

    def valid(self, architecture: Architecture) -> bool:
        """Say whether the output depends on the input."""

    def costs(self, architecture: Architecture) -> Costs | None:
        """Return parameters and MACs in closed form, or None where there is none."""


def known(operations: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse a name that is neither built in nor an import path."""
    built_in = kernel_weights(1)
    if wrong := [name for name in operations if "." not in name and name not in built_in]:
        names = ", ".join(built_in)
        raise ValueError(f"no operation {wrong[0]!r}; give an import path, or one of {names}")
    return operations


Operations: TypeAlias = Annotated[tuple[str, ...], AfterValidator(known)]


class Record(BaseModel):
    """A frozen record that a study file can write and that refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Chain(Record):
    """Layers one after the other, each with an operation of its own."""

    kind: Literal["chain"] = "chain"
    layers: int = Field(4, ge=1, description="number of layers with a choice")
    operations: Operations = Field(
        ("skip", "avg3", "conv1", "conv3"),
        min_length=1,
        description="candidates of every layer: built-in names, or import paths of functions "
        "from a number of channels to a Module",
    )
    width: int = Field(8, ge=1, description="channels of every layer")
    widths: tuple[int, ...] = Field((), description="widths to choose from; empty: `width` alone")
    depths: tuple[int, ...] = Field((), description="numbers of layers to choose from; empty: all")
    reduce: tuple[int, ...] = Field((2,), description="layers before which the image is halved")
    channels: int = Field(1, ge=1, description="channels of the input")
    size: int = Field(8, ge=1, description="height and width of the input")
    classes: int = Field(10, ge=2, description="number of outputs")

    @model_validator(mode="after")
    def check_depths(self) -> "Chain":
        """Refuse depths that the chain does not have, and repeated choices."""
        if wrong := [depth for depth in self.depths if not 0 < depth <= self.layers]:
            raise ValueError(f"depths must lie in 1…{self.layers}, got {wrong[0]}")
        if wrong := [width for width in self.widths if width < 1]:
            raise ValueError(f"widths must be at least 1, got {wrong[0]}")
        if self.widths and (own := [name for name in self.operations if "." in name]):
            raise ValueError(f"operation {own[0]!r} has no width to choose; leave out `widths`")
        _ = self.edges
        return self

    @property
    def edges(self) -> tuple[Edge, ...]:
        """One edge a layer, then width and depth where they are chosen."""
        layers = [Edge(f"layer{index}", self.operations) for index in range(self.layers)]
        if self.widths:
            layers.append(Edge("width", tuple(map(str, self.widths))))
        if self.depths:
            layers.append(Edge("depth", tuple(map(str, self.depths))))
        return tuple(layers)

    def plan(self, architecture: Architecture) -> tuple[tuple[str, ...], int]:
        """Return the operations of the layers that are there, and the width."""
        chosen = named(self, architecture)
        depth = int(chosen.get("depth", self.layers))
        width = int(chosen.get("width", self.width))
        return tuple(chosen[f"layer{index}"] for index in range(depth)), width

    def canonical(self, architecture: Architecture) -> str:
        """Leave out skips, which do nothing, and layers beyond the depth."""
        operations, width = self.plan(architecture)
        words = [str(width)] if self.widths else []
        for index, operation in enumerate(operations):
            words += ["|"] * (index in self.reduce) + [operation] * (operation != "skip")
        return " ".join(words)

    def valid(self, architecture: Architecture) -> bool:
        """Say whether no layer cuts the chain."""
        return "none" not in self.plan(architecture)[0]

    def costs(self, architecture: Architecture) -> Costs | None:
        """Count the stem, the chosen operations and the classifier."""
        operations, width = self.plan(architecture)
        ends = (self.channels, width, self.classes)
        return chain_costs(operations, ends, self.size, self.reduce)


class Cell(Record):
    """A cell whose every node sums operations of all nodes before it, repeated in three stages."""

    kind: Literal["cell"] = "cell"
    nodes: int = Field(4, ge=2, description="nodes of a cell, the input counted")
    operations: Operations = Field(
        ("none", "skip", "conv1", "conv3", "avg3"),
        min_length=1,
        description="candidates of every edge: built-in names, or import paths of functions "
        "from a number of channels to a Module",
    )
    cells: int = Field(5, ge=1, description="cells of a stage")
    width: int = Field(16, ge=1, description="channels of the first stage; each stage doubles them")
    channels: int = Field(3, ge=1, description="channels of the input")
    size: int = Field(32, ge=4, description="height and width of the input")
    classes: int = Field(10, ge=2, description="number of outputs")

    @property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """The (from, to) nodes of each edge, in the order of NAS-Bench-201."""
        return tuple((start, end) for end in range(1, self.nodes) for start in range(end))

    @property
    def edges(self) -> tuple[Edge, ...]:
        """One edge for each pair of nodes."""
        return tuple(Edge(f"edge_{start}_{end}", self.operations) for start, end in self.pairs)

    def canonical(self, architecture: Architecture) -> str:
        """Write the last node as a sorted sum of operations of nodes, with `#` for nothing.

        Skips pass a node's text on and what adds nothing is left out, so cells that differ in the
        names of nodes only are equal.
        """
        texts = ["0"]
        chosen = dict(zip(self.pairs, architecture, strict=True))
        for end in range(1, self.nodes):
            terms = [
                term(self.operations[chosen[start, end]], texts[start]) for start in range(end)
            ]
            texts.append("+".join(sorted(text for text in terms if text != "#")) or "#")
        return texts[-1]

    def valid(self, architecture: Architecture) -> bool:
        """Say whether a path leads from the input to the output."""
        reached = {0}
        for (start, end), index in zip(self.pairs, architecture, strict=True):
            if start in reached and self.operations[index] != "none":
                reached.add(end)
        return self.nodes - 1 in reached

    def costs(self, architecture: Architecture) -> Costs | None:
        """Count the stem, all cells, the two reductions and the classifier."""
        operations = tuple(self.operations[index] for index in architecture)
        ends = (self.channels, self.width, self.classes)
        return cell_costs(operations, ends, self.size, self.cells)


class Own(Record):
    """The user's own network: its `automl_nas.choices.OneOf` modules by name, with their keys."""

    kind: Literal["own"] = "own"
    choices: dict[str, tuple[str, ...]] = Field(
        {"block": ("a", "b")},
        min_length=1,
        description="names of the choices in the model, each with the names of its options",
    )
    form: str = Field(
        "", description="import path of a function of a {choice: option} dict: its canonical text"
    )

    @property
    def edges(self) -> tuple[Edge, ...]:
        """The choices in the order of the study file."""
        return tuple(Edge(name, options) for name, options in self.choices.items())

    def canonical(self, architecture: Architecture) -> str:
        """Ask the user's function, or write the options in order."""
        chosen = named(self, architecture)
        return str(imported(self.form)(chosen)) if self.form else " ".join(chosen.values())

    def valid(self, architecture: Architecture) -> bool:
        """Take every architecture to be one."""
        return len(architecture) == len(self.choices)

    def costs(self, architecture: Architecture) -> Costs | None:
        """Know nothing about the user's operations: they are counted on the built network."""
        del architecture
        return None


AnySpace: TypeAlias = Annotated[Chain | Cell | Own, Field(discriminator="kind")]


def imported(path: str) -> Any:
    """Import `package.module.name`."""
    module, _, name = path.rpartition(".")
    if not module:
        raise ValueError(f"expected an import path such as package.module.name, got {path!r}")
    return getattr(import_module(module), name)


def term(operation: str, text: str) -> str:
    """Write one summand of a node: nothing, the node itself, or an operation of it."""
    if operation == "none" or text == "#":
        return "#"
    return text if operation == "skip" else f"({text})@{operation}"


def named(space: Space, architecture: Architecture) -> dict[str, str]:
    """Return the chosen operations by the names of their edges."""
    return {
        edge.name: edge.operations[index]
        for edge, index in zip(space.edges, architecture, strict=True)
    }


def indices(space: Space, chosen: Mapping[str, str]) -> Architecture:
    """Return the architecture that a {edge: operation} mapping names; the first where it is silent.

    Raises:
        ValueError: an edge or an operation that the space does not have.
    """
    if unknown := [name for name in chosen if name not in {edge.name for edge in space.edges}]:
        names = ", ".join(edge.name for edge in space.edges)
        raise ValueError(f"no edge {unknown[0]!r}; the space has {names}")
    return tuple(position(edge, chosen.get(edge.name, edge.operations[0])) for edge in space.edges)


def position(edge: Edge, operation: str) -> int:
    """Return the index of an operation of an edge."""
    if operation not in edge.operations:
        allowed = ", ".join(edge.operations)
        raise ValueError(f"{edge.name}: no operation {operation!r}; it has {allowed}")
    return edge.operations.index(operation)
