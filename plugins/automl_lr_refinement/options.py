"""The options of `lr_refinement` in a study file, and what it proposes to search."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

from automl import Choice, Float, Int

Shape: TypeAlias = Literal["linear", "cosine", "wsd", "step", "constant", "refined"]
ANALYTIC = ("linear", "cosine", "wsd")
CHOOSING = 2  # seeds of a confirmation that choose the peak of refined and judge nothing
Proposals: TypeAlias = Mapping[str, Float | Int | Choice]


class Options(BaseModel):
    """How the learning rate of a trial is scheduled."""

    model_config = ConfigDict(extra="forbid")

    shape: Shape = Field("refined", description="of the schedule")
    peak_lr: float | None = Field(
        None,
        gt=0,
        description="peak learning rate of the parameter group with the largest; default: the "
        "model's own",
    )
    peak: float = Field(1.0, gt=0, description="factor on the peak learning rate")
    warmup: float = Field(
        0.05, ge=0, lt=1, description="fraction of training of the warm-up of a shape not refined"
    )
    decay: float = Field(0.2, gt=0, le=1, description="fraction of training in which wsd decays")
    explore: float = Field(
        0.25, gt=0, le=1, description="length of the exploratory run as a fraction of training"
    )
    explore_under: Literal["linear", "constant"] = Field(
        "linear", description="schedule of the exploratory run"
    )
    base: Literal["trial", "study"] = Field(
        "trial",
        description="whose exploratory run is refined: each trial's own, or one for the study",
    )
    rounds: int = Field(1, ge=1, le=4, description="refinements, each of a run under the last")
    tau: float = Field(
        0.1, ge=0, le=1, description="width of the smoothing filter as a fraction of the run"
    )
    filter: Literal["median", "mean"] = Field("median", description="that smooths the norms")
    strength: float = Field(
        1.0, ge=0, le=1, description="of the refinement; 0 gives linear decay, 1 the paper's"
    )
    guard: float = Field(
        4.0, ge=0, description="largest weight in units of the median weight; 0 caps nothing"
    )
    fallback: bool = Field(True, description="use linear decay where refinement is degenerate")
    norm: Literal["auto", "l1", "l2"] = Field(
        "auto", description="of the gradient; auto: l2 for SGD, l1 for other optimizers"
    )
    exponent: float | None = Field(
        None, gt=0, description="p of the weight norm^-p; default: 2 for SGD, 1 for others"
    )
    clipped: bool = Field(True, description="refine from norms after clipping")
    own_scheduler: Literal["refuse", "replace"] = Field(
        "refuse", description="what becomes of a scheduler that the model configures"
    )
    confirm: int = Field(
        0,
        ge=0,
        description="fresh seeds on which a refined schedule is trained again beside linear decay, "
        "each at the best of its own peaks; 0 exports linear decay",
    )
    control_peak: float | None = Field(
        None,
        gt=0,
        description="factor on the peak of linear decay in the confirmation; default: the best of "
        "peak, an octave to each side, and further where the best is at an end",
    )
    control_warmup: float = Field(
        0.0, ge=0, lt=1, description="warm-up of linear decay in the confirmation"
    )

    @model_validator(mode="after")
    def check_parts(self) -> "Options":
        """Refuse a plateau of negative length and a confirmation without standard error."""
        if self.shape == "wsd" and self.warmup + self.decay > 1:
            raise ValueError(f"warmup {self.warmup} and decay {self.decay} exceed the training")
        if self.confirm in {1, 2}:
            raise ValueError(f"confirm needs 3 seeds or more, or 0 for none; got {self.confirm}")
        return self


def space(options: Options) -> Proposals:
    """Propose shapes and, for each, what it has to be searched; the peak goes with all."""
    proposed: dict[str, Float | Int | Choice] = {
        "shape": Choice((*ANALYTIC, "refined")),
        "peak": Float(0.25, 4.0, log=True, default=1.0),
        "warmup": Float(0.0, 0.3, default=0.05, when={"shape": ANALYTIC}),
        "decay": Float(0.1, 0.5, default=0.2, when={"shape": ("wsd",)}),
        "tau": Float(0.02, 0.4, log=True, default=0.1, when={"shape": ("refined",)}),
        "strength": Float(0.0, 1.0, default=1.0, when={"shape": ("refined",)}),
        "guard": Choice((4.0, 2.0, 0.0), when={"shape": ("refined",)}),
        "explore": Choice((0.25, 0.5, 1.0), when={"shape": ("refined",)}),
        "rounds": Int(1, 2, default=1, when={"shape": ("refined",)}),
    }
    if options.base == "study":
        del proposed["explore"]
    if "shape" not in options.model_fields_set:
        return proposed
    del proposed["shape"]
    return {
        name: replace(one, when={})
        for name, one in proposed.items()
        if not one.when or options.shape in one.when["shape"]
    }
