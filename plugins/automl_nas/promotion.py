"""Which architectures to train next: by calibrated estimate, along a trade-off, and at random."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from automl_nas.estimate import Vector, calibrated


def is_random(number: int, share: float) -> bool:
    """Say whether the `number`-th training, from 0, belongs to the random arm of this share."""
    return int((number + 1) * share) > int(number * share)


@dataclass(frozen=True, slots=True)
class Pool:
    """Architectures that can be promoted, and what is known without training them.

    Attributes:
        plain: (n, F) features.
        supernet: (n,) estimates.
        costs: (n, C) costs that are objectives, smaller is better; no columns if there are none.
        forms: canonical form of each; those of one form count as one.
    """

    plain: Vector
    supernet: Vector
    costs: Vector
    forms: Sequence[str]


def promoted(
    pool: Pool, values: Vector, known: Sequence[int], count: int, rng: np.random.Generator
) -> list[int]:
    """Choose architectures to train: the best by estimate, along the trade-off with costs.

    Without costs the largest values; with costs each choice is the best for random weights of the
    objectives, all scaled to [0, 1], so that choices spread along the front.

    Args:
        pool: the candidates.
        values: (n,) calibrated estimates.
        known: candidates that are trained.
        count: how many to choose.
        rng: of the weights.
    """
    objectives = np.concatenate([values[:, None], -pool.costs], axis=1)
    spread = np.ptp(objectives, axis=0)
    scaled = (objectives - objectives.min(axis=0)) / np.where(spread > 0, spread, 1)
    taken = {pool.forms[index] for index in known}
    found: list[int] = []
    for _ in range(count):
        weights = rng.dirichlet(np.ones(scaled.shape[1]))
        order = np.argsort(-(scaled * weights).sum(axis=1), kind="stable")
        index = next((int(i) for i in order if pool.forms[i] not in taken), None)
        if index is None:
            break
        taken.add(pool.forms[index])
        found.append(index)
    return found


def drawn(pool: Pool, known: Sequence[int], count: int, rng: np.random.Generator) -> list[int]:
    """Draw architectures that are not trained, uniformly over canonical forms."""
    taken = {pool.forms[index] for index in known}
    first = {form: index for index, form in reversed(list(enumerate(pool.forms)))}
    left = [first[form] for form in dict.fromkeys(pool.forms) if form not in taken]
    chosen = rng.choice(len(left), size=min(count, len(left)), replace=False)
    return [left[index] for index in chosen]


@dataclass(frozen=True, slots=True)
class Rounds:
    """How promotion goes on: how many trainings, how many at a time, how many at random.

    Attributes:
        start: random trainings before the first calibration.
        batch: trainings of a round.
        total: trainings in all.
        random: share of the trainings after the start that are drawn at random.
    """

    start: int = 16
    batch: int = 4
    total: int = 32
    random: float = 0.1


def promote(
    pool: Pool,
    train: Callable[[list[int]], Sequence[float]],
    rounds: Rounds,
    rng: np.random.Generator,
    begun: Mapping[int, float] | None = None,
) -> dict[int, float]:
    """Train in rounds, each on what the calibration of all before thinks best.

    Args:
        pool: the candidates.
        train: returns the truth, larger is better, of candidates by index.
        rounds: how many.
        rng: of the random arm.
        begun: trainings that are done already.

    Returns:
        The truth of each candidate that was trained, in the order of training.
    """
    truth = dict(begun or {})
    if len(truth) < rounds.start:
        first = drawn(pool, list(truth), rounds.start - len(truth), rng)
        truth |= dict(zip(first, train(first), strict=True))
    while len(truth) < rounds.total:
        best, arm = next_round(pool, truth, rounds, rng)
        chosen = best + arm
        if not chosen:
            break
        truth |= dict(zip(chosen, train(chosen), strict=True))
    return truth


def next_round(
    pool: Pool, truth: Mapping[int, float], rounds: Rounds, rng: np.random.Generator
) -> tuple[list[int], list[int]]:
    """Return what a calibration on all trainings thinks best, and the random arm."""
    count = min(rounds.batch, rounds.total - len(truth))
    share = sum(is_random(len(truth) + i - rounds.start, rounds.random) for i in range(count))
    best = best_left(pool, truth, count - share, rng)
    return best, drawn(pool, [*truth, *best], share, rng)


def best_left(
    pool: Pool, truth: Mapping[int, float], count: int, rng: np.random.Generator
) -> list[int]:
    """Calibrate on what is trained, and choose what to train next."""
    known = list(truth)
    model = calibrated(pool.plain[known], pool.supernet[known], list(truth.values()))
    return promoted(pool, model.predict(pool.plain, pool.supernet), known, count, rng)
