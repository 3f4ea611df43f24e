"""What mattered: importance of parameters for each objective, and how they go with it.

Importance is permutation importance (Breiman, "Random forests", 2001, section 10) on trials that
the forest has not seen: how much the squared error of a random forest grows when the values of one
parameter are shuffled, over twice the variance. That estimates the parameter's total share of the
variation (Jansen, "Analysis of variance designs for model output", 1999): an interaction counts for
each of its parameters, so that shares may sum to more than 1. Objectives are replaced by their
ranks, so that one diverged trial does not decide. A parameter with a condition is shuffled only
among points where it holds; that it holds at all counts for the parameter it depends on.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from automl.history import History
from automl.report.points import table
from automl.report.records import Importance, Influence, Point, Relation
from automl.report.text import clean, number
from automl.space import Choice, Fixed, Float, Int, Parameter, Value, option_text

Floats = NDArray[np.float64]

FOLDS, SHUFFLES, TREES = 4, 3, 48
MOST = 800  # points that a forest learns from, evenly taken from all
FEWEST = 20  # trials, and no fewer than three for each parameter
WORTH = 0.1  # share of the variation that must be predicted before an order means anything
ABSENT = -1.0  # code of a parameter whose condition does not hold
METHOD = (
    f"Permutation importance (Breiman 2001) of a random forest of {TREES} trees on unseen trials: "
    f"the total share of the variation of an objective's ranks that a parameter explains, alone or "
    f"with others; {FOLDS} folds by trial, ± one standard error."
)


def code(parameter: Parameter, value: Value) -> float:
    """Turn a value into a number: the logarithm on a log scale, the index of an option."""
    match parameter:
        case Choice(options):
            texts = [option_text(option) for option in options]
            return float(texts.index(option_text(value))) if option_text(value) in texts else ABSENT
        case Float(log=True) | Int(log=True):
            return float(np.log(max(value, 1e-300)))
        case _:
            return float(value)


def matrix(history: History, rows: Sequence[Point]) -> tuple[tuple[str, ...], Floats]:
    """Return the searched parameters and the (n, p) codes of the points, NaN where inactive."""
    names = history.space.searched()
    codes = [[_code(history.space[n], row.params.get(n)) for n in names] for row in rows]
    return names, np.array(codes, dtype=np.float64).reshape(len(rows), len(names))


def _code(parameter: Parameter, value: Value) -> float:
    try:
        return float("nan") if value is None else code(parameter, value)
    except (TypeError, ValueError):
        return float("nan")  # a further point may carry a value that the space does not know


def rank_of(values: Floats) -> Floats:
    """Return the ranks of values, mean ranks for ties, from 0 to 1."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = counts.cumsum()
    middle = ends - (counts + 1) / 2
    return np.asarray(middle[inverse] / max(len(values) - 1, 1), dtype=np.float64)


def importance(history: History, rows: Sequence[Point]) -> tuple[Importance, ...]:
    """Compute the importance of every searched parameter for every objective."""
    found = []
    for index, objective in enumerate(history.study.objectives):
        usable = evenly([row for row in rows if not np.isnan(row.values[index])], MOST)
        values = np.array([row.values[index] for row in usable])
        names, codes = matrix(history, usable)
        trials = np.array([row.trial for row in usable])
        if note := too_little(values, trials, names):
            found.append(Importance(objective, (), None, note))
        else:
            found.append(_importance(objective, names, codes, values, trials))
    return tuple(found)


def evenly(rows: Sequence[Point], most: int) -> list[Point]:
    """Return all points, or so many of them at even distances."""
    chosen = np.unique(np.linspace(0, len(rows) - 1, min(most, len(rows))).round().astype(int))
    return [rows[index] for index in chosen]


def too_little(values: Floats, trials: NDArray[np.int64], names: Sequence[str]) -> str:
    """Say why importance cannot be told from so little, or nothing."""
    count, needed = len(np.unique(trials)), max(FEWEST, 3 * len(names))
    if not names:
        return "Nothing was searched."
    if count < needed:
        return f"Too few trials to tell: {count} are done, {needed} are needed."
    if np.ptp(rank_of(values)) == 0:
        return "All trials have the same value."
    return ""


def _importance(
    objective: str,
    names: Sequence[str],
    codes: Floats,
    values: Floats,
    trials: NDArray[np.int64],
) -> Importance:
    target = rank_of(values)
    explained, losses = shuffled(codes, target, trials)
    if explained < WORTH:
        note = (
            f"Too few trials to tell: a forest explains {max(explained, 0):.0%} of the variation "
            "on unseen trials."
        )
        return Importance(objective, (), explained, note)
    shares, errors = losses.mean(axis=0), losses.std(axis=0, ddof=1) / np.sqrt(len(losses))
    influences = [
        Influence(name, float(share), float(error))
        for name, share, error in zip(names, shares, errors, strict=True)
    ]
    influences.sort(key=lambda influence: -influence.share)
    note = f"A forest explains {explained:.0%} of the variation on unseen trials."
    return Importance(objective, tuple(influences), explained, note)


def shuffled(
    codes: Floats, target: Floats, trials: NDArray[np.int64]
) -> tuple[float, NDArray[np.float64]]:
    """Fit forests on folds of trials and shuffle each parameter where it was not seen.

    Args:
        codes: (n, p) parameters, NaN where inactive.
        target: (n,) what is predicted.
        trials: (n,) points of one trial stay in one fold.

    Returns:
        The share of the variation explained on unseen trials, and the (FOLDS, p) share that is
        lost by shuffling each parameter.
    """
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.model_selection import GroupKFold

    filled = np.where(np.isnan(codes), codes[~np.isnan(codes)].min(initial=0.0) - 1.0, codes)
    draw, variance = np.random.default_rng(0), target.var()
    losses, errors = np.empty((FOLDS, codes.shape[1])), np.empty(FOLDS)
    for fold, (seen, unseen) in enumerate(
        GroupKFold(FOLDS, shuffle=True, random_state=0).split(filled, groups=trials)
    ):
        forest = RandomForestRegressor(TREES, min_samples_leaf=2, random_state=fold)
        forest.fit(filled[seen], target[seen])

        truth, width = target[unseen], codes.shape[1]
        active = ~np.isnan(codes[unseen])
        tables = [
            permuted(filled[unseen], active, column, draw)
            for column in range(width)
            for _ in range(SHUFFLES)
        ]
        guesses = forest.predict(np.concatenate([filled[unseen], *tables]))
        wrong = ((guesses.reshape(-1, len(truth)) - truth) ** 2).mean(axis=1) / variance
        errors[fold] = wrong[0]
        losses[fold] = (wrong[1:].reshape(width, SHUFFLES).mean(axis=1) - wrong[0]) / 2
    return float(1 - errors.mean()), losses


def permuted(
    table: Floats, active: NDArray[np.bool_], column: int, draw: np.random.Generator
) -> Floats:
    """Return the table with one column shuffled among the rows where it is active."""
    changed, rows = table.copy(), np.flatnonzero(active[:, column])
    changed[rows, column] = table[draw.permutation(rows), column]
    return changed


def relations(history: History, rows: Sequence[Point]) -> tuple[Relation, ...]:
    """Say for every searched parameter how it goes with each objective."""
    names, codes = matrix(history, rows)
    values = table(rows, len(history.study.objectives))
    return tuple(
        _relation(history, name, codes[:, index], values, rows) for index, name in enumerate(names)
    )


def _relation(
    history: History, name: str, codes: Floats, values: Floats, rows: Sequence[Point]
) -> Relation:
    parameter = history.space[name]
    choice = isinstance(parameter, Choice)
    strengths = tuple(
        strength(codes, values[:, i], choice) for i in range(len(history.study.objectives))
    )
    front = [row.params[name] for row in rows if row.front and name in row.params]
    return Relation(
        name,
        "choice" if choice else "number",
        strengths,
        int((~np.isnan(codes)).sum()),
        _range(parameter),
        _seen(front, choice),
    )


def strength(codes: Floats, values: Floats, choice: bool) -> float:
    """Return the rank correlation, or for a choice the share of variation between its options."""
    both = ~(np.isnan(codes) | np.isnan(values))
    if both.sum() < FEWEST or np.ptp(codes[both]) == 0 or np.ptp(rank_of(values[both])) == 0:
        return float("nan")
    ranks = rank_of(values[both])
    if not choice:
        return float(np.corrcoef(rank_of(codes[both]), ranks)[0, 1])
    _, groups = np.unique(codes[both], return_inverse=True)
    means = np.bincount(groups, ranks) / np.bincount(groups)
    return float(means[groups].var() / ranks.var())


def _range(parameter: Parameter) -> str:
    match parameter:
        case Float(low, high, log) | Int(low, high, log):
            return f"{number(low)} … {number(high)}" + (", log" if log else "")
        case Choice(options):
            return ", ".join(clean(option) for option in options)
        case Fixed(value):
            return clean(value)


def _seen(values: Sequence[Value], choice: bool) -> str:
    if not values:
        return "-"
    if choice:
        counts = Counter(clean(value) for value in values)
        return ", ".join(f"{text} ({count})" for text, count in counts.most_common())
    return f"{number(min(values))} … {number(max(values))}"
