"""The options of the plugin; none has to be given."""

from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from automl_nas.paths import Sampler
from automl_nas.space import AnySpace, Chain

Criterion: TypeAlias = Literal[
    "ensemble", "one_shot", "gradient_matching", "contribution", "random", "exhaustive"
]
Evaluation: TypeAlias = Literal["promote", "train", "estimate"]


class NasOptions(BaseModel):
    """What is searched, how supernets are trained and split, and when a trial really trains."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    space: AnySpace = Field(default_factory=Chain, description="the architectures")
    architecture: dict[str, str] = Field(
        default_factory=dict,
        description="the operation of each edge, by name; the first where it is silent",
    )
    attribute: str = Field(
        "network",
        description="attribute of the model that the network replaces; not used by kind own",
    )
    evaluation: Evaluation = Field(
        "promote",
        description="promote: train what the estimate does not rule out; train: always; estimate: "
        "never",
    )
    metric: str = Field(
        "", description="the objective that is estimated; default: the first that is no cost"
    )
    criterion: Criterion = Field(
        "ensemble",
        description="ensemble: several supernets of the whole space; one_shot: one; the others "
        "split the space between supernets",
    )
    groups: int = Field(2, ge=2, description="parts of a split")
    depth: int = Field(
        2, ge=1, le=6, description="splits from root to leaf; groups ** depth supernets in all"
    )
    supernet_budget: float = Field(
        16.0, gt=0, description="cost of all supernets together, in stand-alone trainings"
    )
    warmup: float = Field(
        0.25, gt=0, lt=1, description="part of that cost spent before splits that are scored"
    )
    batches: int = Field(24, ge=1, description="training batches on which an edge is scored")
    restart: bool = Field(
        True, description="leaves start from fresh weights, not from those of their parents"
    )
    sampler: Sampler = Field(
        "uniform", description="paths of a supernet: uniform, or fair to all operations of an edge"
    )
    score_share: float = Field(
        1 / 3, gt=0, lt=1, description="part of the training data kept for estimates"
    )
    pool: int = Field(
        2048, ge=8, description="architectures estimated in advance; all of a smaller space"
    )
    calibrate: int = Field(
        16, ge=4, description="stand-alone trainings, drawn at random, that calibrate the estimate"
    )
    rounds: int = Field(2, ge=0, description="rounds of promoted trainings before the first trial")
    batch: int = Field(4, ge=1, description="trainings of a round")
    random: float = Field(
        0.1, ge=0, le=1, description="part of the promoted trainings that is drawn at random"
    )
    optimism: float = Field(
        0.5,
        ge=0,
        description="standard deviations that an estimate is raised by before it is ruled out",
    )
    audit: float = Field(
        0.1, ge=0, le=1, description="part of the ruled-out trials that is trained all the same"
    )
    neighbours: int = Field(
        0, ge=0, description="further estimated points of each trial that is not trained"
    )

    @property
    def leaves(self) -> int:
        """The number of supernets that share the budget."""
        return int(self.groups**self.depth)
