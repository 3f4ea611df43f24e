"""Those who have reached a rung, as arrays that grow as trials come."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from automl.pareto import Floats

ROOM = 64  # trials for which there is room at first; it doubles when it is full


@dataclass(frozen=True, slots=True)
class Field:
    """A trial and those whom it can be compared with, in the order of arrival.

    Attributes:
        index: of the trial.
        names: objectives that the trial knows.
        values: (n, m) of these objectives.
        violations: (n,) how far each is from feasible.
    """

    index: int
    names: tuple[str, ...]
    values: Floats
    violations: Floats


class Rivals:
    """Those who have reached a rung.

    Args:
        names: objectives.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self.rows: dict[int, int] = {}
        self.values: Floats = np.empty((ROOM, len(self.names)))
        self.known: NDArray[np.bool_] = np.empty(self.values.shape, dtype=np.bool_)
        self.violations: Floats = np.empty(ROOM)

    def add(self, trial: int, metrics: Mapping[str, float], violation: float) -> None:
        """Let a trial arrive with what it knows."""
        row = self.rows[trial] = len(self.rows)
        if row == len(self.violations):
            self.values, self.known, self.violations = (
                np.concatenate([old, np.empty_like(old)])
                for old in (self.values, self.known, self.violations)
            )
        self.values[row] = [metrics.get(name, np.nan) for name in self.names]
        self.known[row] = [name in metrics for name in self.names]
        self.violations[row] = violation

    def field(self, trial: int) -> Field:
        """Return those who know every objective that a trial knows, itself among them."""
        row, count = self.rows[trial], len(self.rows)
        mine = np.flatnonzero(self.known[row])
        able = np.flatnonzero(self.known[:count][:, mine].all(axis=1))
        return Field(
            int(np.searchsorted(able, row)),
            tuple(self.names[column] for column in mine),
            self.values[np.ix_(able, mine)],
            self.violations[able],
        )
