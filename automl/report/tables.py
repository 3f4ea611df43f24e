"""The facts as tables: pandas, CSV, Parquet, JSON and Markdown."""

import dataclasses
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from automl.report.parts import drawn
from automl.report.records import Facts, Point
from automl.report.text import clean, duration, masked, number, value_text

ESCAPED = str.maketrans({c: f"\\{c}" for c in r"\`*_{}[]<>#|"})


def frame(facts: Facts) -> pd.DataFrame:
    """Return one row a point: where it comes from, its metrics, `params_` and its parameters.

    The columns `feasible`, `front` and `rank` say how it compares; the index is the label.
    """
    rows = [_row(facts, point) for point in facts.points]
    table = pd.DataFrame(
        rows, index=pd.Index([masked(p.label) for p in facts.points], name="point")
    )
    return table.astype({"rank": "Int64"}) if rows else table


def _row(facts: Facts, point: Point) -> dict[str, Any]:
    row: dict[str, Any] = {
        "trial": point.trial,
        "name": masked(point.name),
        "origin": masked(point.origin),
        "seconds": point.seconds,
        "feasible": point.feasible,
        "front": point.front,
        "counts": point.counts,
        "rank": point.rank,
        "contribution": point.contribution,
        "artifact": point.artifact,
    }
    row |= {masked(o.name): value for o, value in zip(facts.objectives, point.values, strict=True)}
    metrics = {masked(name): value for name, value in point.metrics.items()}
    row |= {name: value for name, value in metrics.items() if name not in row}
    return row | {f"params_{masked(name)}": value for name, value in point.params.items()}


def csv(facts: Facts) -> str:
    """Return the points as CSV."""
    return str(frame(facts).to_csv())


def parquet(facts: Facts, path: Path) -> None:
    """Write the points as Parquet; parameters of mixed types become text."""
    table = frame(facts)
    mixed = [name for name in table if len({type(v) for v in table[name].dropna()}) > 1]
    odd = [n for n in table if any(isinstance(v, list | dict) for v in table[n].dropna())]
    for name in {*mixed, *odd}:
        table[name] = table[name].map(lambda value: None if _absent(value) else json.dumps(value))
    table.to_parquet(path)


def _absent(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def as_dict(facts: Facts) -> dict[str, Any]:
    """Return all facts as plain values; numbers that JSON has not become null or text."""
    tree = {f.name: _plain(getattr(facts, f.name)) for f in dataclasses.fields(facts)}
    tree["sections"] = [_plain(drawn(part)) for part in facts.sections]
    tree["points"] = [
        _plain(point) | {"feasible": point.feasible, "front": point.front} for point in facts.points
    ]
    return tree


def as_json(facts: Facts) -> str:
    """Return all facts as JSON."""
    return json.dumps(as_dict(facts), indent=1, allow_nan=False, ensure_ascii=False)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {masked(str(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None if math.isnan(value) else str(value)
    return value if isinstance(value, int | None) else masked(str(value))


def markdown(facts: Facts) -> str:
    """Return what matters of the facts as Markdown, for an issue or a README."""
    return "\n\n".join(block for block in _blocks(facts) if block) + "\n"


def _blocks(facts: Facts) -> Iterable[str]:
    yield f"# {escaped(facts.name)}"
    yield "\n".join(f"> {escaped(note)}" for note in facts.notes)
    yield headline(facts)
    yield grid(("objective", "goal", "reference", "default", "best", "point"), _gains(facts))
    yield "## The front"
    names = [o.name for o in facts.objectives]
    front = [(p.label, *p.values, params_text(p)) for p in facts.front]  # noqa: PD011 - no frame
    yield grid(("point", *names, "parameters"), front) if front else "No feasible point."
    yield "## What mattered"
    yield facts.importance_method
    for item in facts.importance:
        shares = [
            (i.parameter, f"{max(i.share, 0):.0%}", f"{i.error:.0%}") for i in item.influences
        ]
        table = grid(("parameter", "share", "standard error"), shares) if shares else ""
        yield f"**{escaped(item.objective)}**: {item.note}" + ("\n\n" + table if table else "")
    yield "## Trust"
    yield escaped(facts.noise.method)
    failures = [(f.kind, len(f.trials), clean(f.message)) for f in facts.failures]
    yield grid(("failure", "trials", "last message"), failures) if failures else "No trial failed."
    for section in map(drawn, facts.sections):
        yield f"## {escaped(section.title)}"
        yield f"The section failed: {escaped(section.error)}" if section.error else ""
        yield from map(_part, section.parts)
    yield "## Provenance"
    yield grid(("fact", "value"), list(facts.provenance.items()))


def headline(facts: Facts) -> str:
    """Say in one sentence what there is to choose from, and what it cost."""
    states = ", ".join(f"{count} {state}" for state, count in facts.states.items())
    volume = "" if facts.hypervolume is None else f", hypervolume {number(facts.hypervolume)}"
    gpu = f", {number(facts.gpu_hours)} GPU-hours" if facts.gpu_hours else ""
    trials = f"{facts.trials} {'trial' if facts.trials == 1 else 'trials'}"
    return (
        f"{len(facts.front)} of {len(facts.points)} points on the front{volume}; {trials} "
        f"({states or 'none started'}) in {duration(facts.seconds)} of computing{gpu}."
    )


def notebook(facts: Facts) -> str:
    """Return the headline and the front as HTML for a notebook, best in the first objective first.

    Texts of the study are escaped.
    """
    titles = [f"{o.name} ({o.goal})" for o in facts.objectives]
    names = dict.fromkeys(name for point in facts.front for name in point.params)
    columns = ["point", *map(clean, titles), *map(clean, names)]
    rows = [
        [point.label + (" (knee)" if point.label == facts.knee else ""), *point.values]  # noqa: PD011 - no frame
        + [point.params.get(name) for name in names]
        for point in facts.front
    ]
    table = pd.DataFrame([[clean(value_text(v)) for v in row] for row in rows], columns=columns)
    head = f"<p><b>{escape(clean(facts.name))}</b>: {escape(headline(facts))}</p>"
    return head + str(table.to_html(index=False, border=0, escape=True))


def _gains(facts: Facts) -> list[tuple[Any, ...]]:
    return [(o.name, o.goal, o.ref, o.default, o.best, o.best_at or "-") for o in facts.objectives]


def params_text(point: Point, most: int = 6) -> str:
    """Write a point's parameters on one line, the first of them."""
    shown = [f"{name}={value_text(value)}" for name, value in list(point.params.items())[:most]]
    return ", ".join(shown) + (", …" if len(point.params) > most else "")


def _part(part: Mapping[str, Any]) -> str:
    kinds: dict[str, Callable[[], str]] = {
        "text": lambda: "\n\n".join(map(escaped, part["paragraphs"])),
        "table": lambda: f"*{escaped(part['title'])}*\n\n" + grid(part["columns"], part["rows"]),
        "figure": lambda: f"*{escaped(part['title'])}*: {escaped(part['alt'])}",
    }
    return kinds[part["kind"]]()


def grid(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a Markdown table; numbers in four digits, every text escaped."""
    lines = [columns, ["---"] * len(columns)]
    written = [f"| {' | '.join(map(cell, line))} |" for line in rows]
    heads = [f"| {' | '.join(map(escaped, lines[0]))} |", f"|{'|'.join(lines[1])}|"]
    return "\n".join([*heads, *written])


def cell(value: Any) -> str:
    """Write one cell of a Markdown table."""
    return escaped(value_text(value))


def escaped(text: str) -> str:
    """Write text so that Markdown and HTML show it as it is, on one line."""
    return " ".join(clean(text).split()).translate(ESCAPED)
