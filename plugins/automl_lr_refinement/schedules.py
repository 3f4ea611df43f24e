"""Learning-rate schedules as records: a table over the fraction of training, and where it is from.

A schedule is a multiplier of the peak learning rate with maximum 1, given at equal distances from
the start of training (fraction 0) to its end (fraction 1) and linear between them. Step t of T,
counted from 0, takes the value at t / T: a schedule that ends in 0 wastes no step.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from automl_lr_refinement.refine import Array

SCHEMA = 1
KNOTS = 2049  # of an analytic shape, and at most of a refined one
POWERS = np.round(np.arange(0.1, 8.05, 0.1), 1)  # tried when a label is fitted


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule and where it is from.

    Attributes:
        table: multipliers at equal distances from fraction 0 to 1.
        label: what it is, for people.
        provenance: what it was made from, as JSON values by name.
    """

    table: tuple[float, ...]
    label: str
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.table) < 2:
            raise ValueError(f"a schedule needs 2 values or more, got {len(self.table)}")
        values = np.asarray(self.table)
        if not (np.isfinite(values).all() and values.min() >= 0 and 0 < values.max() <= 1):
            raise ValueError(
                f"{self.label}: multipliers must be in [0, 1] and not all 0, "
                f"got {values.min()} to {values.max()}"
            )

    def at(self, fraction: float) -> float:
        """Return the multiplier at a fraction of training; before and after it stays as it is."""
        return interpolate(self.table, fraction)

    def multipliers(self, steps: int) -> Array:
        """Return the multiplier of each of `steps` optimizer steps."""
        grid = np.linspace(0, 1, len(self.table))
        return np.interp(np.arange(steps) / steps, grid, self.table)

    def resample(self, knots: int) -> "Schedule":
        """Return the same schedule as a table of another length."""
        grid = np.linspace(0, 1, len(self.table))
        table = np.interp(np.linspace(0, 1, knots), grid, self.table)
        return Schedule(tuple(table.tolist()), self.label, self.provenance)

    def noting(self, **facts: Any) -> "Schedule":
        """Return the same schedule with more facts about where it is from."""
        return Schedule(self.table, self.label, {**self.provenance, **facts})

    def write(self, path: Path) -> None:
        """Write the schedule as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        record = {
            "schema": SCHEMA,
            "label": self.label,
            "provenance": dict(self.provenance),
            "table": list(self.table),
        }
        path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> "Schedule":
        """Read what `write` wrote."""
        record = json.loads(path.read_text(encoding="utf-8"))
        if record.get("schema") != SCHEMA:
            raise ValueError(
                f"{path}: expected schema {SCHEMA}, got {record.get('schema')!r}; "
                "write it again with this version"
            )
        return cls(tuple(record["table"]), record["label"], record["provenance"])


def file_name(optimizer: int) -> str:
    """Return the file of the schedule that is worth using again, by the optimizer's number."""
    return f"schedule-{optimizer}.json" if optimizer else "schedule.json"


def interpolate(table: Sequence[float], fraction: float) -> float:
    """Return the value of a table of equal distances at a fraction in [0, 1]."""
    place = min(max(fraction, 0.0), 1.0) * (len(table) - 1)
    left = min(int(place), len(table) - 2)
    return table[left] + (place - left) * (table[left + 1] - table[left])


def from_multipliers(multipliers: Array, label: str, provenance: Mapping[str, Any]) -> Schedule:
    """Make a schedule of the multipliers of a run's steps, the last of which is its end."""
    found = Schedule(tuple(multipliers.tolist()), label, provenance)
    return found if len(found.table) <= KNOTS else found.resample(KNOTS)


def constant(warmup: float = 0.0) -> Schedule:
    """Return a flat schedule after a warm-up."""
    return shaped(np.ones(KNOTS), "constant", warmup)


def linear(warmup: float = 0.0) -> Schedule:
    """Return linear decay to 0 after a warm-up."""
    return shaped(1 - decay(warmup), "linear", warmup)


def cosine(warmup: float = 0.0) -> Schedule:
    """Return half a cosine from 1 to 0 after a warm-up."""
    return shaped((1 + np.cos(np.pi * decay(warmup))) / 2, "cosine", warmup)


def wsd(warmup: float = 0.05, decaying: float = 0.2) -> Schedule:
    """Return warm-up, a stable plateau, and linear decay to 0 over the last part of training."""
    if not 0 < decaying <= 1 - warmup:
        raise ValueError(
            f"decaying: must be in (0, 1 - warmup], got {decaying} with warmup {warmup}"
        )
    falling = np.minimum(1.0, (1 - np.linspace(0, 1, KNOTS)) / decaying)
    return shaped(falling, "wsd", warmup, f", last {decaying:.0%} decaying")


def step(
    milestones: Sequence[float] = (0.5, 0.75), factor: float = 0.1, warmup: float = 0.0
) -> Schedule:
    """Return a schedule that is multiplied by `factor` at each of these fractions of training."""
    passed = (np.linspace(0, 1, KNOTS)[:, None] >= np.asarray(milestones)).sum(axis=1)
    return shaped(factor**passed, "step", warmup, f" of {factor} at {milestones}")


def decay(warmup: float) -> Array:
    """Return how much of what follows the warm-up has passed, at each knot."""
    return np.clip((np.linspace(0, 1, KNOTS) - warmup) / (1 - warmup), 0, 1)


def shaped(values: Array, shape: str, warmup: float, note: str = "") -> Schedule:
    """Put a linear warm-up before a shape and name it."""
    if not 0 <= warmup < 1:
        raise ValueError(f"warmup: must be in [0, 1), got {warmup}")
    if warmup:
        values = np.minimum(values, np.linspace(0, 1, KNOTS) / warmup)
    label = shape + note + (f", warm-up {warmup:.0%}" if warmup else "")
    provenance = {"shape": shape, "warmup": warmup}
    return Schedule(tuple((values / values.max()).tolist()), label, provenance)


def describe(multipliers: Array) -> str:
    """Say what a schedule looks like: the fraction until its peak, and the power of its decay.

    The power is the one of (1 - u)^power, u the part of the decay that has passed, that is nearest
    in the mean square.
    """
    peak = int(multipliers.argmax())
    falling = multipliers[peak:]
    left = np.linspace(1, 0, falling.size)
    errors = ((left[None] ** POWERS[:, None] - falling) ** 2).sum(axis=1)
    power = POWERS[errors.argmin()]
    return f"warm-up {peak / max(multipliers.size - 1, 1):.0%}, power {power:.1f}"
