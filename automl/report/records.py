"""The facts of a report as records: computed once, drawn by every output."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from automl.report.roll import Line
from automl.sections import Section
from automl.space import Value


@dataclass(frozen=True, slots=True)
class Point:
    """One point as it is shown: `label` is what `--point` takes.

    Attributes:
        values: one for each objective; NaN where the metric is missing or not a number.
        violated: the constraints that it breaks, in words; a point without any is feasible.
        rank: 0 on the front, 1 on the next; None when it is not feasible.
        counts: whether it is better than the reference in every objective, where the study gives
            references; a front point that is not is shown, but nobody is advised to choose it.
        contribution: what the hypervolume would lose without it; None off the front, and where
            the front is too large to compute it.
        artifact: its file or folder, if it has one.
    """

    label: str
    trial: int
    name: str
    origin: str
    seconds: float
    values: tuple[float, ...]
    metrics: Mapping[str, float]
    params: Mapping[str, Value]
    violated: tuple[str, ...] = ()
    rank: int | None = None
    counts: bool = True
    contribution: float | None = None
    artifact: str | None = None

    @property
    def feasible(self) -> bool:
        """Whether it keeps every constraint and has every objective."""
        return not self.violated

    @property
    def front(self) -> bool:
        """Whether no other feasible point dominates it."""
        return self.rank == 0


@dataclass(frozen=True, slots=True)
class Objective:
    """What was gained in one objective.

    Attributes:
        ref: the reference of the hypervolume; `fixed` if the study gives it.
        best, best_at: the best value of a feasible point that counts, and which.
        default: of the default point, if it has one.
        free, free_at: the best value among feasible points that are at least as good as the
            default in every other objective.
    """

    name: str
    goal: Literal["maximize", "minimize"]
    unit: str
    ref: float
    fixed: bool
    best: float | None = None
    best_at: str | None = None
    default: float | None = None
    free: float | None = None
    free_at: str | None = None


@dataclass(frozen=True, slots=True)
class Constraint:
    """Bounds of a metric, and how many points break them."""

    metric: str
    min: float | None
    max: float | None
    broken: int


@dataclass(frozen=True, slots=True)
class Step:
    """The front after a trial ended: `seconds` and `gpu_hours` are all that was spent until then.

    `best` has the best feasible value of each objective so far, None before the first.
    """

    trials: int
    seconds: float
    gpu_hours: float
    hypervolume: float
    front: int
    best: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Influence:
    """How much one parameter explains: a share of the variation, and its standard error."""

    parameter: str
    share: float
    error: float


@dataclass(frozen=True, slots=True)
class Importance:
    """Which parameters explain an objective, or in `note` why that cannot be told."""

    objective: str
    influences: tuple[Influence, ...]
    explained: float | None
    note: str


@dataclass(frozen=True, slots=True)
class Relation:
    """How a parameter goes with each objective, and where the front has it.

    `strengths` are rank correlations for numbers (-1 … 1), for choices the share of the ranks'
    variation that lies between the options (0 … 1); NaN when it cannot be told.
    """

    parameter: str
    kind: Literal["number", "choice"]
    strengths: tuple[float, ...]
    points: int
    searched: str
    front: str


@dataclass(frozen=True, slots=True)
class Curve:
    """What one trial reported of one metric."""

    trial: int
    state: str
    front: bool
    steps: tuple[float, ...]
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Curves:
    """The curves of one metric; `left_out` of its trials are not drawn."""

    metric: str
    curves: tuple[Curve, ...]
    left_out: int


@dataclass(frozen=True, slots=True)
class Span:
    """One attempt on one device; seconds count from the first start of the study."""

    device: str
    lane: int
    trial: int
    start: float
    end: float
    outcome: str


@dataclass(frozen=True, slots=True)
class Device:
    """How long a device worked: seconds with at least one attempt, and their share of the study."""

    name: str
    busy: float
    share: float
    attempts: int
    lanes: int


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """Failures of one kind: whose, and the last one in full."""

    kind: str
    trials: tuple[int, ...]
    message: str
    traceback: str
    params: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Repeat:
    """One setting that ran with several seeds: mean and standard error of each objective.

    `labels` are its points in this study; `runs` counts those in studies that retrained it too.
    """

    labels: tuple[str, ...]
    runs: int
    means: tuple[float, ...]
    errors: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Noise:
    """How far the front can be trusted.

    Attributes:
        deviations: standard deviation of each objective between runs of the same setting; empty
            when nothing was repeated.
        chances: for points of the front, the probability that it is non-dominated.
        method: how that was computed, or why it was not.
    """

    method: str
    deviations: tuple[float, ...] = ()
    repeats: tuple[Repeat, ...] = ()
    chances: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Part:
    """A section of a plugin, or the error that took its place."""

    plugin: str
    section: Section | None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that a report says about a study.

    Attributes:
        where: the study's folder, as the commands of a point take it.
        states: number of trials in each state.
        hypervolume: None when there is no reference to measure it by: one objective.
        default: label of the default point, None when it has none; `default_note` says why.
        better: front points that dominate the default.
        elapsed: seconds from the first start to the last end; `active` while any trial ran.
        notes: what the reader should know before trusting the rest.
    """

    name: str
    where: str
    about: str
    states: Mapping[str, int]
    objectives: tuple[Objective, ...]
    constraints: tuple[Constraint, ...]
    parameters: Mapping[str, Mapping[str, Value]]
    points: tuple[Point, ...]
    hypervolume: float | None
    knee: str | None
    default: str | None
    default_note: str
    better: int
    trace: tuple[Step, ...]
    importance: tuple[Importance, ...]
    importance_method: str
    relations: tuple[Relation, ...]
    curves: tuple[Curves, ...]
    fidelity: str
    spans: tuple[Span, ...]
    devices: tuple[Device, ...]
    seconds: float
    elapsed: float
    active: float
    lines: tuple[Line, ...]
    gpu_hours: float
    retries: int
    failures: tuple[FailureGroup, ...]
    noise: Noise
    provenance: Mapping[str, str]
    resolved: str
    sections: tuple[Part, ...]
    notes: tuple[str, ...]

    @property
    def front(self) -> tuple[Point, ...]:
        """The points to choose from, best in the first objective first."""
        sign = -1.0 if self.objectives[0].goal == "maximize" else 1.0
        return tuple(sorted((p for p in self.points if p.front), key=lambda p: sign * p.values[0]))

    @property
    def choices(self) -> tuple[Point, ...]:
        """The points of the front that count; the whole front if none does."""
        return tuple(point for point in self.front if point.counts) or self.front

    @property
    def trials(self) -> int:
        """How many trials there are, in whatever state."""
        return sum(self.states.values())

    def point(self, label: str) -> Point:
        """Return the point of this label; raises KeyError if there is none."""
        found = {point.label: point for point in self.points}
        return found[label]
