"""What an engine tells the driver: a job has started, reported, asked for help, or ended."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

from automl.history import Failure, Point
from automl.job import JobSpec


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job ended.

    `broken` means that a contract does not hold, so that no other trial would do better: the study
    ends with `message`. `result` is what jobs of other kinds than trials return.
    """

    state: Literal["done", "stopped", "failed", "broken"]
    metrics: Mapping[str, float] = field(default_factory=dict)
    points: tuple[Point, ...] = ()
    failure: Failure | None = None
    artifact: str | None = None
    message: str = ""
    result: Any = None


@dataclass(frozen=True, slots=True)
class Started:
    """A job's process runs, on the spec's devices, and on this host if not on the driver's."""

    spec: JobSpec
    pid: int
    host: str = ""


@dataclass(frozen=True, slots=True)
class Reported:
    """A job told how training goes."""

    spec: JobSpec
    step: float
    seconds: float
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Asked:
    """A job wants a function run on items, each in a process of its own; see `Job.map`."""

    spec: JobSpec
    function: str
    items: tuple[Any, ...]
    folder: Path


@dataclass(frozen=True, slots=True)
class Ended:
    """A job's process is gone."""

    spec: JobSpec
    outcome: Outcome


Event: TypeAlias = Started | Reported | Asked | Ended


class Engine(Protocol):
    """Where jobs run."""

    def capacity(self) -> int:
        """Return how many more jobs could start now."""

    def submit(self, spec: JobSpec) -> None:
        """Start a job, or start it at the next poll."""

    def poll(self, handle: Callable[[Event], None], timeout: float) -> None:
        """Wait for events at most `timeout` seconds and hand each to `handle`."""

    def tell(self, key: str, word: Literal["stop", "mapped", "kill"]) -> None:
        """Ask a job to stop, tell it that its map is done, or kill it."""

    def close(self) -> None:
        """Kill what still runs and free everything."""
