"""The options of `reward_weights` in a study file, and what it proposes to search."""

import dataclasses
import inspect
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias, cast

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from automl import Choice, Float
from automl.instantiate import find_class
from automl_reward_weights.rewards import Reward
from automl_reward_weights.weighters import WEIGHTERS, Weighter

Estimator: TypeAlias = Literal["grpo", "rloo", "dr_grpo", "reinforce"]
Parameter: TypeAlias = Float | Choice
SEARCHED = ("hv_gradient", "chebyshev", "lagrangian", "gradient", "fixed")


class RewardOptions(BaseModel):
    """What the study says of one reward; the rest is as the model declares it."""

    model_config = ConfigDict(extra="forbid")

    goal: Literal["maximize", "minimize"] | None = Field(None, description="which way is better")
    bounds: tuple[float, float] | None = Field(
        None, description="worst and best value that matter, the smaller first"
    )
    gate: str | None = Field(
        None, description="reward without which, below the middle of its bounds, this one is lost"
    )
    metric: str | None = Field(None, description="validation metric that is its value")
    threshold: float | None = Field(None, description="what the lagrangian weighter must reach")

    @field_validator("bounds")
    @classmethod
    def check_bounds(cls, given: tuple[float, float] | None) -> tuple[float, float] | None:
        """Refuse bounds that are no range."""
        if given is not None and not (math.isfinite(given[1] - given[0]) and given[0] < given[1]):
            raise ValueError(f"must be finite, the smaller first; got {given[0]}, {given[1]}")
        return given


class Options(BaseModel):
    """How the rewards of a policy are weighed while it is trained."""

    model_config = ConfigDict(extra="forbid")

    rewards: dict[str, RewardOptions] = Field(
        default_factory=dict, description="what differs from the rewards that the model declares"
    )
    weighter: str = Field(
        "hv_gradient",
        description="hv_gradient, chebyshev, lagrangian, gradient, variance, hv_scale, fixed, "
        "random, or the class path of your own",
    )
    arguments: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description="arguments of weighters, by the weighter's name and then their own",
    )
    preference: dict[str, float] = Field(
        default_factory=dict, description="importance of rewards; 1 where none is given"
    )
    estimator: Estimator = Field("rloo", description="of the advantages, where rewards are summed")
    aggregation: Literal["gdpo", "sum"] = Field(
        "gdpo", description="of the rewards: each standardized first, or their weighted sum"
    )
    evaluate_every: int | None = Field(
        None, ge=1, description="updates between evaluations; default: as the Trainer validates"
    )
    caution: float = Field(
        0.0,
        ge=0,
        description="standard errors by which an evaluation must add to the hypervolume to be kept",
    )
    patience: int = Field(
        100, ge=1, description="batches after which a reward that never varies is an error"
    )
    rescore: bool = Field(
        True, description="measure what the archive kept on held-out data, where there is any"
    )
    pretrain: dict[str, Any] = Field(
        default_factory=dict,
        description="Trainer arguments of the supervised training before the first trial, for "
        "models that have one",
    )

    @field_validator("preference")
    @classmethod
    def check_preference(cls, given: dict[str, float]) -> dict[str, float]:
        """Refuse importances below 0."""
        if bad := next((name for name, value in given.items() if value < 0), None):
            raise ValueError(f"the importance of {bad!r} must not be negative, got {given[bad]}")
        return given

    @model_validator(mode="after")
    def check_weighters(self) -> "Options":
        """Refuse weighters and arguments that are not known."""
        for name, arguments in self.arguments.items():
            if name in WEIGHTERS:
                weighter_of(name, arguments)
            elif "." not in name:
                raise ValueError(f"arguments: {name!r} is none of {', '.join(WEIGHTERS)}")
        if self.weighter not in WEIGHTERS and "." not in self.weighter:
            raise ValueError(
                f"weighter: {self.weighter!r} is none of {', '.join(WEIGHTERS)} and no class path"
            )
        return self

    def made(self) -> Weighter:
        """Make the weighter of this trial."""
        return weighter_of(self.weighter, self.arguments.get(self.weighter, {}))

    def merged(self, declared: Sequence[Reward]) -> tuple[Reward, ...]:
        """Return the rewards that a model declares, with what the study says of them."""
        names = [reward.name for reward in declared]
        if unknown := [name for name in self.rewards if name not in names]:
            raise ValueError(f"rewards: {unknown[0]!r} is none of the model's {', '.join(names)}")
        return tuple(
            dataclasses.replace(
                reward,
                **self.rewards.get(reward.name, RewardOptions()).model_dump(exclude_none=True),
            )
            for reward in declared
        )


def weighter_of(name: str, arguments: Mapping[str, Any]) -> Weighter:
    """Make a weighter by its name or class path; refuse arguments that it does not take."""
    kind: Any = WEIGHTERS[name] if name in WEIGHTERS else find_class(name)
    if not hasattr(kind, "update"):
        raise ValueError(f"weighter {name!r}: has no method update(now, signal); write one")
    try:
        return cast("Weighter", kind(**arguments))
    except TypeError as error:
        takes = ", ".join(inspect.signature(kind).parameters) or "none"
        raise ValueError(f"weighter {name!r}: {error}; its arguments are {takes}") from error


def space(options: Options) -> Mapping[str, Parameter]:
    """Propose weighters with their own arguments, aggregations, estimators and preferences."""

    def of(weighter: str) -> dict[str, tuple[Any, ...]]:
        return {"weighter": (weighter,)}

    proposed: dict[str, Parameter] = {
        "weighter": Choice(SEARCHED),
        "aggregation": Choice(("gdpo", "sum")),
        "estimator": Choice(("rloo", "grpo"), when={"aggregation": ("sum",)}),
        "arguments.hv_gradient.lookahead": Float(
            0.02, 0.3, log=True, default=0.1, when=of("hv_gradient")
        ),
        "arguments.chebyshev.temperature": Float(
            0.005, 0.2, log=True, default=0.02, when=of("chebyshev")
        ),
        "arguments.lagrangian.rate": Float(0.02, 0.5, log=True, default=0.1, when=of("lagrangian")),
        "arguments.gradient.rate": Float(0.01, 0.3, log=True, default=0.1, when=of("gradient")),
        "arguments.gradient.anchor": Float(0.0, 0.2, default=0.02, when=of("gradient")),
    }
    for number, (name, reward) in enumerate(options.rewards.items()):
        proposed[f"preference.{name}"] = Float(0.1, 10.0, log=True, default=1.0)
        if number and reward.bounds is not None:
            low, high = reward.bounds
            middle = (low + high) / 2
            proposed[f"rewards.{name}.threshold"] = Float(
                low, high, default=middle, when=of("lagrangian")
            )
    return proposed
