"""What early stopping did to a study: read from its reports, in the order in which they came."""

import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping

from automl.history import History, Report, Trial
from automl.pareto import non_dominated
from automl.rungs import Rule, Rungs, completed
from automl.sections import Figure, Part, Section, Series, Table, Text
from automl.study import Fidelity


def replay(rule: Rule, trials: Collection[Trial]) -> set[int]:
    """Tell a rule what trials have reported, in the order in which it came.

    Returns:
        Those of the trials that have not ended which it had stopped, or would have.
    """
    ended = {trial.number for trial in trials if trial.state not in {"running", "waiting"}}
    come = [
        (when, trial.number, index, report)
        for trial in trials
        for index, (when, report) in enumerate(arrivals(trial))
    ]
    stopped = set()
    for _, number, _, report in sorted(come, key=lambda one: one[:3]):
        if number in ended and isinstance(rule, Rungs):
            rule.recall(number, report.step, report.metrics)
        elif not rule.report(number, report.step, report.metrics).goes_on:
            stopped.add(number)
    return stopped - ended


def arrivals(trial: Trial) -> Iterator[tuple[float, Report]]:
    """Yield the reports of a trial and when they came, in Unix seconds.

    A report whose seconds are fewer than those of the one before is of the next attempt.
    """
    starts = iter([attempt.started for attempt in trial.attempts] or [0.0])
    start, last = next(starts), 0.0
    for report in trial.reports:
        if report.seconds < last:
            start = next(starts, start)
        last = report.seconds
        yield start + report.seconds, report


def section(history: History, not_before: float = 0.0) -> Section | None:
    """Say what stopping saved and what it may have cost; None if the study stops nothing.

    Args:
        history: the study.
        not_before: progress before which its plugins let no trial be stopped.
    """
    study = history.study
    if study.fidelity is None or study.fidelity.stop != "asha":
        return None
    fidelity = completed(study.fidelity, study.trainer)
    goals, bounds, seed = study.objectives, study.constraints, study.search.seed
    rungs = Rungs(fidelity, goals, bounds, seed=seed, not_before=not_before)
    replay(rungs, history.trials)
    if not rungs.highest:
        return None
    states = {trial.number: trial.state for trial in history.trials}
    figures = [figure(name, rungs, states, fidelity) for name in study.objectives]
    parts: list[Part] = [Text(summary(history, fidelity, rungs)), table(rungs, states, fidelity)]
    return Section("Early stopping", (*parts, *(one for one in figures if one)))


def summary(history: History, fidelity: Fidelity, rungs: Rungs) -> str:
    """Say in words what was saved, what was checked, and what was not known in time."""
    steps = {t.number: max((r.step for r in t.reports), default=0.0) for t in history.trials}
    stopped = [trial for trial in history.trials if trial.state == "stopped"]
    whole = fidelity.max or max(steps.values())
    spent = sum(steps.values())
    saved = sum(max(0.0, whole - steps[trial.number]) for trial in stopped)
    unit = fidelity.unit.removesuffix("s") + "s"
    counted = f"{len(stopped)} of {len(history.trials)} trials were stopped early"
    texts = [f"{counted}: {spent:g} {unit} were trained, where {spent + saved:g} would have been."]
    if math.isinf(rungs.not_before):
        texts.append("A plugin lets no trial be stopped: what it does shows at the end alone.")
    elif rungs.not_before > fidelity.first:
        texts.append(f"A plugin lets no trial be stopped before {rungs.not_before:g} {unit}.")
    texts.append(checked(history, rungs))
    if late := [name for name in history.study.objectives if not known(name, rungs)]:
        texts.append(
            f"Not known before the end: {', '.join(late)}. A trial that is good in nothing else "
            "was stopped as a weak one; `fidelity.stop: off` keeps that end of the front."
        )
    return "\n\n".join(texts)


def checked(history: History, rungs: Rungs) -> str:
    """Say how often stopping would have been wrong, as far as it was checked."""
    done = [trial for trial in history.finished() if trial.number in rungs.spared]
    if not done:
        return (
            "Whether a stopped trial would have ended on the front was not checked: no weak trial "
            "was allowed to finish. `fidelity.spare: 0.1` lets one in ten."
        )
    names = list(history.study.objectives)
    every = [[t.metrics.get(name, float("nan")) for name in names] for t in history.finished()]
    front = non_dominated(every, history.study.goals)
    best = {t.number for t, on in zip(history.finished(), front, strict=True) if on}
    wrong = sum(trial.number in best for trial in done)
    return (
        f"{len(done)} weak trials were allowed to finish, chosen at random; {wrong} of them ended "
        f"on the front, where stopping would have been wrong."
    )


def known(name: str, rungs: Rungs) -> bool:
    """Say whether any trial knew an objective at a rung."""
    return any(name in one for reached in rungs.reached.values() for one in reached.values())


def table(rungs: Rungs, states: Mapping[int, str], fidelity: Fidelity) -> Table:
    """Count at each rung who reached it and who was stopped there."""
    came = Counter(rung for (_, rung), reached in rungs.reached.items() for _ in reached)
    ends = Counter(rung for number, rung in rungs.highest.items() if states[number] == "stopped")
    rows = tuple(
        (
            round(fidelity.first * fidelity.eta**rung, 6),
            came[rung],
            ends[rung],
            came[rung] - ends[rung],
        )
        for rung in sorted(came)
    )
    return Table("Trials at each rung", (fidelity.unit, "reached", "stopped", "went on"), rows)


def figure(name: str, rungs: Rungs, states: Mapping[int, str], fidelity: Fidelity) -> Figure | None:
    """Show an objective at each rung, of those that were stopped there and those that were not."""
    fates: dict[str, list[tuple[float, float]]] = {"went on": [], "stopped": []}
    for (_, rung), reached in sorted(rungs.reached.items()):
        for number, metrics in reached.items():
            if name in metrics:
                ended = states[number] == "stopped" and rungs.highest[number] == rung
                level = fidelity.first * fidelity.eta**rung
                fates["stopped" if ended else "went on"].append((level, metrics[name]))
    series = tuple(
        Series(fate, tuple(x for x, _ in dots), tuple(y for _, y in dots), style="points")
        for fate, dots in fates.items()
        if dots
    )
    alt = f"{name} of every trial at each rung, by whether the trial went on"
    title = f"{name} at each rung"
    return Figure(title, series, fidelity.unit, name, alt, log_x=True) if series else None
