"""The figures of schedules, norms, peaks and courses of training."""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from automl import Figure, Series
from automl_lr_refinement import norms, refine, verdict
from automl_lr_refinement.entries import Entry
from automl_lr_refinement.options import Options
from automl_lr_refinement.refine import Array
from automl_lr_refinement.schedules import Schedule, linear

POINTS = 400  # of a line in a figure


def overlay(best: Sequence[Entry]) -> Iterator[Figure]:
    """Draw the schedules of the best trials over each other."""
    series = []
    for entry in best:
        every = entry.every()
        for number, schedule in enumerate(every):
            of = f", optimizer {number}" if len(every) > 1 else ""
            series.append(line(schedule.label + of, schedule.multipliers(POINTS)))
    if series and all(entry.shape != "linear" for entry in best):
        series.append(line("linear decay, not trained", linear().multipliers(POINTS)))
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


def norm_figure(best: Sequence[Entry], options: Options) -> Iterator[Figure]:
    """Draw the gradient norms from which the best refined schedule was made."""
    entry = next((one for one in best if one.shape == "refined"), None)
    if entry is None:
        return
    every = entry.every()
    for number, schedule in enumerate(every):
        source = entry.folder / schedule.provenance["parent"]["norms"]
        if not source.exists():
            return
        log, recipe = norms.load(source)[number], schedule.provenance["recipe"]
        kind = schedule.provenance["norm"]
        raw = refine.clean(log.effective(kind, clipped=options.clipped))
        smoothed = refine.smooth(raw, recipe["tau"], recipe["filter"])
        alt = (
            f"The {kind} norm of the gradient goes from {smoothed[0]:.3g} to {smoothed[-1]:.3g}, "
            f"between {smoothed.min():.3g} and {smoothed.max():.3g}"
        )
        yield Figure(
            "Gradient norms of the exploratory run"
            + (f", optimizer {number}: {log.optimizer}" if len(every) > 1 else ""),
            (line("raw", raw), line("smoothed", smoothed)),
            "fraction of the run",
            f"{kind} norm of the gradient",
            alt,
            log_y=bool(raw.min() > 0),
        )


def sweep(found: Sequence[Entry], shapes: Sequence[str], metric: str) -> Figure:
    """Draw the metric over the peak, averaged within octaves, for each shape."""
    series = tuple(
        octaves(shape, [entry for entry in found if entry.shape == shape]) for shape in shapes
    )
    tried = (f"{one.name} at {', '.join(f'{x:g}' for x in one.x)}" for one in series)
    alt = f"{metric} after training by the peak, averaged within octaves: {'; '.join(tried)}"
    return Figure("Peak learning rate", series, "factor on the peak", metric, alt, log_x=True)


def confirmed_sweeps(found: Sequence[Entry]) -> Iterator[Figure]:
    """Draw what fresh seeds gave at each peak, for the comparison in which refined did best."""
    every = [
        (one.gain()[0], entry.trial.number, one) for entry in found if (one := entry.compared())
    ]
    if not every:
        return
    _, number, best = max(every, key=lambda each: each[0])
    series = tuple(means(arm, tried) for arm, tried in best.tried.items() if finite(tried))
    alt = f"{best.metric} on fresh seeds by the peak, with standard errors: " + "; ".join(
        f"{one.name} is best at {best.peak if one.name == 'refined' else best.control_peak:g}"
        for one in series
    )
    title = f"Peaks on fresh seeds, trial {number}"
    yield Figure(title, series, "factor on the peak", best.metric, alt, log_x=True)


def octaves(name: str, found: Sequence[Entry]) -> Series:
    """Average trials whose peak is in the same octave."""
    groups: dict[float, list[float]] = {}
    for entry in found:
        groups.setdefault(2.0 ** round(math.log2(entry.peak)), []).append(entry.value)
    return means(name, {peak: tuple(values) for peak, values in groups.items()})


def finite(found: verdict.Tried) -> verdict.Tried:
    """Leave out the peaks at which a training broke."""
    return {peak: values for peak, values in found.items() if np.isfinite(values).all()}


def means(name: str, found: verdict.Tried) -> Series:
    """Draw means over peaks with standard errors; a single value has none."""
    ordered = sorted(finite(found).items())
    errors = [np.std(v, ddof=1) / math.sqrt(len(v)) if len(v) > 1 else 0.0 for _, v in ordered]
    return Series(
        name,
        tuple(peak for peak, _ in ordered),
        tuple(float(np.mean(values)) for _, values in ordered),
        tuple(map(float, errors)),
        "line" if len(ordered) > 1 else "points",  # a line of one point is not seen
    )


def curves(best: Sequence[Entry], metric: str, unit: str) -> Iterator[Figure]:
    """Draw how the metric went in the best trial of each shape."""
    series = []
    for entry in best:
        told = [report for report in entry.trial.reports if metric in report.metrics]
        if len(told) > 1:
            steps = tuple(report.step for report in told)
            series.append(Series(entry.shape, steps, tuple(r.metrics[metric] for r in told)))
    if series:
        alt = "; ".join(f"{one.name} ends at {one.y[-1]:.4g}" for one in series)
        yield Figure("Course of training", tuple(series), unit, metric, alt)


def line(name: str, values: Array) -> Series:
    """Make a line over the fraction of training, of a limited number of points."""
    chosen = np.unique(np.linspace(0, values.size - 1, min(POINTS, values.size)).astype(int))
    places = chosen / max(values.size - 1, 1)
    return Series(name, tuple(places.tolist()), tuple(values[chosen].tolist()))
