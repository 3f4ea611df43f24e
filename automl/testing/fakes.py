"""A study without training: recorded curves, a clock that jumps, and workers that get lost."""

import heapq
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib.resources import files
from itertools import count
from typing import Any, Literal

from automl.events import Ended, Event, Outcome, Reported, Started
from automl.history import Failure, History
from automl.job import JobSpec
from automl.launch import searched
from automl.planning import plan
from automl.studyfile import StudyFile

Handle = Callable[[Event], None]
Told = tuple[float, float, Mapping[str, float]]  # seconds since the start, step, metrics


@dataclass(frozen=True, slots=True)
class Curve:
    """One real training of `automl.zoo.ConvNet` on digits: what it logged after each epoch."""

    params: Mapping[str, Any]
    parameters: float
    seconds: tuple[float, ...]
    val_accuracy: tuple[float, ...]
    val_loss: tuple[float, ...]

    def told(self) -> Iterator[Told]:
        """Yield the reports of this training, the size of the network first."""
        yield 0.0, 0.0, {"parameters": self.parameters}
        rows = zip(self.seconds, self.val_accuracy, self.val_loss, strict=True)
        for epoch, (seconds, accuracy, loss) in enumerate(rows, start=1):
            metrics = {"val_accuracy": accuracy, "val_loss": loss, "parameters": self.parameters}
            yield seconds, float(epoch), metrics


def curves() -> tuple[Curve, ...]:
    """Return the recorded curves: 24 trainings of 8 epochs, of `studies/quickstart.yaml`."""
    text = (files("automl.testing") / "curves.json").read_text(encoding="utf-8")
    return tuple(
        Curve(
            row["params"],
            row["parameters"],
            tuple(row["seconds"]),
            tuple(row["val_accuracy"]),
            tuple(row["val_loss"]),
        )
        for row in json.loads(text)
    )


@dataclass
class FakeEngine:
    """Plays jobs on a simulated clock, as many at once as it has slots.

    Args:
        train: what a job tells, in order; the last metrics are its own point's.
        slots: jobs at once.
        lost: attempts, as (trial, attempt), whose worker is lost after its first report.
    """

    train: Callable[[JobSpec], Iterator[Told]]
    slots: int = 2
    lost: frozenset[tuple[int, int]] = frozenset()
    now: float = 0.0
    queue: list[tuple[float, int, Event]] = field(default_factory=list)
    running: dict[str, JobSpec] = field(default_factory=dict)
    ties: Iterator[int] = field(default_factory=count)

    def capacity(self) -> int:
        """Return how many more jobs could start now."""
        return self.slots - len(self.running)

    def submit(self, spec: JobSpec) -> None:
        """Put everything that a job will tell into the queue."""
        self.running[spec.key] = spec
        self._push(self.now, Started(spec, 0))
        outcome, end = Outcome("done"), self.now
        for number, (seconds, step, metrics) in enumerate(self.train(spec)):
            end = self.now + seconds
            self._push(end, Reported(spec, step, seconds, metrics))
            outcome = replace(outcome, metrics=metrics)
            if number and (spec.number, spec.attempt) in self.lost:
                lost = Failure("lost", "the worker is gone")
                outcome = Outcome("failed", failure=lost)
                break
        self._push(end, Ended(spec, outcome))

    def _push(self, when: float, event: Event) -> None:
        heapq.heappush(self.queue, (when, next(self.ties), event))

    def poll(self, handle: Handle, timeout: float) -> None:
        """Jump to the next event and hand it out."""
        del timeout
        while self.queue:
            self.now, _, event = heapq.heappop(self.queue)
            if isinstance(event, Ended):
                self.running.pop(event.spec.key)
            handle(event)
            return

    def tell(self, key: str, word: Literal["stop", "mapped", "kill"]) -> None:
        """End a job now: nothing more of it will be heard but its end."""
        if key in self.running and word != "mapped":
            spec = self.running[key]
            self.queue = [one for one in self.queue if one[2].spec.key != key]
            heapq.heapify(self.queue)
            self._push(self.now, Ended(spec, Outcome("stopped")))

    def close(self) -> None:
        """Forget what is left."""
        self.queue.clear()


def simulate(file: StudyFile, engine: FakeEngine) -> History:
    """Run a study on a fake engine, with the real loop, record and optimizer."""
    home = file.study.home.resolve()
    home.mkdir(parents=True, exist_ok=True)
    return searched(plan(file), engine, home, None)
