"""How sure the front is: repeated seeds, and the probability that a point is non-dominated.

Every setting that ran with several seeds gives a mean; the standard deviation between seeds is
pooled over all of them. A metric named `<objective>_se` is taken as the standard error of that
objective at that point. The probability is the share of draws, normal around the means, in which
no other feasible setting dominates the point.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from automl import pareto
from automl.history import History
from automl.report.points import points, table
from automl.report.records import Noise, Point, Repeat
from automl.space import option_text

DRAWS = 400
NEAREST = 200  # settings that are drawn: the best ranks; others have no chance worth the time
ENOUGH = 3  # degrees of freedom below which a pooled deviation is a guess
UNKNOWN = (
    "Not measured: no setting ran with more than one seed, and no metric <objective>_se tells a "
    "standard error. `automl retrain` runs a point again with other seeds, to see whether it holds."
)


def noise(history: History, rows: Sequence[Point], again: Sequence[History] = ()) -> Noise:
    """Measure the noise of a study, or say that nothing in it tells.

    Args:
        history: the study.
        rows: its points.
        again: studies that trained some of its points again with other seeds.
    """
    feasible = [row for row in rows if row.feasible]
    groups = settings(history, feasible, again)
    repeated = [group for group in groups if len(group) > 1]
    told = any(f"{name}_se" in row.metrics for row in feasible for name in history.study.objectives)
    freedom = sum(len(group) - 1 for group in repeated)
    if not repeated and not told:
        return Noise(UNKNOWN)
    deviations = pooled(repeated, len(history.study.objectives))
    errors = standard_errors(history, groups, deviations)
    repeats = tuple(_repeat(g, e) for g, e in zip(groups, errors, strict=True) if len(g) > 1)
    if not told and freedom < ENOUGH:
        few = f"Too few repeats to tell: {freedom} beyond the first runs, {ENOUGH} are needed."
        return Noise(few, tuple(map(float, deviations)), repeats)
    chances = chance_of_front(history, groups, errors)
    method = (
        f"{DRAWS} draws around the means of {len(groups)} settings, normal, with the standard "
        + ("errors that the points tell" if told else "deviation between seeds")
        + (f", pooled over {freedom} repeats." if repeated else ".")
    )
    return Noise(method, tuple(map(float, deviations)) if repeated else (), repeats, chances)


def settings(
    history: History, rows: Sequence[Point], again: Sequence[History] = ()
) -> list[list[Point]]:
    """Group the points that have the same name and parameters but came from different seeds.

    Points of `again` join the settings of this study and make no others; their labels begin with
    the name of their study, and they are on no front.
    """
    groups: defaultdict[str, dict[int, Point]] = defaultdict(dict)
    for row, seed in zip(rows, _seeds(history, rows), strict=True):
        groups[_key(row)].setdefault(seed, row)
    for other in again:
        found = [row for row in points(other) if row.feasible and _key(row) in groups]
        for row, seed in zip(found, _seeds(other, found), strict=True):
            label = f"{other.study.name}:{row.label}"
            groups[_key(row)].setdefault(seed, replace(row, label=label, rank=None))
    return [list(group.values()) for group in groups.values()]


def _key(row: Point) -> str:
    return f"{row.name} {option_text(dict(row.params))}"


def _seeds(history: History, rows: Sequence[Point]) -> list[int]:
    seeds = {trial.number: trial.seed for trial in history.trials}
    return [seeds[row.trial] for row in rows]


def pooled(groups: Sequence[Sequence[Point]], objectives: int) -> NDArray[np.float64]:
    """Return the standard deviation within groups: sum of squares over degrees of freedom."""
    squares, freedom = np.zeros(objectives), 0
    for group in groups:
        values = table(list(group), objectives)
        squares += ((values - values.mean(axis=0)) ** 2).sum(axis=0)
        freedom += len(group) - 1
    return np.sqrt(squares / max(freedom, 1))


def standard_errors(
    history: History, groups: Sequence[Sequence[Point]], deviations: NDArray[np.float64]
) -> list[NDArray[np.float64]]:
    """Return the (m,) standard error of each group's mean; a metric `<objective>_se` goes first."""
    names = list(history.study.objectives)
    found = []
    for group in groups:
        told = [group[0].metrics.get(f"{name}_se", float("nan")) for name in names]
        error = np.where(np.isnan(told), deviations, told)
        found.append(error / np.sqrt(len(group)))
    return found


def _repeat(group: Sequence[Point], error: NDArray[np.float64]) -> Repeat:
    means = table(list(group), len(error)).mean(axis=0)
    labels = tuple(point.label for point in group if point.rank is not None)
    return Repeat(labels, len(group), tuple(map(float, means)), tuple(map(float, error)))


def chance_of_front(
    history: History, groups: Sequence[Sequence[Point]], errors: Sequence[NDArray[np.float64]]
) -> tuple[tuple[str, float], ...]:
    """Return the label and the probability of each setting that has a point on the front."""
    goals = history.study.goals
    means = np.array([table(list(group), len(goals)).mean(axis=0) for group in groups])
    kept = np.argsort(pareto.ranks(means, goals), kind="stable")[:NEAREST]
    draw = np.random.default_rng(history.study.search.seed)
    shape = (DRAWS, len(kept), len(goals))
    drawn = means[kept] + draw.standard_normal(shape) * np.array(errors)[kept]
    chances = np.mean([pareto.non_dominated(values, goals) for values in drawn], axis=0)
    return tuple(
        (point.label, float(chance))
        for index, chance in zip(kept, chances, strict=True)
        for point in groups[index]
        if point.front
    )
