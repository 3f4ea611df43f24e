"""A sampler that tries every point of a space once, in an order that the seed gives."""

import math
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import islice
from typing import Any, TypeAlias

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial

from automl.distributions import encode
from automl.errors import AutomlError
from automl.space import Choice, Fixed, Float, Int, Parameter, Space, Value, option_text

MOST = 100_000  # points of a grid that are worth going through
UNTRIED = "automl:untried"  # marks a proposal that came to nothing

Key: TypeAlias = frozenset[tuple[str, Any]]


class Grid(BaseSampler):
    """Proposes each point of a space that no trial of the study has tried yet.

    Points that are forbidden and parameters whose condition does not hold are left out. Optuna's
    grid knows neither, tries what was enqueued twice, and stops studies that it does not run.

    Args:
        space: whose floats each have a step.
        seed: of the order.

    Raises:
        AutomlError: a float has no step, or the grid has too many points.
    """

    def __init__(self, space: Space, seed: int) -> None:
        self.space = space
        columns = {name: values(name, space[name]) for name in space.order()}
        every = list(islice(points(space, columns, space.order(), {}), MOST + 1))
        if len(every) > MOST:
            raise AutomlError(
                f"search.sampler: the grid has more than {MOST:,} points; give larger steps, "
                "or use random"
            )
        allowed = [point for point in every if space.forbidden(point) is None]
        order = np.random.default_rng(seed).permutation(len(allowed))
        self.points = [self.encoded(allowed[index]) for index in order]
        self.keys = [self.key(point) for point in self.points]
        self.ended: dict[int, Key] = {}  # what trials tried that have ended

    def reseed_rng(self) -> None:
        """Do nothing: the order is given."""

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return nothing: `sample_relative` knows the space."""
        del study, trial
        return {}

    def sample_relative(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        search_space: dict[str, BaseDistribution],
    ) -> dict[str, Any]:
        """Return the next point that no trial has tried.

        Raises:
            AutomlError: all points have been tried; `left` says so before.
        """
        del trial, search_space
        tried = self.tried(study)
        for point, key in zip(self.points, self.keys, strict=True):
            if key not in tried:
                return point
        raise AutomlError(f"search.sampler: all {len(self.points)} points of the grid were tried")

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Refuse: a grid proposes whole points."""
        del study, trial, param_distribution
        raise AutomlError(f"search.sampler: the grid has no value for {param_name}")

    def left(self, study: optuna.Study) -> bool:
        """Say whether any point has not been tried."""
        return not self.tried(study).issuperset(self.keys)

    def tried(self, study: optuna.Study) -> set[Key]:
        """Return the points that a study's trials tried, or try now."""
        running = set()
        for trial in study.get_trials(deepcopy=False):
            if trial.number in self.ended:
                continue
            key = frozenset() if UNTRIED in trial.user_attrs else self.key(trial.params)
            if trial.state.is_finished():
                self.ended[trial.number] = key
            running.add(key)
        return running.union(self.ended.values())

    def encoded(self, point: Mapping[str, Value]) -> dict[str, Any]:
        """Return what is searched of a point, in Optuna's words."""
        return {name: encode(point[name]) for name in self.space.searched() if name in point}

    def key(self, params: Mapping[str, Any]) -> Key:
        """Return what tells points apart: floats by their number of steps, up to rounding."""
        return frozenset(
            (name, place(self.space[name], value))
            for name, value in params.items()
            if name in self.space
        )


def values(name: str, parameter: Parameter) -> Sequence[Value]:
    """Return the values of a parameter on the grid.

    Raises:
        AutomlError: it is a float without a step.
    """
    match parameter:
        case Choice(options):
            return options
        case Fixed(value):
            return (value,)
        case Int(low, high, _, step):
            return range(low, high + 1, step or 1)
        case Float(low, high, _, step) if step is not None:
            count = math.floor((high - low) / step + 1e-6) + 1
            first, width = Decimal(repr(low)), Decimal(repr(step))  # so that 3 * 0.1 is 0.3
            return [float(first + width * k) for k in range(min(count, MOST + 1))]
    raise AutomlError(f"search.sampler: a grid needs a step for {name}; or use random")


def points(
    space: Space,
    columns: Mapping[str, Sequence[Value]],
    order: Sequence[str],
    given: dict[str, Value],
) -> Iterator[dict[str, Value]]:
    """Yield the points that go on from `given` along `order`, the forbidden ones too."""
    if not order:
        yield given
        return
    name, rest = order[0], order[1:]
    if not space.active(name, given):
        yield from points(space, columns, rest, given)
        return
    for value in columns[name]:
        yield from points(space, columns, rest, {**given, name: value})


def place(parameter: Parameter, value: Any) -> Any:
    """Return what a value is told by: a float's number of steps, else its text."""
    if isinstance(parameter, Float) and parameter.step:
        return round((value - parameter.low) / parameter.step)
    return option_text(value)
