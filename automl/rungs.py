"""Early stopping for one or several objectives: successive halving that waits for nobody.

A trial that reaches a rung (`min`, `min * eta`, `min * eta^2`, ... below `max`) is compared with
all that have reached it, and goes on if it is among the best `1 / eta` of them. Sources:

- Li, Jamieson, Rostamizadeh, Gonina, Ben-tzur, Hardt, Recht and Talwalkar, A System for Massively
  Parallel Hyperparameter Tuning, 2020: asynchronous halving.
- Schmucker, Donini, Zafar, Salinas and Archambeau, Multi-objective Asynchronous Successive Halving,
  2021: the best of several objectives by non-dominated rank, and an order within the rank.
- Li, Jamieson, DeSalvo, Rostamizadeh and Talwalkar, Hyperband: A Novel Bandit-Based Approach to
  Hyperparameter Optimization, 2018: brackets.

Departures: with two or three objectives the whole front goes on, also where it is more than
`1 / eta` of all (with more objectives nearly all trials are on it, and the order decides); what is
known of a trial from its start, its cost, counts from the first rung; infeasible trials come last.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, Protocol

from automl.places import Order, Place, place
from automl.rivals import Field, Rivals
from automl.study import Constraint, Fidelity, Objective

EDGE = 1e-9  # progress that is short of a rung by rounding alone has reached it


@dataclass(frozen=True, slots=True)
class Decision:
    """What became of a trial when it reported.

    Attributes:
        trial: its number.
        step: its progress.
        goes_on: False if it is to be stopped.
        rung: progress of the rung at which it was compared; None if it was not.
        position: its place among those who reached the rung, from 1; 0 if it was not compared.
        among: how many were compared, itself included.
        kept: how many of them may go on.
        spared: whether it would have been stopped, but is allowed to finish as a check.
        ignored: objectives that were not known yet.
    """

    trial: int
    step: float
    goes_on: bool = True
    rung: float | None = None
    position: int = 0
    among: int = 0
    kept: int = 0
    spared: bool = False
    ignored: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Say in one line what was decided and why."""
        if self.rung is None:
            return f"trial {self.trial} goes on at {self.step:g}"
        act = "is spared" if self.spared else "goes on" if self.goes_on else "is stopped"
        known = f", without {', '.join(self.ignored)}" if self.ignored else ""
        return (
            f"trial {self.trial} {act} at {self.step:g}: place {self.position} of {self.among} "
            f"at rung {self.rung:g}, which keeps {self.kept}{known}"
        )


class Rule(Protocol):
    """A rule of stopping: the rungs below, or one that a study names by its class path."""

    def report(self, trial: int, step: float, metrics: Mapping[str, float]) -> Decision:
        """Take what a trial reports, and decide whether it goes on."""


@dataclass(frozen=True, slots=True)
class Aims:
    """What trials are compared by: objectives, constraints and the order within a rank."""

    objectives: Mapping[str, Objective]
    constraints: Mapping[str, Constraint]
    order: Order

    def violation(self, metrics: Mapping[str, float]) -> float:
        """Add up how far metrics are beyond their bounds, in units of the bounds; 0 if feasible.

        A constraint on a metric that is not known yet is kept.
        """
        return sum(
            beyond(metrics[name], bounds)
            for name, bounds in self.constraints.items()
            if name in metrics
        )

    def place(self, field: Field, eta: float) -> Place:
        """Find the place of a trial among its rivals, of whom one in `eta` is kept at least."""
        return place(
            field.index,
            field.values,
            field.violations,
            tuple(self.objectives[name].goal for name in field.names),
            least=math.ceil(len(field.violations) / eta),
            order=self.order,
        )


def beyond(value: float, bounds: Constraint) -> float:
    """Return how far a value is beyond its bounds, in units of the bound; infinite for a NaN."""
    if math.isnan(value):
        return math.inf
    over = 0.0 if bounds.max is None else (value - bounds.max) / (abs(bounds.max) or 1.0)
    under = 0.0 if bounds.min is None else (bounds.min - value) / (abs(bounds.min) or 1.0)
    return max(0.0, over, under)


class Rungs:
    """The rungs of a study, and who has reached them.

    Equal reports in equal order give equal decisions: after a restart, `report` what was recorded.

    Args:
        fidelity: minimum, maximum, eta, brackets and the fraction to spare.
        objectives: goals by metric.
        constraints: bounds by metric.
        seed: of the brackets and of who is spared.
        not_before: progress before which no trial is stopped, whatever the rungs say.
        order: of trials that do not dominate each other.
    """

    def __init__(
        self,
        fidelity: Fidelity,
        objectives: Mapping[str, Objective],
        constraints: Mapping[str, Constraint] | None = None,
        *,
        seed: int = 0,
        not_before: float = 0.0,
        order: Order = "epsilon-net",
    ) -> None:
        self.fidelity = fidelity
        self.aims = Aims(dict(objectives), dict(constraints or {}), order)
        self.seed = seed
        self.not_before = not_before
        self.metrics: dict[int, dict[str, float]] = {}  # the latest that is known of each trial
        self.reached: dict[tuple[int, int], dict[int, dict[str, float]]] = {}  # bracket and rung
        self.rivals: dict[tuple[int, int], Rivals] = {}  # the same, as arrays
        self.highest: dict[int, int] = {}
        self.judged: dict[int, int] = {}  # the highest rung at which each was compared
        self.spared: dict[int, Decision] = {}

    def report(self, trial: int, step: float, metrics: Mapping[str, float]) -> Decision:
        """Take what a trial reports, and decide whether it goes on.

        Args:
            trial: its number.
            step: its progress in the study's unit; 0 for what is known before training.
            metrics: what is new; what it reported before still holds.
        """
        return (
            self.decide(trial, step)
            if self.arrives(trial, step, metrics)
            else Decision(trial, step)
        )

    def recall(self, trial: int, step: float, metrics: Mapping[str, float]) -> None:
        """Take what a trial has reported to an earlier driver.

        It was decided then whether it goes on; what is not in the record is who was spared.
        """
        if self.arrives(trial, step, metrics):
            self.judged[trial] = self.highest[trial]
            if self.spares(trial):
                self.decide(trial, step)

    def arrives(self, trial: int, step: float, metrics: Mapping[str, float]) -> bool:
        """Take what a trial reports, and say whether it is to be compared now."""
        known = self.metrics.setdefault(trial, {})
        known.update(metrics)
        if trial in self.spared:
            return False
        rung, bracket = rung_of(step, self.fidelity), self.bracket(trial)
        if rung is None or rung < bracket:
            return False
        if rung > self.highest.get(trial, -1):
            self.highest[trial] = rung
            self.reached.setdefault((bracket, rung), {})[trial] = dict(known)
            rivals = self.rivals.setdefault((bracket, rung), Rivals(tuple(self.aims.objectives)))
            rivals.add(trial, known, self.aims.violation(known))
        waits = step < self.not_before * (1 - EDGE)
        return not waits and self.judged.get(trial, -1) < self.highest[trial]

    def decide(self, trial: int, step: float) -> Decision:
        """Compare a trial with those that have reached its highest rung so far."""
        rung = self.judged[trial] = self.highest[trial]
        field = self.rivals[self.bracket(trial), rung].field(trial)
        found = self.aims.place(field, self.fidelity.eta)
        weak = found.position > found.kept
        spare = weak and self.spares(trial)
        decision = Decision(
            trial,
            step,
            not weak or spare,
            self.fidelity.first * self.fidelity.eta**rung,
            found.position,
            len(field.violations),
            found.kept,
            spare,
            tuple(name for name in self.aims.objectives if name not in field.names),
        )
        if spare:
            self.spared[trial] = decision
        return decision

    def bracket(self, trial: int) -> int:
        """Return the bracket of a trial: the number of its first rung.

        Brackets get trials in the proportions of Hyperband (algorithm 1): bracket b of B has
        `eta^(B - 1 - b) / (B - b)`.
        """
        count = self.fidelity.brackets
        if count == 1:
            return 0
        weights = [self.fidelity.eta ** (count - 1 - b) / (count - b) for b in range(count)]
        return Random(f"bracket {self.seed} {trial}").choices(range(count), weights)[0]

    def spares(self, trial: int) -> bool:
        """Say whether this trial may finish even if it is weak."""
        return Random(f"spare {self.seed} {trial}").random() < self.fidelity.spare


def rung_of(step: float, fidelity: Fidelity) -> int | None:
    """Return the number of the highest rung that this progress has reached; None if none.

    There is no rung at `max`: a trial ends there by itself.
    """
    step *= 1 + EDGE
    if step < fidelity.first:
        return None
    rung = int(math.log(step / fidelity.first, fidelity.eta) + EDGE)
    if fidelity.max is not None:
        last = math.ceil(math.log(fidelity.max / fidelity.first, fidelity.eta) - EDGE) - 1
        rung = min(rung, last)
    return rung if rung >= 0 else None


def completed(fidelity: Fidelity, trainer: Mapping[str, Any]) -> Fidelity:
    """Return a fidelity that knows its end: its own, or that of the Trainer in the same unit.

    Args:
        fidelity: of the study.
        trainer: arguments of the Trainer.
    """
    end = trainer.get({"epoch": "max_epochs", "step": "max_steps"}.get(fidelity.unit, ""))
    if fidelity.max is not None or not isinstance(end, int) or end <= 0:
        return fidelity
    return fidelity.model_copy(update={"max": float(end)})


def levels(fidelity: Fidelity, longest: float) -> tuple[float, ...]:
    """Return the progress of every rung up to `longest`, for figures and tables."""
    highest = rung_of(longest, fidelity)
    return tuple(
        fidelity.first * fidelity.eta**k for k in range(-1 if highest is None else highest + 1)
    )
