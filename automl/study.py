"""A study and its parts: the records that a study file is read into."""

from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Field, model_validator

from automl.fields import Bytes, ClassPath, Given, Name, Record, Seconds, like
from automl.folders import is_remote, working
from automl.forbid import Forbid
from automl.spec import ParameterSpec, spec_of


class Component(Record):
    """A class and the arguments to build it with, as LightningCLI writes them."""

    model_config = like({"class_path": "my_module.MyClass"})

    class_path: ClassPath = Field(description="importable class, such as `package.module.Class`")
    init_args: dict[str, Any] = Field(default_factory=dict, description="arguments of its __init__")


class Objective(Record):
    """A metric to make large or small."""

    model_config = like({"goal": "maximize"}, {"goal": "minimize"})

    goal: Literal["maximize", "minimize"] = Field(description="which way is better")
    ref: float | None = Field(
        None, description="worst value that counts; fixes the hypervolume, so that runs compare"
    )


class Constraint(Record):
    """Bounds that a metric must keep for a point to be feasible."""

    model_config = like({"max": 5})

    max: float | None = Field(None, description="largest value allowed")
    min: float | None = Field(None, description="smallest value allowed")

    @model_validator(mode="after")
    def check_bounds(self) -> "Constraint":
        """Refuse a constraint that allows everything or nothing."""
        if self.max is None and self.min is None:
            raise ValueError("a constraint needs max, min or both")
        if self.max is not None and self.min is not None and self.min > self.max:
            raise ValueError(f"min {self.min} is above max {self.max}")
        return self


def rule(value: Any) -> Any:
    """Check that a `forbid` text is of the language."""
    if isinstance(value, str):
        Forbid(value)
    return value


class Budget(Record):
    """When to stop proposing trials; whichever is reached first."""

    model_config = like({"trials": 40})

    trials: int | None = Field(None, ge=1, description="number of trials; points do not count")
    time: Seconds | None = Field(None, description="wall-clock time over all runs")
    gpu_hours: float | None = Field(None, gt=0, description="hours times GPUs, over all runs")
    trial_time: Seconds | None = Field(None, description="a trial that takes longer is killed")

    @model_validator(mode="after")
    def check_end(self) -> "Budget":
        """Refuse a budget without an end."""
        if self.trials is None and self.time is None and self.gpu_hours is None:
            raise ValueError("a budget needs trials, time or gpu_hours")
        return self


class Search(Record):
    """How points are proposed."""

    sampler: str | Component = Field(
        "auto",
        description="auto, tpe, nsga2, nsga3, gp, random, qmc, grid, or a class_path",
    )
    seed: int = Field(0, ge=0, description="seed of the sampler and of every trial")
    enqueue: tuple[dict[str, Given], ...] = Field(
        (),
        strict=False,
        description="points to run first, in order",
        examples=[[{"model.lr": 0.01}]],
    )
    warm_start: tuple[str, ...] = Field(
        (), strict=False, description="study folders whose trials teach the sampler"
    )


class Fidelity(Record):
    """Early stopping: how progress is counted and when weak trials are stopped."""

    unit: Literal["epoch", "step", "seconds"] = Field("epoch", description="what progress counts")
    min: float | None = Field(
        None,
        gt=0,
        description="progress of the first rung; default: a ninth of a trial, 1 at least",
    )
    max: float | None = Field(
        None, gt=0, description="progress of a whole trial; default: last rung"
    )
    eta: float = Field(3.0, gt=1, description="one in `eta` trials goes on at each rung")
    stop: Literal["asha", "off"] | Component = Field("asha", description="rule of stopping")
    brackets: int = Field(1, ge=1, description="number of brackets, each starting a rung later")
    spare: float = Field(
        0.0, ge=0, le=1, description="fraction of trials that run to the end to check the stopping"
    )

    @property
    def first(self) -> float:
        """Return the progress of the first rung; of epochs and steps it is one at least.

        Earlier than after a ninth, reports of real trainings told little of their end.
        """
        if self.min is not None:
            return self.min
        ninth = (self.max or 0.0) / 9
        return ninth if self.unit == "seconds" and ninth else max(1.0, ninth)


class Resources(Record):
    """What one trial needs."""

    gpus: float = Field(0.0, ge=0, description="GPUs of a trial: 0, a fraction below 1, or whole")
    cpus: int = Field(1, ge=1, description="CPU threads of a trial")
    memory: Bytes | None = Field(
        None, description="memory of a trial; above it the trial is killed"
    )
    parallel: int | Literal["auto"] = Field("auto", description="trials at once")

    @model_validator(mode="after")
    def check_gpus(self) -> "Resources":
        """Refuse fractions above one GPU."""
        if self.gpus > 1 and self.gpus != int(self.gpus):
            raise ValueError(f"gpus above 1 must be whole, got {self.gpus}")
        if self.parallel != "auto" and self.parallel < 1:
            raise ValueError(f"parallel must be at least 1, got {self.parallel}")
        return self


class Retry(Record):
    """Run the same parameters again, from the last checkpoint, at most `retry` times."""

    model_config = like({"retry": 2})

    retry: int = Field(ge=1, description="attempts after the first")


Policy: TypeAlias = Literal["learn", "skip", "stop"] | Retry


class OnFailure(Record):
    """What to do after each kind of failure."""

    oom: Policy = Field("learn", description="out of memory, on the GPU or in the machine")
    nan: Policy = Field("learn", description="a metric that is not finite")
    timeout: Policy = Field("learn", description="longer than budget.trial_time")
    crash: Policy = Field(Retry(retry=1), description="the process died by a signal")
    user: Policy = Field("skip", description="an exception in the user's or a plugin's code")
    lost: Policy = Field(Retry(retry=3), description="the driver or the machine died")
    give_up_after: int = Field(10, ge=1, description="consecutive failures that end the study")


class Checkpoints(Record):
    """Which checkpoints are kept when a trial has ended."""

    keep: Literal["pareto", "best", "last", "all"] = Field("pareto", description="whose to keep")


class Engine(Record):
    """Where trials run."""

    name: str = Field(description="local, inline, ray, or one that is registered")
    address: str | None = Field(None, description="of the cluster, for engines that have one")


def options(value: Any) -> Any:
    """Let `plugins: {pruning: }` stand for a plugin with every option at its default."""
    return {} if value is None else value


PluginOptions: TypeAlias = Annotated[dict[str, Any], BeforeValidator(options)]
SpaceSpec: TypeAlias = dict[str, Annotated[ParameterSpec, BeforeValidator(spec_of)]]
Rule: TypeAlias = Annotated[str, BeforeValidator(rule)]


class Study(Record):
    """What to train, what to search, and how far to go."""

    version: Literal[1] = Field(1, description="version of this format")
    name: Name = Field(description="name of the study and of its folder")
    model: Component = Field(description="the LightningModule")
    data: Component | None = Field(None, description="the LightningDataModule, if any")
    trainer: dict[str, Any] = Field(default_factory=dict, description="Trainer arguments")
    plugins: dict[str, PluginOptions] = Field(
        default_factory=dict, description="plugins in the order of their stages, with options"
    )
    objectives: dict[str, Objective] = Field(min_length=1, description="metrics to optimize")
    constraints: dict[str, Constraint] = Field(default_factory=dict, description="metrics to bound")
    space: SpaceSpec = Field(default_factory=dict, description="parameters by dotted path")
    forbid: tuple[Rule, ...] = Field(
        (), strict=False, description="combinations that are never started"
    )
    budget: Budget = Field(description="when to stop")
    search: Search = Field(default_factory=Search, description="how points are proposed")
    fidelity: Fidelity | None = Field(None, description="early stopping")
    resources: Resources = Field(default_factory=Resources, description="what one trial needs")
    engine: str | Engine = Field("local", description="where trials run")
    storage: str = Field("auto", description="auto, or a database URL; ${env:NAME} for secrets")
    on_failure: OnFailure = Field(default_factory=OnFailure, description="policy for each failure")
    checkpoints: Checkpoints = Field(default_factory=Checkpoints, description="what is kept")
    folder: str = Field("runs", description="where the study's folder is made; may be a URL")

    @property
    def home(self) -> Path:
        """The study's own folder, or the working copy of it."""
        return working(self.folder) / self.name

    @property
    def remote(self) -> str | None:
        """The URL of the study's own folder, if that is not on a disk."""
        return f"{self.folder.rstrip('/')}/{self.name}" if is_remote(self.folder) else None

    @property
    def goals(self) -> tuple[str, ...]:
        """The goal of each objective, in order."""
        return tuple(objective.goal for objective in self.objectives.values())
