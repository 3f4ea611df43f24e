"""What a study has done so far, as records: trials, their points and their reports."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from automl.space import Space, Value
from automl.study import Study

State: TypeAlias = Literal["waiting", "running", "done", "stopped", "failed"]
FailureKind: TypeAlias = Literal["oom", "nan", "timeout", "crash", "user", "lost"]


@dataclass(frozen=True, slots=True)
class Point:
    """One vector of metrics with the parameters that gave it and, perhaps, an artefact.

    `params` holds what differs from the trial's own parameters; `artifact` is a path below the
    trial's folder; `name` tells the points of one trial apart and is empty for the trial's own.
    """

    metrics: Mapping[str, float]
    params: Mapping[str, Value] = field(default_factory=dict)
    artifact: str | None = None
    name: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """Metrics that a running trial told: `step` in the study's unit of fidelity, epochs if none.

    `seconds` counts from the start of the attempt.
    """

    step: float
    seconds: float
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a trial failed: its kind, one line, and the traceback if there is one."""

    kind: FailureKind
    message: str
    traceback: str = ""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One run of a trial's process: when (Unix seconds), where, and how it ended."""

    number: int
    started: float
    ended: float | None
    devices: tuple[str, ...]
    host: str
    outcome: str


@dataclass(frozen=True, slots=True)
class Trial:
    """One trial: its parameters, what became of it, and the points that it gave.

    `metrics` and `points` are empty until the trial is done; `metrics` are those of its own point,
    and `points` are the further ones. `origin` says who proposed it: default, enqueued, the name
    of the sampler, or the folder of the study that it was taken from.
    """

    number: int
    state: State
    params: Mapping[str, Value]
    origin: str
    seed: int
    folder: Path
    metrics: Mapping[str, float] = field(default_factory=dict)
    points: tuple[Point, ...] = ()
    reports: tuple[Report, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    failure: Failure | None = None
    artifact: str | None = None

    @property
    def seconds(self) -> float:
        """Seconds that its finished attempts took together."""
        return sum(a.ended - a.started for a in self.attempts if a.ended is not None)


@dataclass(frozen=True, slots=True)
class History:
    """A study and everything that is known of its trials.

    `provenance` holds versions, commit, machine and times by name. `folder` is the study's own;
    plugins find what they prepared in `folder / "shared"`.
    """

    study: Study
    space: Space
    trials: tuple[Trial, ...]
    folder: Path
    provenance: Mapping[str, str] = field(default_factory=dict)

    def finished(self) -> tuple[Trial, ...]:
        """Return the trials that ran to their end."""
        return tuple(trial for trial in self.trials if trial.state == "done")
