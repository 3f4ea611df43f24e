"""Parts of a plugin's section, checked and made ready to draw; a broken one is its own error."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from automl.report.payload import compact
from automl.report.records import Part
from automl.report.text import clean, masked, value_text
from automl.sections import Figure, Graph, Heatmap, Section, Table, Text

MOST_CELLS = 20_000
MOST_ROWS = 500


@dataclass(frozen=True, slots=True)
class Drawn:
    """A plugin's section as outputs take it: a title and parts, or an error.

    Each part is a mapping with a `kind`: text, table or figure (also for heatmaps and graphs).
    """

    plugin: str
    title: str
    parts: tuple[dict[str, Any], ...] = ()
    error: str = ""


def drawn(part: Part) -> Drawn:
    """Check a plugin's section and return it ready to draw, or the error in its place."""
    if part.section is None:
        return Drawn(part.plugin, part.plugin, error=part.error)
    try:
        return Drawn(part.plugin, _text(part.section.title), tuple(_parts(part.section)))
    except (TypeError, ValueError, AttributeError, IndexError, KeyError) as error:
        reason = f"the section cannot be drawn: {type(error).__name__}: {error}"
        return Drawn(part.plugin, part.plugin, error=_text(reason))


def _text(value: Any) -> str:
    return clean(masked(str(value)))


def _parts(section: Section) -> Iterator[dict[str, Any]]:
    for part in section.parts:
        match part:
            case Text(text):
                yield {"kind": "text", "paragraphs": _text(text).split("\n\n")}
            case Table(title, columns, rows):
                yield _table(title, columns, rows)
            case Figure():
                yield _figure(part)
            case Heatmap():
                yield _heatmap(part)
            case Graph():
                yield _graph(part)
            case _:
                raise TypeError(f"no part of a section: {part!r}")


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> dict[str, Any]:
    if wrong := next((row for row in rows if len(row) != len(columns)), None):
        raise ValueError(f"table {title!r} has {len(columns)} columns, but a row {wrong!r}")
    numeric = [
        all(isinstance(row[i], int | float) or row[i] is None for row in rows)
        for i in range(len(columns))
    ]
    return {
        "kind": "table",
        "title": _text(title),
        "columns": [_text(column) for column in columns],
        "numeric": numeric,
        "rows": [[value_text(masked(cell)) for cell in row] for row in rows[:MOST_ROWS]],
        "left_out": max(0, len(rows) - MOST_ROWS),
    }


def _figure(figure: Figure) -> dict[str, Any]:
    series = []
    for one in figure.series:
        if len(one.x) != len(one.y) or len(one.error) not in {0, len(one.y)}:
            raise ValueError(f"series {one.name!r}: x, y and error differ in length")
        series.append(
            {
                "name": _text(one.name),
                "style": one.style,
                "x": [compact(x) for x in one.x],
                "y": [compact(float(y)) for y in one.y],
                "error": [compact(float(e)) for e in one.error],
            }
        )
    return {
        "kind": "figure",
        "type": "figure",
        "title": _text(figure.title),
        "alt": _text(figure.alt),
        "x": _text(figure.x),
        "y": _text(figure.y),
        "log_x": bool(figure.log_x),
        "log_y": bool(figure.log_y),
        "series": series,
    }


def _heatmap(heatmap: Heatmap) -> dict[str, Any]:
    width, height = len(heatmap.columns), len(heatmap.rows)
    if len(heatmap.values) != height or any(len(row) != width for row in heatmap.values):
        raise ValueError(f"heatmap {heatmap.title!r}: values are not {height} rows of {width}")
    if width * height > MOST_CELLS:
        raise ValueError(f"heatmap {heatmap.title!r}: {width * height} cells, at most {MOST_CELLS}")
    return {
        "kind": "figure",
        "type": "heatmap",
        "title": _text(heatmap.title),
        "alt": _text(heatmap.alt),
        "rows": [_text(row) for row in heatmap.rows],
        "columns": [_text(column) for column in heatmap.columns],
        "values": [[compact(float(value)) for value in row] for row in heatmap.values],
    }


def _graph(graph: Graph) -> dict[str, Any]:
    nodes = range(len(graph.nodes))
    if lost := [edge for edge in graph.edges if edge[0] not in nodes or edge[1] not in nodes]:
        raise ValueError(f"graph {graph.title!r}: edge {lost[0]!r} joins a node that is not there")
    return {
        "kind": "figure",
        "type": "graph",
        "title": _text(graph.title),
        "alt": _text(graph.alt),
        "nodes": [_text(node) for node in graph.nodes],
        "edges": [[start, end, _text(label)] for start, end, label in graph.edges],
    }
