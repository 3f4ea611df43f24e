"""The course of one run: mixtures and what the domains' losses said, and limits on both.

A course is all that a policy knows and all that a resumed run needs. Between two observations of
the losses one mixture is in force: with T mixtures there are T + 1 observations.
"""

from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Setting:
    """What is known before a run starts; domains are in the order of their names.

    Attributes:
        names: of the K domains.
        target: whether each belongs to the target field.
        rows: number of training rows of each.
        reweights: number T of mixtures.
        rows_per_step: rows that are trained on with one mixture.
        low: least weight of each domain.
        high: largest weight of each domain.
        max_change: largest change of the target share from one mixture to the next.
        forgetting_limit: rise of the mean source loss that trips the breaker.
        breaker_share: largest target share while the breaker holds.
    """

    names: tuple[str, ...]
    target: tuple[bool, ...]
    rows: tuple[int, ...]
    reweights: int
    rows_per_step: int
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    max_change: float = 1.0
    forgetting_limit: float | None = None
    breaker_share: float = 1.0

    @property
    def flags(self) -> NDArray[np.bool_]:
        """Whether each domain belongs to the target field, (K,)."""
        return np.array(self.target)

    @property
    def peers(self) -> Array:
        """Number of domains in the field of each domain, (K,)."""
        count = self.flags.sum()
        found: Array = np.where(self.flags, count, len(self.names) - count).astype(np.float64)
        return found

    def mixture(self, share: float, composition: Array | None = None) -> Array:
        """Return the mixture (K,) with a target share, even inside each field by default.

        Args:
            share: weight of the target field.
            composition: (K,) weights inside the fields, of any scale.
        """
        inside = np.ones(len(self.names)) if composition is None else composition
        totals = np.where(self.flags, inside[self.flags].sum(), inside[~self.flags].sum())
        found: Array = np.where(self.flags, share, 1 - share) * inside / totals
        return found


class Policy(Protocol):
    """Who chooses the mixtures; a pure function of the course, so that resuming is trivial."""

    def weights(self, course: "Course") -> Array:
        """Return the next mixture (K,)."""


@dataclass(frozen=True, slots=True)
class Course:
    """Mixtures and observations so far.

    Attributes:
        weights: the mixtures, each (K,).
        losses: held-out losses, each (K,), in nats a byte; one more than mixtures when a mixture
            is due.
        rates: learning rate at each observation, as a fraction of its peak.
        notes: what a policy or a guard had to say, by number of the mixture.
    """

    setting: Setting
    weights: tuple[tuple[float, ...], ...] = ()
    losses: tuple[tuple[float, ...], ...] = ()
    rates: tuple[float, ...] = ()
    notes: dict[int, str] = field(default_factory=dict)

    @property
    def done(self) -> bool:
        """Whether the last mixture has been trained on and its effect observed."""
        return len(self.losses) > self.setting.reweights

    @property
    def step(self) -> int:
        """Number of the next mixture, from 0."""
        return len(self.weights)

    @property
    def share(self) -> float:
        """Target share of the mixture in force."""
        return float(np.array(self.weights[-1])[self.setting.flags].sum())

    def observe(self, losses: Any, rate: float = 1.0) -> "Course":
        """Add what the held-out rows said."""
        seen = tuple(float(loss) for loss in losses)
        return replace(self, losses=(*self.losses, seen), rates=(*self.rates, float(rate)))

    def decide(self, policy: Policy) -> "Course":
        """Add the next mixture: what the policy says, inside the guards."""
        said = np.asarray(policy.weights(self), np.float64)
        kept, note = guarded(self, said)
        notes = {**self.notes, self.step: note} if note else self.notes
        return replace(self, weights=(*self.weights, tuple(kept.tolist())), notes=notes)

    def change(self) -> Array:
        """Change of each domain's loss since the start, (K,)."""
        found: Array = np.array(self.losses[-1]) - np.array(self.losses[0])
        return found

    def forgetting(self) -> float:
        """Mean change of the source losses; below 0 the sources were learned further."""
        return float(self.change()[~self.setting.flags].mean())

    def gain(self) -> float:
        """Mean change of the target losses; below 0 the targets were learned."""
        return float(self.change()[self.setting.flags].mean())

    def to_dict(self) -> dict[str, Any]:
        """Return the course without its setting, in plain types."""
        return {
            "weights": [list(row) for row in self.weights],
            "losses": [list(row) for row in self.losses],
            "rates": list(self.rates),
            "notes": {str(step): note for step, note in self.notes.items()},
        }

    @classmethod
    def from_dict(cls, setting: Setting, content: dict[str, Any]) -> "Course":
        """Read what `to_dict` returned."""
        return cls(
            setting,
            tuple(tuple(row) for row in content["weights"]),
            tuple(tuple(row) for row in content["losses"]),
            tuple(content["rates"]),
            {int(step): note for step, note in content["notes"].items()},
        )


def guarded(course: Course, weights: Array) -> tuple[Array, str]:
    """Move a mixture inside the limits of a run, and say which had to act."""
    setting, notes = course.setting, []
    weights = weights / weights.sum()
    share = wanted = float(weights[setting.flags].sum())
    if course.weights:
        last = course.share
        share = float(np.clip(share, last - setting.max_change, last + setting.max_change))
        notes += ["change limited"] if abs(share - wanted) > 1e-9 else []
    limit = setting.forgetting_limit
    if limit is not None and course.forgetting() > limit and share > setting.breaker_share:
        share = setting.breaker_share
        notes.append("breaker tripped")
    if share != wanted:
        weights = setting.mixture(share, np.maximum(weights, 1e-12))
    if setting.low or setting.high:
        bounded = within(weights, np.array(setting.low), np.array(setting.high))
        notes += ["bounds kept"] if np.abs(bounded - weights).max() > 1e-9 else []
        weights = bounded
    return weights, ", ".join(notes)


def within(weights: Array, low: Array, high: Array) -> Array:
    """Return the mixture between bounds that keeps the ratios of all weights off the bounds.

    The scale is found by bisection: the sum of clipped weights rises with it.
    """
    if low.sum() > 1 or high.sum() < 1:
        raise ValueError(f"min_weight sum to {low.sum():g} and max_weight to {high.sum():g}; not 1")
    base = np.maximum(weights, 1e-12)
    small, large = 0.0, 1 / base.min() + 1
    for _ in range(200):
        middle = (small + large) / 2
        small, large = (
            (middle, large) if np.clip(middle * base, low, high).sum() < 1 else (small, middle)
        )
    found: Array = np.clip(large * base, low, high)
    found /= found.sum()
    return found
