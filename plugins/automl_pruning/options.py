"""The options of the plugin, and what it proposes to search; light, for the driver reads them."""

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from automl.space import Choice, Float, Int, Parameter, Space

NAME = "pruning"  # of the plugin in a study, and of its folders
PLAN = "pruning.json"  # beside a pruned model: what was done to it
RECORD = "record.json"  # what a trial found out, for the report
ALLOCATORS = ("rd", "lamp", "erk", "global", "uniform", "uniform_plus")
METRICS = ("mse", "kl", "max")
OF_WEIGHTS = {"allocator", "metric", "rounds"}  # what cutting out channels does not read
SPARSEST = 0.02  # least density that is proposed
Coefficient = Annotated[float, Field(ge=-4, le=4)]


class Options(BaseModel):
    """How a trained model is pruned, and what is measured on the way."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    density: float = Field(
        0.2, gt=0, le=1, description="share of the prunable weights that stay in the trial's model"
    )
    allocator: Literal["rd", "lamp", "erk", "global", "uniform", "uniform_plus"] = Field(
        "rd", description="rule that shares the weights among units; rd uses distortion curves"
    )
    granularity: Literal["weights", "channels"] = Field(
        "weights", description="zeros in place, or whole channels cut out (extra: channels)"
    )
    criterion: Literal["magnitude", "activation", "fisher"] = Field(
        "magnitude", description="which weights of a unit go first"
    )
    metric: Literal["mse", "kl", "max"] = Field("mse", description="distortion that rd adds up")
    repair: bool = Field(
        True, description="bring statistics back before distortion is measured and after pruning"
    )
    rounds: int = Field(
        1,
        ge=0,
        le=30,
        description="rounds of pruning, repair and finetuning; 0: as many as it takes for none to "
        "remove more than half of what is left",
    )
    finetune_epochs: int = Field(1, ge=0, description="epochs after each round; 0: no finetuning")
    finetune_rate: float = Field(
        0.3, gt=0, description="learning rate of finetuning, as a fraction of the training's"
    )
    blocks: int = Field(
        0, ge=0, description="runs of units whose distortions get a searched factor; 0: none"
    )
    coefficients: dict[str, Coefficient] = Field(
        default_factory=dict,
        description="logarithm of the factor of the distortions of block b1, b2, ...; 0 if absent",
    )
    macs: float | None = Field(
        None, gt=0, le=1, description="share of multiply-accumulates that may stay besides; rd only"
    )
    latency: float | None = Field(
        None,
        gt=0,
        le=1,
        description="share of the linear maps' time, measured on this CPU with sparse kernels, "
        "that may stay besides; rd only",
    )
    exclude: list[str] = Field(
        default_factory=list, description="regular expressions of units that stay dense"
    )
    calibration: int = Field(
        256, ge=2, description="training samples for distortion and repair, in one batch"
    )
    points: int = Field(24, ge=3, description="points of a distortion curve, one pass each")
    front: int = Field(
        6, ge=0, description="further densities at which the model is pruned, without finetuning"
    )
    starts: int = Field(
        3,
        ge=0,
        description="points of the front, spread over the searched densities, that the search "
        "begins with",
    )
    compare: bool = Field(
        True, description="prune by every allocator at the trial's density, without finetuning"
    )
    train_once: bool = Field(
        True, description="train one dense model for all trials where only pruning is searched"
    )
    checkpoint: str | None = Field(
        None, description="a trained model's checkpoint; nothing is trained before pruning then"
    )

    @field_validator("exclude")
    @classmethod
    def check_patterns(cls, exclude: list[str]) -> list[str]:
        """Refuse what is no regular expression."""
        for pattern in exclude:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{pattern!r} is no regular expression: {error}") from error
        return exclude

    @model_validator(mode="after")
    def check_coefficients(self) -> "Options":
        """Refuse a coefficient of a block that there is not."""
        known = {f"b{number}" for number in range(1, self.blocks + 1)}
        if lost := sorted(self.coefficients.keys() - known):
            raise ValueError(f"no block {lost[0]!r}: blocks is {self.blocks}; b1 is the first")
        return self

    @model_validator(mode="after")
    def check_budgets(self) -> "Options":
        """Refuse three budgets at once: the knapsack takes two."""
        if self.macs is not None and self.latency is not None:
            raise ValueError("give macs or latency besides density, not both")
        return self


def proposed(options: Options) -> dict[str, Parameter]:
    """Return what is proposed to be searched, by the names of options.

    `metric` and the coefficients matter to `rd` alone, but depend on nothing: so every further
    point of a trial, whatever its allocator, is a point of the same space and teaches the sampler.
    Where channels are cut out, in one go, what shares weights among units is left out.
    """
    found: dict[str, Parameter] = {
        "density": Float(SPARSEST, 1.0, log=True, default=max(options.density, SPARSEST)),
        "allocator": Choice(ALLOCATORS, default=options.allocator),
        "metric": Choice(METRICS, default=options.metric),
        "repair": Choice((True, False), default=options.repair),
        "rounds": Int(1, 3, default=min(max(options.rounds, 1), 3)),
        "finetune_epochs": Int(0, 2, default=min(options.finetune_epochs, 2)),
        "finetune_rate": Float(0.03, 1.0, log=True, default=0.3),
    }
    if options.granularity == "channels":
        return {name: spec for name, spec in found.items() if name not in OF_WEIGHTS}
    for block in range(1, options.blocks + 1):
        found[f"coefficients.b{block}"] = Float(-2.0, 2.0, default=0.0)
    return found


def front(options: Options, space: Space) -> Iterator[dict[str, Any]]:
    """Yield points of the one-pass front, which are a density each: the knapsack does the rest.

    Their densities cut the searched range, on its logarithm, into equal parts.
    """
    searched = space.get(f"{NAME}.density")
    if not isinstance(searched, Float) or searched.step is not None:
        return
    for part in range(options.starts, 0, -1):
        share = part / (options.starts + 1)
        density = searched.low * (searched.high / searched.low) ** share
        yield {"density": density, "allocator": "rd"}
