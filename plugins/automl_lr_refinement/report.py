"""What the report of a study says about its schedules; reads files, never torch."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from automl import Figure, History, Section, Series, Table, Text, Trial
from automl.sections import Part
from automl_lr_refinement import norms, refine, verdict
from automl_lr_refinement.options import Options
from automl_lr_refinement.refine import Array
from automl_lr_refinement.schedules import Schedule, describe

POINTS = 400  # of a line in a figure


@dataclass(frozen=True, slots=True)
class Entry:
    """A finished trial as the report needs it.

    Attributes:
        value: of the metric when training had ended; another plugin may have changed the model
            after it.
        peak: factor on the peak learning rate.
    """

    trial: Trial
    shape: str
    peak: float
    value: float

    @property
    def folder(self) -> Path:
        """Where the trial keeps norms, schedules and verdicts."""
        return self.trial.folder / "lr_refinement"

    def used(self) -> Schedule | None:
        """Return the schedule of its first optimizer."""
        path = self.folder / "used-0.json"
        return Schedule.read(path) if path.exists() else None

    def compared(self) -> verdict.Comparison | None:
        """Return what fresh seeds said, if they were asked."""
        path = self.folder / "confirm.json"
        return verdict.read(path) if path.exists() else None

    def degenerate(self) -> str:
        """Say why linear decay took the place of its refined schedule; nothing if it did not."""
        schedule = self.used()
        fell_back = schedule is not None and schedule.provenance.get("fell_back")
        return str(schedule.provenance["verdict"]["reason"]) if schedule and fell_back else ""


def sections(history: History, options: Options) -> list[Section]:
    """Return the plugin's section, or none before a trial has ended."""
    metric, goal = judged(history)
    found = entries(history, metric, options)
    if not found:
        return []
    better = max if goal == "maximize" else min
    shapes = sorted({entry.shape for entry in found})
    best = [
        better((e for e in found if e.shape == shape), key=lambda entry: entry.value)
        for shape in shapes
    ]
    parts: tuple[Part, ...] = (
        Text(conclusion(found)),
        *comparisons(found),
        table(found, best, metric),
        *overlay(best),
        *norm_figure(best, options),
        *sweep(found, shapes, metric),
        *curves(best, metric),
    )
    return [Section("Learning-rate schedules", parts)]


def judged(history: History) -> tuple[str, str]:
    """Return the first objective that trainings have reported at their end, and its goal."""
    ends = [trial.reports[-1].metrics for trial in history.finished() if trial.reports]
    objectives = history.study.objectives
    told = (name for name in objectives if any(name in metrics for metrics in ends))
    name = next(told, next(iter(objectives)))
    return name, objectives[name].goal


def at_end(trial: Trial, metric: str) -> float:
    """Return a metric as training reported it last, or else as it was measured."""
    told = [report.metrics[metric] for report in trial.reports if metric in report.metrics]
    return told[-1] if told else trial.metrics[metric]


def entries(history: History, metric: str, options: Options) -> list[Entry]:
    """Return the finished trials that have the metric."""
    return [
        Entry(
            trial,
            trial.params.get("lr_refinement.shape", options.shape),
            trial.params.get("lr_refinement.peak", options.peak),
            at_end(trial, metric),
        )
        for trial in history.finished()
        if metric in trial.metrics
    ]


def conclusion(found: Sequence[Entry]) -> str:
    """Say which case it is: confirmed, refuted, undecided, degenerate, or never put to the test."""
    refined = [entry for entry in found if entry.shape == "refined"]
    if not refined:
        return "No trial with a refined schedule has ended."
    said = []
    if compared := [one for entry in refined if (one := entry.compared())]:
        better = sum(one.case() == "better" for one in compared)
        said.append(
            f"Of {len(compared)} refined schedules that were compared with linear decay on fresh "
            f"seeds, {better} did better; by chance alone one in forty does."
        )
    if degenerate := [reason for entry in refined if (reason := entry.degenerate())]:
        said.append(
            f"Refinement was degenerate in {len(degenerate)} of {len(refined)} trials, which "
            f"trained under linear decay instead; one such schedule {degenerate[0]}."
        )
    if left := len(refined) - len(compared) - len(degenerate):
        said.append(
            f"The schedules of {left} of {len(refined)} refined trials were not compared with "
            "linear decay on fresh seeds, so none is exported: differences between single trials "
            "below may be noise. Set plugins.lr_refinement.confirm to 5 to compare."
        )
    return " ".join(said)


def comparisons(found: Sequence[Entry]) -> Iterator[Table]:
    """List what fresh seeds said of each refined schedule."""
    rows = [
        (
            entry.trial.number,
            *one.gain(),
            one.peak,
            one.control_peak,
            one.control_warmup,
            one.case(),
        )
        for entry in found
        if (one := entry.compared())
    ]
    if rows:
        ours, line = (
            ("trial", "gain", "standard error", "peak factor"),
            ("of linear", "its warm-up"),
        )
        columns = (*ours, *line, "refined is")
        yield Table("Refined against linear decay on fresh seeds", columns, tuple(rows))


def table(found: Sequence[Entry], best: Sequence[Entry], metric: str) -> Table:
    """List the best trial of each shape."""
    rows = tuple(
        (
            entry.shape,
            sum(other.shape == entry.shape for other in found),
            entry.trial.number,
            entry.value,
            entry.peak,
            entry.trial.metrics.get("optimizer_steps"),
            schedule.label if (schedule := entry.used()) else None,
        )
        for entry in best
    )
    columns = (
        "shape",
        "trials",
        "best",
        f"{metric} after training",
        "peak factor",
        "optimizer steps",
        "schedule",
    )
    return Table("Best trial of each shape", columns, rows)


def overlay(best: Sequence[Entry]) -> Iterator[Figure]:
    """Draw the schedules of the best trials over each other."""
    series = []
    for entry in best:
        if schedule := entry.used():
            values = schedule.multipliers(POINTS)
            name = (
                schedule.label if entry.shape == "refined" else f"{entry.shape}: {describe(values)}"
            )
            series.append(line(name, values))
    if series:
        alt = "Multiplier of the peak learning rate over training: " + "; ".join(
            one.name for one in series
        )
        yield Figure("Schedules", tuple(series), "fraction of training", "multiplier", alt)


def picture(schedule: Schedule) -> Figure:
    """Draw one schedule."""
    series = line(schedule.label, schedule.multipliers(POINTS))
    alt = f"Multiplier of the peak learning rate over training: {schedule.label}"
    return Figure("Schedule", (series,), "fraction of training", "multiplier", alt)


def promise(options: Options) -> Text:
    """Say how a refined schedule will be made and what it will cost."""
    steps = 1 + options.rounds * options.explore
    more = options.confirm * (2 if options.control_peak else 4)
    return Text(
        f"Refined from the gradient norms of {options.rounds} exploratory run(s) of "
        f"{options.explore:.0%} of training: {steps:.3g} times the optimizer steps, and "
        f"{more} trainings more to confirm it."
    )


def norm_figure(best: Sequence[Entry], options: Options) -> Iterator[Figure]:
    """Draw the gradient norms from which the best refined schedule was made."""
    entry = next((one for one in best if one.shape == "refined"), None)
    schedule = entry.used() if entry else None
    source = Path(schedule.provenance["parent"]["norms"]) if schedule else None
    if schedule is None or source is None or not source.exists():
        return
    log, recipe = norms.load(source)[0], schedule.provenance["recipe"]
    kind = schedule.provenance["norm"]
    raw = refine.clean(log.effective(kind, clipped=options.clipped))
    smoothed = refine.smooth(raw, recipe["tau"], recipe["filter"])
    series = (line("raw", raw), line("smoothed", smoothed))
    alt = (
        f"The {kind} norm of the gradient goes from {smoothed[0]:.3g} to {smoothed[-1]:.3g}, "
        f"between {smoothed.min():.3g} and {smoothed.max():.3g}"
    )
    axis = f"{kind} norm of the gradient"
    title = "Gradient norms of the exploratory run"
    yield Figure(title, series, "fraction of the run", axis, alt, log_y=bool(raw.min() > 0))


def sweep(found: Sequence[Entry], shapes: Sequence[str], metric: str) -> Iterator[Figure]:
    """Draw the metric over the peak, averaged within octaves, for each shape."""
    series = tuple(
        octaves(shape, [entry for entry in found if entry.shape == shape]) for shape in shapes
    )
    tried = (f"{one.name} at {', '.join(f'{x:g}' for x in one.x)}" for one in series)
    alt = f"{metric} after training by the peak, averaged within octaves: {'; '.join(tried)}"
    yield Figure("Peak learning rate", series, "factor on the peak", metric, alt, log_x=True)


def octaves(name: str, found: Sequence[Entry]) -> Series:
    """Average trials whose peak is in the same octave; a single trial has no standard error."""
    groups: dict[int, list[float]] = {}
    for entry in found:
        groups.setdefault(round(math.log2(entry.peak)), []).append(entry.value)
    ordered = sorted(groups.items())
    errors = [np.std(v, ddof=1) / math.sqrt(len(v)) if len(v) > 1 else 0.0 for _, v in ordered]
    return Series(
        name,
        tuple(2.0**octave for octave, _ in ordered),
        tuple(float(np.mean(values)) for _, values in ordered),
        tuple(map(float, errors)),
        "line" if len(ordered) > 1 else "points",  # a line of one point is not seen
    )


def curves(best: Sequence[Entry], metric: str) -> Iterator[Figure]:
    """Draw how the metric went in the best trial of each shape."""
    series = []
    for entry in best:
        told = [report for report in entry.trial.reports if metric in report.metrics]
        if len(told) > 1:
            steps = tuple(report.step for report in told)
            series.append(Series(entry.shape, steps, tuple(r.metrics[metric] for r in told)))
    if series:
        alt = "; ".join(f"{one.name} ends at {one.y[-1]:.4g}" for one in series)
        yield Figure("Course of training", tuple(series), "progress", metric, alt)


def line(name: str, values: Array) -> Series:
    """Make a line over the fraction of training, of a limited number of points."""
    chosen = np.unique(np.linspace(0, values.size - 1, min(POINTS, values.size)).astype(int))
    places = chosen / max(values.size - 1, 1)
    return Series(name, tuple(places.tolist()), tuple(values[chosen].tolist()))
