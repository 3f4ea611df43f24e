"""What a plugin adds to a report: texts, tables and figures as records that any output renders."""

from dataclasses import dataclass
from typing import Literal, TypeAlias


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph of plain text; blank lines separate paragraphs."""

    text: str


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells below named columns; numbers are formatted by the output."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | float | int | None, ...], ...]


@dataclass(frozen=True, slots=True)
class Series:
    """One line, cloud, stack of areas or row of bars of a figure.

    `x` and `y` have the same length; `error` is empty or one standard error for each `y`.
    """

    name: str
    x: tuple[float | str, ...]
    y: tuple[float, ...]
    error: tuple[float, ...] = ()
    style: Literal["line", "points", "bars", "area"] = "line"


@dataclass(frozen=True, slots=True)
class Figure:
    """Series over common axes; `alt` says in words what the figure shows."""

    title: str
    series: tuple[Series, ...]
    x: str
    y: str
    alt: str
    log_x: bool = False
    log_y: bool = False


@dataclass(frozen=True, slots=True)
class Heatmap:
    """A matrix of numbers; `values[i][j]` belongs to the i-th of `rows`, the j-th of `columns`."""

    title: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: tuple[tuple[float, ...], ...]
    alt: str


@dataclass(frozen=True, slots=True)
class Graph:
    """A directed graph: node labels, and edges as (from, to, label) by node index."""

    title: str
    nodes: tuple[str, ...]
    edges: tuple[tuple[int, int, str], ...]
    alt: str


Part: TypeAlias = Text | Table | Figure | Heatmap | Graph


@dataclass(frozen=True, slots=True)
class Section:
    """A titled part of a report."""

    title: str
    parts: tuple[Part, ...]
