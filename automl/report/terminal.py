"""The facts as tables on a terminal, by rich; every text of a study is shown as it is."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from automl.report.parts import Drawn, drawn
from automl.report.records import Facts
from automl.report.text import clean, duration, number, one_line, value_text

MOST_ROWS = 25
MOST_PARAMETERS = 5
NARROWEST = 10  # characters of a column of values
BAR = 20
WORD = 14  # characters of a head's word that is not broken


def show(facts: Facts, console: Console) -> None:
    """Print the report: what was gained, what to choose from, what mattered, what to trust."""
    for block in blocks(facts, console.width):
        console.print(block)
        console.print()


def blocks(facts: Facts, width: int) -> Iterable[RenderableType]:
    """Return the parts of the report in order."""
    yield title(facts)
    for note in facts.notes:
        yield Text(f"note: {clean(note)}", "yellow")
    if facts.points:
        yield gains(facts)
    if facts.front:
        yield front(facts, width)
    yield importance(facts)
    yield trust(facts)
    if facts.failures:
        yield failures(facts)
    for part in facts.sections:
        yield from section(drawn(part))
    if facts.front:
        yield commands(facts)


def title(facts: Facts) -> Text:
    """Say in a few lines what there is to choose from, and what it cost."""
    states = ", ".join(f"{count} {state}" for state, count in facts.states.items())
    lines = [f"{facts.trials} trials ({states})" if states else "no trial has started"]
    lines.append(f"{duration(facts.seconds)} of computing in {duration(facts.active)}")
    if facts.gpu_hours:
        lines.append(f"{number(facts.gpu_hours)} GPU-hours")
    if facts.hypervolume is not None:
        lines.append(f"hypervolume {number(facts.hypervolume)}")
    lines.append(f"{len(facts.front)} of {len(facts.points)} points on the front")
    if beyond := len(facts.front) - len(facts.choices):
        lines.append(f"{beyond} of them beyond the reference")
    return Text.assemble((clean(facts.name), "bold"), "  ", (one_line(facts.about), "dim")).append(
        "\n" + " · ".join(lines)
    )


def table(name: str, *columns: str, numeric: Iterable[int] = ()) -> Table:
    """Return an empty table whose columns of these numbers are aligned to the right."""
    made = Table(title=Text(one_line(name)), title_justify="left", box=None, pad_edge=False)
    right = set(numeric)
    for index, column in enumerate(columns):
        made.add_column(
            Text(one_line(column)),
            justify="right" if index in right else "left",
            min_width=min(WORD, max(map(len, column.split()), default=0)),
            overflow="fold",
            header_style="dim",
        )
    return made


def row(to: Table, *cells: Any) -> None:
    """Add a row of texts and numbers; texts are shown as they are."""
    to.add_row(*(c if isinstance(c, Text) else Text(one_line(value_text(c))) for c in cells))


def gains(facts: Facts) -> Table:
    """Compare each objective with the default point."""
    made = table(
        "What was gained", "objective", "goal", "default", "best", "at point", numeric=(2, 3)
    )
    for o in facts.objectives:
        row(made, titled(o.name, o.unit), o.goal, o.default, o.best, o.best_at or "-")
    return made


def titled(name: str, unit: str) -> str:
    """Write a name and its unit."""
    return f"{name} ({unit})" if unit else name


def front(facts: Facts, width: int) -> Table:
    """List the points to choose from, the knee marked, and what matters most where it fits."""
    objectives = [titled(o.name, o.unit) for o in facts.objectives]
    labels = max(len(clean(point.label)) for point in facts.front[:MOST_ROWS]) + len(" knee")
    names = fitting(most_important(facts), width - labels - sum(len(o) + 2 for o in objectives))
    made = table("The front", "point", *objectives, *names, numeric=range(1, 1 + len(objectives)))
    for point in facts.front[:MOST_ROWS]:
        knee = point.label == facts.knee
        name = Text(clean(point.label)).append(" knee" if knee else "", "yellow")
        if not point.counts:
            name.stylize("dim")
        row(made, name, *point.values, *(point.params.get(n) for n in names))
    if len(facts.front) > MOST_ROWS:
        made.caption = f"and {len(facts.front) - MOST_ROWS} more"
    return made


def trials(facts: Facts) -> Table:
    """List the trials, the last ones where there are many."""
    objectives = [titled(o.name, o.unit) for o in facts.objectives]
    several = any(line.points > 1 for line in facts.lines)
    heads = ["trial", "state", *objectives, "took", *(["points"] if several else []), ""]
    right = [0, *range(2, len(heads) - 1)]
    made = table("The trials", *heads, numeric=right)
    for line in facts.lines[-MOST_ROWS:]:
        points = [line.points] if several else []
        style = "" if line.state == "done" else "dim"
        cells = (line.trial, line.state, *line.values, duration(line.seconds), *points)
        row(made, *cells, Text(one_line(line.note), style))
    if len(facts.lines) > MOST_ROWS:
        made.caption = f"the last {MOST_ROWS} of {len(facts.lines)}; --json has all"
    return made


def fitting(names: Sequence[str], width: int) -> list[str]:
    """Return the first names that fit beside each other."""
    sizes = itertools.accumulate(max(len(name), NARROWEST) + 2 for name in names)
    return [name for name, size in zip(names, sizes, strict=True) if size <= width]


def most_important(facts: Facts) -> list[str]:
    """Return the parameters with the largest share in any objective, else the first."""
    shares: dict[str, float] = dict.fromkeys(facts.parameters, 0.0)
    for item in facts.importance:
        for influence in item.influences:
            shares[influence.parameter] = max(shares[influence.parameter], influence.share)
    return sorted(shares, key=lambda name: -shares[name])[:MOST_PARAMETERS]


def importance(facts: Facts) -> Table:
    """Draw the importance of parameters for each objective, or say why it cannot be told."""
    made = table("What mattered", "objective", "parameter", "share", "", numeric=(2,))
    for item in facts.importance:
        if not item.influences:
            row(made, item.objective, Text(item.note, "dim"), "", "")
        for index, i in enumerate(item.influences[:MOST_PARAMETERS]):
            bar = Text("━" * round(BAR * max(0.0, min(1.0, i.share))), "cyan")
            share = f"{max(i.share, 0):.0%} ± {i.error:.0%}"
            row(made, "" if index else item.objective, i.parameter, share, bar)
    return made


def trust(facts: Facts) -> RenderableType:
    """Say how far the front can be trusted, and what the devices did."""
    made = table("Trust", "", "")
    row(made, "noise", Text(facts.noise.method))
    for label, chance in facts.noise.chances[:MOST_ROWS]:
        row(made, "", f"point {label} is non-dominated with probability {chance:.0%}")
    for device in facts.devices[:MOST_ROWS]:
        text = f"busy {device.share:.0%} of the time, {device.attempts} attempts"
        row(made, device.name, text)
    if rest := facts.devices[MOST_ROWS:]:
        share = sum(device.share for device in rest) / len(rest)
        row(made, f"{len(rest)} more", f"busy {share:.0%} of the time on average")
    made.show_header = False
    return made


def failures(facts: Facts) -> Table:
    """Count the failures by kind."""
    made = table("Failures", "kind", "trials", "last message", numeric=(1,))
    for group in facts.failures:
        row(made, group.kind, len(group.trials), one_line(group.message))
    return made


def section(part: Drawn) -> Iterable[RenderableType]:
    """Show a plugin's section, or the error in its place."""
    head = Text(clean(part.title), "bold").append(f"  {clean(part.plugin)}", "dim")
    yield head
    if part.error:
        yield Padding(Text(f"the section failed: {clean(part.error)}", "red"), (0, 2))
    for one in part.parts:
        yield Padding(piece(one), (0, 2))


def piece(part: Mapping[str, Any]) -> RenderableType:
    """Show one part of a section; a figure is told in its own words."""
    if part["kind"] == "text":
        return Text("\n\n".join(part["paragraphs"]))
    if part["kind"] == "figure":
        return Text(f"{part['title']}: ", "bold").append(part["alt"], "not bold")
    numeric = [index for index, is_number in enumerate(part["numeric"]) if is_number]
    made = table(part["title"], *part["columns"], numeric=numeric)
    for cells in part["rows"][:MOST_ROWS]:
        row(made, *cells)
    return made


def commands(facts: Facts) -> Text:
    """Say how to go on from here."""
    chosen = facts.knee or facts.choices[0].label
    return Text(f"automl export {clean(facts.where)} --point {clean(chosen)}", "dim")
