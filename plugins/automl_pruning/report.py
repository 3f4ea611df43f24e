"""The section of a report: predicted and real fronts, densities by unit, allocators, additivity."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from automl.files import read_json
from automl.history import History, Trial
from automl.sections import Figure, Heatmap, Part, Section, Series, Table, Text
from automl_pruning.options import NAME, PLAN, RECORD

Rows = Mapping[str, Any]


def sections(history: History) -> list[Section]:
    """Return the section on pruning; nothing if no trial has pruned."""
    found = [
        (trial, rows) for trial in history.finished() if (rows := record_of(trial)) is not None
    ]
    cut = channels(history)
    if not found:
        return [Section("Pruning", (cut,))] if cut.rows else []
    quality = quality_of(history, found[0][1])
    shown, rows = next((one for one in found if "front" in one[1]), found[0])
    return [Section("Pruning", tuple(parts(found, (shown, rows), quality)))]


def channels(history: History) -> Table:
    """List how many channels each trial that cuts them out has left away, by layer."""
    rows = []
    for trial in history.finished():
        plan = read_json(trial.folder / PLAN) or {}
        for layer, _, gone in plan.get("removed", ()):
            rows.append((trial.number, layer, len(gone), trial.metrics.get("density")))
    return Table("channels cut out", ("trial", "layer", "channels", "density"), tuple(rows))


def record_of(trial: Trial) -> Rows | None:
    """Read what a trial found out, if it got that far."""
    path = trial.folder / NAME / RECORD
    if not path.exists():
        return None
    rows: Rows = json.loads(path.read_text(encoding="utf-8"))
    return rows


def quality_of(history: History, rows: Rows) -> str:
    """Return the first objective that validation logs, which is what pruning costs."""
    named = [name for name in history.study.objectives if name in rows["dense"]]
    return named[0] if named else next(iter(rows["dense"]), "")


def parts(
    found: Sequence[tuple[Trial, Rows]], shown: tuple[Trial, Rows], quality: str
) -> Iterator[Part]:
    """Yield what is shown of all trials, then of one of them."""
    trial, rows = shown
    yield fronts(found, quality)
    yield Text(
        f"The rest is of trial {trial.number}: allocator {rows['allocator']}, {rows['samples']} "
        f"training samples for calibration, {'with' if rows['repair'] else 'without'} repair of "
        "statistics."
    )
    if "front" in rows:
        yield prediction(rows)
        yield from diagnostic(rows["additivity"])
    if rows["further"]:
        yield densities(rows)
    if compared := [one for one in rows["further"] if one["name"].startswith("allocator=")]:
        yield allocators(compared, rows, quality)
    yield units(rows)


def fronts(found: Sequence[tuple[Trial, Rows]], quality: str) -> Figure:
    """Draw quality over density: one pass, after repair, and after finetuning."""
    one_pass = [
        (kept(row, rows), row["metrics"][quality])
        for _, rows in found
        for row in rows["further"]
        if quality in row["metrics"]
    ]
    last = [(rows["rounds"][-1], rows) for _, rows in found if rows.get("rounds")]
    repaired = [(kept(r, of), r["repaired"][quality]) for r, of in last if quality in r["repaired"]]
    tuned = [
        (trial.metrics.get("density", 0.0), trial.metrics[quality])
        for trial, _ in found
        if quality in trial.metrics
    ]
    series = (
        cloud("one pass, not finetuned", one_pass),
        cloud("last round, after repair", repaired),
        cloud("whole trial", tuned),
    )
    return Figure(
        f"{quality} over density",
        series,
        "density",
        quality,
        f"{quality} of pruned models over the share of weights that stay: pruned in one pass, "
        "after the last round's repair, and at the end of each trial",
        log_x=True,
    )


def kept(row: Rows, rows: Rows) -> float:
    """Return the share of weights that a point kept: a second budget may allow less than asked."""
    return float(sum(row["keep"]) / sum(unit["size"] for unit in rows["units"]))


def cloud(name: str, pairs: Sequence[tuple[float, float]]) -> Series:
    """Return points as a series."""
    ordered = sorted(pairs)
    return Series(name, tuple(x for x, _ in ordered), tuple(y for _, y in ordered), style="points")


def prediction(rows: Rows) -> Figure:
    """Draw the least predicted distortion at every density, from one measurement."""
    line = Series(
        "least predicted",
        tuple(density for density, _ in rows["front"]),
        tuple(value for _, value in rows["front"]),
    )
    others = [(kept(row, rows), row["predicted"]) for row in rows["further"]]
    return Figure(
        f"predicted distortion ({rows['metric']}) over density",
        (line, cloud("points of this trial", others)),
        "density",
        "distortion",
        "the least sum of distortions at every density, and what the trial's own points add up to",
        log_x=True,
    )


def diagnostic(rows: Rows) -> Iterator[Part]:
    """Say how far the sum of distortions is to be trusted."""
    bands = tuple((name, count, value) for name, count, value in rows["bands"])
    overall = ("all", sum(count for _, count, _ in bands), rows["correlation"])
    yield Table(
        "does distortion add up? predicted against real, random allocations",
        ("density", "allocations", "rank correlation"),
        (*bands, overall),
    )
    yield Text(
        rows["warning"]
        or f"Real distortion is {rows['ratio']:.2f} times the predicted one, in the median."
    )


def densities(rows: Rows) -> Heatmap:
    """Show the density of every unit in every further point."""
    sizes = [unit["size"] for unit in rows["units"]]
    values = tuple(
        tuple(row["keep"][index] / size for row in rows["further"])
        for index, size in enumerate(sizes)
    )
    return Heatmap(
        "density of each unit",
        tuple(unit["name"] for unit in rows["units"]),
        tuple(column(row, rows) for row in rows["further"]),
        values,
        "share of the weights that stay, a row for each unit; a column for each density of the "
        "trial's allocator, then one for each allocator at the trial's density",
    )


def column(row: Rows, rows: Rows) -> str:
    """Name a point by what sets it apart: its allocator, or its density."""
    compared = row["name"].startswith("allocator=")
    return str(row["allocator"]) if compared else f"{kept(row, rows):.3g}"


def allocators(compared: Sequence[Rows], rows: Rows, quality: str) -> Table:
    """Compare the allocators at one density, repaired and not finetuned."""
    return Table(
        f"allocators at density {rows['density']:.3g}, one pass, not finetuned",
        ("allocator", quality, "predicted distortion"),
        tuple(
            (row["allocator"], row["metrics"].get(quality), row["predicted"]) for row in compared
        ),
    )


def units(rows: Rows) -> Table:
    """List the units with what they cost, and what the trial's model keeps of them."""
    last = rows["rounds"][-1]["keep"] if rows.get("rounds") else [None] * len(rows["units"])
    return Table(
        "units",
        ("unit", "weights", "multiply-accumulates", "least", "kept"),
        tuple(
            (unit["name"], unit["size"], unit["macs"], unit["floor"], kept)
            for unit, kept in zip(rows["units"], last, strict=True)
        ),
    )
