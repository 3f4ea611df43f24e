"""What earlier studies can teach a new one: their points, as far as the spaces overlap."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from automl.history import History
from automl.space import Space, Value
from automl.study import Study


@dataclass(frozen=True, slots=True)
class Lesson:
    """A point of an earlier study, in the space of the new one."""

    params: Mapping[str, Value]
    metrics: Mapping[str, float]


def lessons(history: History, study: Study, space: Space) -> Iterator[Lesson]:
    """Yield the points of an earlier study that are points of this one too.

    A parameter that the earlier study did not search is taken at this study's default: that is
    where the earlier one most likely had it. A point outside the new space, or without one of the
    new study's objectives or constraints, teaches nothing.
    """
    wanted = {*study.objectives, *study.constraints}
    for trial in history.finished():
        own = [({}, trial.metrics), *((point.params, point.metrics) for point in trial.points)]
        for changes, metrics in own:
            params = space.completed({**trial.params, **changes})
            finite = all(np.isfinite(metrics.get(name, np.nan)) for name in wanted)
            if finite and not space.problems(params):
                yield Lesson(params, metrics)
