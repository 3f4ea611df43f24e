"""What the report of a study says about its schedules; reads files, never torch."""

from collections.abc import Iterator, Sequence

from automl import History, Section, Table, Text
from automl.sections import Part
from automl_lr_refinement import figures
from automl_lr_refinement.entries import Entry, entries, judged
from automl_lr_refinement.options import CHOOSING, Options


def sections(history: History, options: Options) -> list[Section]:
    """Return the plugin's section, or none before a trial has ended."""
    metric, goal = judged(history)
    found = entries(history, metric, options)
    if not found:
        return []
    fidelity = history.study.fidelity
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
        *figures.overlay(best),
        *figures.norm_figure(best, options),
        figures.sweep(found, shapes, metric),
        *figures.confirmed_sweeps(found),
        *figures.curves(best, metric, fidelity.unit if fidelity else "epoch"),
    )
    return [Section("Learning-rate schedules", parts)]


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


def promise(options: Options) -> Text:
    """Say how a refined schedule will be made and what it will cost."""
    steps = 1 + options.rounds * options.explore
    runs = "one exploratory run" if options.rounds == 1 else f"{options.rounds} exploratory runs"
    said = (
        f"Refined from the gradient norms of {runs} of {options.explore:.0%} of training: "
        f"{steps:.3g} times the optimizer steps. "
    )
    if not options.confirm:
        return Text(said + "Not compared with linear decay on fresh seeds, so not exported.")
    peaks = 1 if options.control_peak else 3
    more = options.confirm * (1 + peaks) + CHOOSING * 3
    return Text(said + f"At least {more} trainings more compare it with linear decay.")
