"""A study and its parts: the records that a study file is read into."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from automl.forbid import Forbid
from automl.space import Choice, Fixed, Float, Int, Parameter

NAME = r"[A-Za-z0-9][\w.-]{0,63}"  # what may become a folder
TIME_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
SIZE_UNITS = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12} | {
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}


def seconds(value: Any) -> Any:
    """Read `90`, `30m` or `1h30m` as seconds; leave what is not text to the type check."""
    if not isinstance(value, str):
        return value
    parts = re.findall(r"(\d+(?:\.\d+)?)([smhd])", value)
    if not parts or "".join(map("".join, parts)) != value.replace(" ", ""):
        raise ValueError(f"expected a time such as 90, 30m or 1h30m, got {value!r}")
    return sum(float(number) * TIME_UNITS[unit] for number, unit in parts)


def octets(value: Any) -> Any:
    """Read `8GB` or `512MiB` as bytes; leave what is not text to the type check."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-zA-Z]+)", value)
    if match is None or match[2] not in SIZE_UNITS:
        raise ValueError(f"expected a size such as 8GB or 512MiB, got {value!r}")
    return int(float(match[1]) * SIZE_UNITS[match[2]])


Seconds = Annotated[
    float,
    BeforeValidator(seconds),
    Field(gt=0),
    WithJsonSchema({"type": ["number", "string"], "examples": [90, "30m", "1h30m"]}),
]
Bytes = Annotated[
    int,
    BeforeValidator(octets),
    Field(gt=0),
    WithJsonSchema({"type": ["integer", "string"], "examples": ["8GB", "512MiB"]}),
]


class Record(BaseModel):
    """A part of a study: frozen, exact about types, refusing keys it does not know."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, populate_by_name=True
    )


class Component(Record):
    """A class and the arguments to build it with, as LightningCLI writes them."""

    class_path: str = Field(description="importable class, such as `package.module.Class`")
    init_args: dict[str, Any] = Field(default_factory=dict, description="arguments of its __init__")


class Objective(Record):
    """A metric to make large or small."""

    goal: Literal["maximize", "minimize"] = Field(description="which way is better")
    ref: float | None = Field(
        None, description="worst value that counts; fixes the hypervolume, so that runs compare"
    )


class Constraint(Record):
    """Bounds that a metric must keep for a point to be feasible."""

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


class ParameterSpec(Record):
    """A parameter as a study file writes it: one kind and its modifiers."""

    float_: tuple[float, float] | None = Field(
        None, alias="float", strict=False, description="[low, high]"
    )
    int_: tuple[int, int] | None = Field(None, alias="int", strict=False, description="[low, high]")
    choice: tuple[Any, ...] | None = Field(
        None, strict=False, description="options; the first is the default"
    )
    fixed: Any = Field(None, description="a value that is set, not searched")
    log: bool = Field(False, description="uniform in the logarithm")
    step: float | int | None = Field(None, description="distance of the grid")
    default: Any = Field(None, description="value of trial 0")
    when: dict[str, Any] = Field(
        default_factory=dict,
        description="searched only while these parameters have this value, or one of a list",
    )

    @model_validator(mode="after")
    def check_kind(self) -> "ParameterSpec":
        """Refuse none or two kinds, modifiers of another kind, and impossible ranges."""
        self.parameter()
        return self

    def parameter(self) -> Parameter:
        """Build the parameter; raises ValueError with what is wrong."""
        given = [kind for kind in ("float", "int", "choice", "fixed") if self._gives(kind)]
        if len(given) != 1:
            raise ValueError(f"give one of float, int, choice, fixed; got {given or 'none'}")
        when = {k: tuple(v) if isinstance(v, list) else (v,) for k, v in self.when.items()}
        if given[0] in {"choice", "fixed"} and (self.log or self.step is not None):
            raise ValueError(f"log and step belong to float and int, not to {given[0]}")
        match given[0]:
            case "float" if self.float_ is not None:
                return Float(*self.float_, self.log, self.step, self.default, when)
            case "int" if self.int_ is not None:
                if self.step is not None and not isinstance(self.step, int):
                    raise ValueError(f"the step of an int is a whole number, got {self.step}")
                return Int(*self.int_, self.log, self.step, self.default, when)
            case "choice" if self.choice is not None:
                return Choice(self.choice, self.default, when)
            case _:
                return Fixed(self.fixed, when)

    def _gives(self, kind: str) -> bool:
        names = {"float": "float_", "int": "int_"}
        return names.get(kind, kind) in self.model_fields_set


def spec_of(value: Any) -> Any:
    """Let Python callers give `Float(…)`, `Int(…)`, `Choice(…)` or `Fixed(…)` for a parameter."""
    match value:
        case Float():
            kind: dict[str, Any] = {"float": (value.low, value.high)}
        case Int():
            kind = {"int": (value.low, value.high)}
        case Choice():
            kind = {"choice": value.options}
        case Fixed():
            return ParameterSpec(fixed=value.value, when=_lists(value.when))
        case _:
            return value
    if isinstance(value, Float | Int):
        kind |= {"log": value.log} | ({} if value.step is None else {"step": value.step})
    return ParameterSpec(**kind, default=value.default, when=_lists(value.when))


def _lists(when: Any) -> dict[str, Any]:
    return {name: list(allowed) for name, allowed in when.items()}


def rule(value: Any) -> Any:
    """Check that a `forbid` text is of the language."""
    if isinstance(value, str):
        Forbid(value)
    return value


class Budget(Record):
    """When to stop proposing trials; whichever is reached first."""

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
    enqueue: tuple[dict[str, Any], ...] = Field(
        (), strict=False, description="points to run first, in order"
    )
    warm_start: tuple[str, ...] = Field(
        (), description="study folders whose trials teach the sampler"
    )


class Fidelity(Record):
    """Early stopping: how progress is counted and when weak trials are stopped."""

    unit: Literal["epoch", "step", "seconds"] = Field("epoch", description="what progress counts")
    min: float = Field(1, gt=0, description="progress before which nothing is stopped: first rung")
    max: float | None = Field(
        None, gt=0, description="progress of a whole trial; default: last rung"
    )
    eta: float = Field(3, gt=1, description="one in `eta` trials goes on at each rung")
    stop: Literal["asha", "off"] | Component = Field("asha", description="rule of stopping")
    brackets: int = Field(1, ge=1, description="number of brackets, each starting a rung later")
    spare: float = Field(
        0.0, ge=0, le=1, description="fraction of trials that run to the end to check the stopping"
    )


class Resources(Record):
    """What one trial needs."""

    gpus: float = Field(0, ge=0, description="GPUs of a trial: 0, a fraction below 1, or whole")
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


SpaceSpec: TypeAlias = dict[str, Annotated[ParameterSpec, BeforeValidator(spec_of)]]
Rule: TypeAlias = Annotated[str, BeforeValidator(rule)]


class Study(Record):
    """What to train, what to search, and how far to go."""

    version: Literal[1] = Field(1, description="version of this format")
    name: str = Field(pattern=f"^{NAME}$", description="name of the study and of its folder")
    model: Component = Field(description="the LightningModule")
    data: Component | None = Field(None, description="the LightningDataModule, if any")
    trainer: dict[str, Any] = Field(default_factory=dict, description="Trainer arguments")
    plugins: dict[str, dict[str, Any]] = Field(
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
    folder: str = Field("runs", description="where the study's folder is made")

    @property
    def home(self) -> Path:
        """The study's own folder."""
        return Path(self.folder) / self.name

    @property
    def goals(self) -> tuple[str, ...]:
        """The goal of each objective, in order."""
        return tuple(objective.goal for objective in self.objectives.values())
