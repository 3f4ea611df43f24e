"""What a study file may say about data mixing, and what is searched of it."""

from string import Formatter
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

PolicyName = Literal["static", "schedule", "regmix", "merge", "odm", "doremi", "aioli", "agent"]
BUILTIN = ("arithmetic", "code", "docstrings", "topics")
PREFERRING = (
    "regmix",
    "merge",
    "aioli",
    "agent",
)  # policies that are told how much the target matters


class Part(BaseModel):
    """A part of the options that refuses keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Domain(Part):
    """One domain of the data: where its texts are and how they may be used."""

    name: str = Field(pattern=r"^[A-Za-z0-9][\w.-]{0,63}$", description="name of the domain")
    field: Literal["source", "target"] = Field(
        description="source: what must not be forgotten; target: what is to be learned"
    )
    kind: Literal["builtin", "text", "jsonl", "parquet", "datasets"] = Field(
        "text", description="format; `builtin` ones need no files"
    )
    path: str = Field(
        "", description="file or glob; for `builtin` and `datasets` the name, by default `name`"
    )
    text: str = Field(
        "{text}",
        description="template of a document, filled from a row, such as '{question} {answer}'",
    )
    split: str = Field("train", description="split of a `datasets` data set")
    by: str | None = Field(None, description="a column: each of its values becomes a domain")
    clusters: int | None = Field(
        None, ge=2, description="split into so many domains by k-means on word frequencies"
    )
    limit: int = Field(1_500_000, ge=1_000, description="use at most so many bytes")
    max_epochs: float | None = Field(None, gt=0, description="repeat the texts at most so often")
    min_weight: float = Field(0.0, ge=0, le=1, description="least weight a policy may give")
    max_weight: float = Field(1.0, ge=0, le=1, description="largest weight a policy may give")
    licence: str = Field("", description="licence of the texts, for the manifest")

    @model_validator(mode="after")
    def check(self) -> "Domain":
        """Refuse a domain without files, an unknown built-in one, and what cannot work."""
        if self.kind == "builtin" and self.origin not in BUILTIN:
            raise ValueError(f"no built-in domain {self.origin!r}; there are {', '.join(BUILTIN)}")
        if self.kind not in {"builtin", "datasets"} and not self.path:
            raise ValueError(f"domain {self.name}: a {self.kind} domain needs a path")
        if self.min_weight > self.max_weight:
            raise ValueError(f"domain {self.name}: min_weight is above max_weight")
        if wrong := fault_of(self.text):
            raise ValueError(f"domain {self.name}: text {self.text!r} {wrong}")
        return self

    @property
    def origin(self) -> str:
        """The path, or the name where there is none."""
        return self.path or self.name


def fault_of(template: str) -> str:
    """Say what is wrong with a template; nothing if it is right."""
    try:
        parts = [part for part in Formatter().parse(template) if part[1] is not None]
    except ValueError as error:
        return f"is no template: {error}"
    if not parts:
        return f"names no column; write '{{{template}}}' for a column of that name"
    if any(not name or name[0].isdigit() for _, name, _, _ in parts):
        return "must name its columns"
    if any(conversion not in {None, "r", "s", "a"} for _, _, _, conversion in parts):
        return "has a conversion other than !r, !s and !a"
    return ""


DOMAINS = (
    Domain(name="code", field="source", kind="builtin", licence="PSF-2.0"),
    Domain(name="docstrings", field="source", kind="builtin", licence="PSF-2.0"),
    Domain(name="topics", field="source", kind="builtin", licence="PSF-2.0"),
    Domain(name="arithmetic", field="target", kind="builtin", licence="generated"),
)


class Pretraining(Part):
    """How the base model learns the source domains, before there is anything to forget."""

    steps: int = Field(2_500, ge=0, description="optimizer steps; 0 starts from the study's model")
    model: dict[str, float] = Field(
        {"lr": 3e-3}, description="init_args of the model that differ while it learns the sources"
    )


class AgentOptions(Part):
    """How the agent learns from trajectories."""

    arch: Literal["deepset", "decoder"] = Field(
        "deepset", description="deepset: enough below about 100 trajectories; decoder: attention"
    )
    width: int = Field(48, ge=4, description="width of the network")
    composition: Literal["even", "learned"] = Field(
        "even",
        description="weights inside a field; learned: takes more than some dozens of trajectories",
    )
    layers: int = Field(2, ge=1, description="blocks of the decoder")
    sft_steps: int = Field(800, ge=1, description="steps of imitation")
    sharpness: float = Field(
        2.0, ge=0, description="imitation prefers better trajectories by exp(sharpness * advantage)"
    )
    cql_steps: int = Field(1_500, ge=0, description="steps of offline reinforcement; 0 for none")
    conservatism: float = Field(0.05, gt=0, description="weight of the conservative penalty")
    anchor: float = Field(0.1, ge=0, description="weight of imitation while reinforcing")
    preferences: tuple[float, ...] = Field(
        (0.2, 0.5, 0.8), description="preferences at which real rollouts select the agent"
    )


class Guards(Part):
    """Limits that hold for every policy of a trial, whatever it says."""

    max_change: float = Field(
        1.0, gt=0, le=1, description="largest change of the target share in one step"
    )
    forgetting_limit: float | None = Field(
        None, gt=0, description="rise of the source loss, in nats a byte, that trips the breaker"
    )
    breaker_share: float = Field(
        0.1, ge=0, le=1, description="largest target share after the breaker tripped"
    )
    support: float = Field(
        0.2, ge=0, le=1, description="part of features outside what the agent saw that stops it"
    )


class Options(Part):
    """Data domains, the policy that weights them while the model trains, and its training."""

    domains: tuple[Domain, ...] = Field(DOMAINS, description="the domains of the data")
    policies: tuple[PolicyName, ...] = Field(
        ("static", "schedule", "regmix", "odm", "doremi", "agent"),
        min_length=1,
        description="policies that the study compares",
    )
    policy: PolicyName = Field("static", description="who chooses the weights")
    target_share: float = Field(0.3, ge=0, le=1, description="static: weight of the target field")
    start: float = Field(0.7, ge=0, le=1, description="schedule: first target share")
    end: float = Field(0.2, ge=0, le=1, description="schedule: last target share")
    shape: Literal["linear", "cosine", "step"] = Field("linear", description="schedule: its shape")
    knee: float = Field(0.5, gt=0, lt=1, description="step schedule: progress at which it steps")
    composition: dict[str, float] = Field(
        {}, description="static and schedule: logit of each domain inside its field, 0 by default"
    )
    preference: float = Field(
        0.5,
        ge=0,
        le=1,
        description="regmix, merge, aioli, agent: how much the target field matters",
    )
    odm_floor: float = Field(0.02, ge=0, lt=1, description="odm: least weight of a domain")
    doremi_rate: float = Field(1.0, gt=0, description="doremi: step of the weights")
    aioli_rate: float = Field(0.5, gt=0, description="aioli: step of the weights")
    search_composition: bool = Field(False, description="search `composition` too")

    context: int = Field(64, ge=2, description="tokens that are predicted in each row")
    batch_size: int = Field(32, ge=1, description="rows in a batch, over all ranks")
    reweights: int = Field(8, ge=1, description="number of mixtures in a training")
    steps: int = Field(20, ge=1, description="optimizer steps with each mixture")
    data_seed: int | None = Field(None, description="seed of the rows; the trial's by default")
    tokenizer: str = Field("bytes", description="bytes, or `module:function` from text to numbers")
    holdout: float = Field(0.1, gt=0, lt=1, description="part of each domain that is held out")
    feedback_rows: int = Field(16, ge=1, description="held-out rows a domain that a policy sees")
    final_rows: int = Field(256, ge=1, description="held-out rows a domain that metrics see")
    workers: int = Field(0, ge=0, description="threads that read rows ahead")

    pretrain: Pretraining = Field(Pretraining(), description="training of the base model")
    base: str | None = Field(None, description="checkpoint to start from instead of pre-training")
    trajectories: int = Field(48, ge=0, description="random mixing trajectories to learn from")
    grid: tuple[float, ...] = Field(
        (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1.0),
        description="target shares of the static grid, which is part of the trajectories",
    )
    repeats: int = Field(2, ge=0, description="further seeds of one static run, for the noise band")
    agent: AgentOptions = Field(AgentOptions(), description="training of the agent")
    artifact: str | None = Field(None, description="folder of an agent to use without training")
    guards: Guards = Field(Guards(), description="limits on the policy of a trial")

    @model_validator(mode="after")
    def check(self) -> "Options":
        """Refuse domains that share a name, a missing field and logits of unknown domains."""
        names = [domain.name for domain in self.domains]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"domains: {', '.join(sorted(twice))} is named twice")
        for field in ("source", "target"):
            if all(domain.field != field for domain in self.domains):
                raise ValueError(f"domains: none has field {field!r}; one at least must")
        if lost := [n for n in self.composition if n.partition("/")[0] not in names]:
            raise ValueError(f"composition: no domain {lost[0]!r}; there are {', '.join(names)}")
        return self
