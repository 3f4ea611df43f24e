"""Who proposes the next trial: its default, a list or the sampler; also ahead of time."""

from collections.abc import Iterator, Mapping
from typing import Any

from automl.optimizer import Optimizer, Proposal
from automl.planning import Plan, reaches
from automl.plugins import Kind, blamed
from automl.space import Value


class Asker:
    """Asks for the point of each trial, by its number.

    Args:
        plan: the space, and the points that the study and its plugins name.
        optimizer: the sampler behind all others.
    """

    def __init__(self, plan: Plan, optimizer: Optimizer) -> None:
        self.space = plan.space
        self.enqueued = [*plan.study.search.enqueue, *starts(plan)]
        self.optimizer = optimizer
        self.asked: dict[int, Proposal] = {}

    def origin(self, number: int) -> str:
        """Return who proposes trial `number`."""
        if number == 0:
            return "default"
        return "enqueued" if number <= len(self.enqueued) else self.optimizer.name

    def given(self, number: int) -> dict[str, Value] | None:
        """Return the point that trial `number` must take, if any."""
        if number == 0:
            return self.space.default()
        if number <= len(self.enqueued):
            return self.space.completed(self.enqueued[number - 1])
        return None

    def left(self, number: int) -> bool:
        """Say whether there is a point for trial `number`; a grid comes to an end."""
        return number in self.asked or self.given(number) is not None or self.optimizer.left()

    def ahead(self, number: int) -> None:
        """Ask now for a trial that starts later, while the devices are busy."""
        if number not in self.asked and self.left(number):
            self.asked = {number: self._ask(number)}

    def drop(self) -> None:
        """Tell Optuna that what was asked ahead is not tried."""
        for proposal in self.asked.values():
            self.optimizer.tell_untried(proposal.optuna)
        self.asked = {}

    def ask(self, number: int) -> Proposal:
        """Return the point of trial `number`."""
        known = self.asked.pop(number, None)
        return known or self._ask(number)

    def _ask(self, number: int) -> Proposal:
        return self.optimizer.ask(number, self.given(number))


def starts(plan: Plan) -> Iterator[dict[str, Value]]:
    """Yield the points that plugins begin with, once each, as far as the space holds them.

    Raises:
        PluginError: a plugin's `starts` fails, or names what is none of its options.
    """
    known = [plan.space.default()]
    for one, points in plan.plugins.ask("starts", space=plan.space):
        with blamed(one.kind, "failed in starts"):
            found = list(points)
        for point in found:
            whole = plan.space.completed(named(one.kind, point))
            if whole not in known and not plan.space.problems(whole):
                known.append(whole)
                yield whole


def named(kind: Kind, point: Any) -> dict[str, Value]:
    """Put a plugin's name before the names of its options."""
    if not isinstance(point, Mapping):
        raise kind.blame(f"must return mappings from starts, got {point!r}")
    if lost := [name for name in point if not reaches(kind.options, str(name).split("."))]:
        raise kind.blame(f"begins with {lost[0]!r}, which is none of its options")
    return {f"{kind.name}.{name}": value for name, value in point.items()}
