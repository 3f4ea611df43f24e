"""A job: the training work of one trial, as a plugin sees and changes it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from automl.history import Point
from automl.space import Value
from automl.study import Study


class StoppedError(Exception):
    """A job has been asked to stop in the middle of something that has no result yet."""


T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class JobSpec:
    """What a trial process is told: names and settings, never live objects.

    Attributes:
        kind: `trial`, `prepare` (once a study), `task` (one item of `Job.map`), `smoke` (one
            batch of each stage) or `inspect` (the signatures of the model and the data).
        number: of the trial, or of the item of a task; 0 for the other kinds.
        attempt: from 0; above 0 the job goes on from the checkpoints in its folder.
        params: the trial's parameters by dotted path.
        seed: of every random number of the job.
        folder: of the trial; everything that it writes is below.
        shared: what `prepare` made; read-only for trials.
        here: the folder of the study file, on whose modules the study may build.
        devices: GPUs by index; none means the CPU.
        task: `module:function`, the item, and the path of the result, for kind `task`.
    """

    study: Study
    kind: str
    number: int
    attempt: int
    params: Mapping[str, Value]
    seed: int
    folder: Path
    shared: Path
    here: Path
    devices: tuple[int, ...] = ()
    task: tuple[str, Any, Path] | None = None

    @property
    def key(self) -> str:
        """A name that no other job of the study has at the same time."""
        return f"{self.kind}-{self.number}"


class Line(Protocol):
    """The way from a job to its driver and back."""

    def report(self, step: float, metrics: Mapping[str, float]) -> None:
        """Tell how training goes."""

    def stopped(self) -> bool:
        """Say whether the driver has asked the job to stop."""

    def map(self, function: str, items: list[Any], folder: Path) -> None:
        """Run `function` on each item whose result is not in `folder` yet, and wait for all."""


class Workshop(Protocol):
    """What does the work on models for a job; `training.py` has the one that uses Lightning."""

    def model(self, job: "Job", changes: Mapping[str, Any]) -> Any:
        """Build the study's model with the trial's parameters and these init_args on top."""

    def data(self, job: "Job", changes: Mapping[str, Any]) -> Any:
        """Build the study's data with the trial's parameters and these init_args on top."""

    def fit(
        self, job: "Job", model: Any, phase: str, options: Mapping[str, Any]
    ) -> dict[str, float]:
        """Train a model and return the metrics that it logged last."""

    def validate(self, job: "Job", model: Any) -> dict[str, float]:
        """Run the validation loop once and return what it logged."""

    def measure(self, job: "Job", model: Any) -> dict[str, float]:
        """Validate, measure the costs that the study names, and ask every plugin."""

    def results(self, folder: Path, count: int) -> list[Any]:
        """Read the results that a map has left."""


@dataclass
class Job:
    """The training work of one trial, complete from the start: plugins change it stage by stage.

    Attributes:
        study: the study as it was read.
        params: the trial's parameters by dotted path, such as `model.lr`.
        seed: of the trial; every random number derives from it.
        device: `cpu`, or `cuda` for the GPUs that this process sees.
        folder: of the trial; write nothing elsewhere.
        shared: what `prepare` made for all trials.
        model: the LightningModule.
        data: the LightningDataModule, or None.
        trainer: arguments of the Trainer.
        callbacks: Lightning callbacks of every fit.
        metrics: what training logged last.
    """

    study: Study
    params: Mapping[str, Value]
    seed: int
    device: str
    folder: Path
    shared: Path
    model: Any
    data: Any
    trainer: dict[str, Any]
    line: Line = field(repr=False)
    workshop: Workshop = field(repr=False)
    callbacks: list[Any] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)
    logged: dict[str, float] = field(default_factory=dict)

    @property
    def stopped(self) -> bool:
        """Whether the job has been asked to stop; a fit that goes on ends by itself."""
        return self.line.stopped()

    def fit(self, model: Any = None, *, phase: str = "train", **options: Any) -> dict[str, float]:
        """Train once with Lightning and return the metrics that were logged last.

        Checkpoints go to `folder / phase`; a phase that an earlier attempt finished is loaded, not
        trained again, and one that it began goes on from its last checkpoint.

        Args:
            model: what to train; the job's own model by default.
            phase: a name that tells the fits of one job apart.
            options: arguments of the Trainer on top of the job's own, such as `max_epochs`;
                `callbacks` are added to the job's.
        """
        target = self.model if model is None else model
        metrics = self.workshop.fit(self, target, phase, options)
        if target is self.model:
            self.metrics.update(metrics)
        return metrics

    def validate(self, model: Any = None) -> dict[str, float]:
        """Run the validation loop once and return the metrics that it logged."""
        return self.workshop.validate(self, self.model if model is None else model)

    def measure(self, model: Any = None) -> dict[str, float]:
        """Return every metric of a model: validation, costs that the study names, plugins'."""
        return self.workshop.measure(self, self.model if model is None else model)

    def new_model(self, **changes: Any) -> Any:
        """Build the model once more, freshly initialized from the trial's seed."""
        return self.workshop.model(self, changes)

    def new_data(self, **changes: Any) -> Any:
        """Build the data once more."""
        return self.workshop.data(self, changes)

    def report(self, step: float, **metrics: float) -> None:
        """Tell the driver how training goes; early stopping decides on these."""
        self.line.report(step, metrics)

    def log(self, **metrics: float) -> None:
        """Set metrics of the trial's own point, such as the seconds that something took."""
        self.logged.update(metrics)

    def point(
        self,
        name: str,
        *,
        model: Any = None,
        params: Mapping[str, Value] | None = None,
        metrics: Mapping[str, float] | None = None,
        artifact: str | None = None,
    ) -> Point:
        """Make a further point of this job; `refine` yields it.

        Args:
            name: tells the points of one job apart, such as `density=0.1`.
            model: measured like the trial's own model, if given.
            params: what differs from the trial's parameters, by dotted path.
            metrics: set on top of what was measured.
            artifact: a file or folder below the trial's folder, by relative path.
        """
        measured = {} if model is None else self.measure(model)
        return Point(measured | dict(metrics or {}), dict(params or {}), artifact, name)

    def map(self, function: Callable[["Job", T], R], items: Iterable[T], key: str) -> list[R]:
        """Run independent work of `prepare` on all devices, each item in a process of its own.

        A result that `shared / key` holds already is not made again, so a killed `prepare` goes on.

        Args:
            function: importable; takes a Job of its own and one item.
            items: anything that pickles.
            key: names the work; results are kept as `shared / key / <index>.pt`.

        Returns:
            The results in the order of the items: numbers, texts, tensors and lists or dicts of
            these, as `torch.save` writes and `torch.load(weights_only=True)` reads them.

        Raises:
            StoppedError: the job has been asked to stop; what is done is kept.
        """
        todo = list(items)
        folder = self.shared / key
        self.line.map(f"{function.__module__}:{function.__qualname__}", todo, folder)
        if self.stopped:
            raise StoppedError(f"the job was asked to stop while it mapped {key}")
        return self.workshop.results(folder, len(todo))
