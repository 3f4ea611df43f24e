"""The trained agent: a policy with a preference, saved with a card that says where it holds."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from automl_data_mixing.course import Array, Course, Setting
from automl_data_mixing.features import NAMES, SCHEMA, features_now, outside
from automl_data_mixing.imitation import Lessons
from automl_data_mixing.network import make


@dataclass(frozen=True, slots=True)
class Card:
    """What must be known to use an agent, and how good it was.

    Attributes:
        schema: version of the features.
        arch: of the network, with `width` and `layers`.
        scale: how much source and target losses varied over the trajectories.
        probe: how much they moved in the first step of a run on targets alone.
        mean: of each feature; `spread`, `low` and `high` likewise.
        reweights: number of mixtures in a run.
        rows_per_step: rows that are trained on with one mixture.
        domains: that it was trained on.
        manifest: hash of their rows.
        trajectories: number of them.
        stage: `imitation` or `conservative`, whichever real rollouts preferred.
        results: what selection measured, by name.
        importance: change of the target share when a feature is shuffled, by its name.
        composition: of a field: `even`, where the agent chooses the target share alone, or
            `learned`.
    """

    schema: int
    arch: str
    width: int
    layers: int
    scale: tuple[float, float]
    probe: tuple[float, float]
    mean: tuple[float, ...]
    spread: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    reweights: int
    rows_per_step: int
    domains: tuple[str, ...]
    manifest: str
    trajectories: int
    stage: str = "imitation"
    results: dict[str, Any] | None = None
    importance: dict[str, float] | None = None
    composition: str = "learned"


@dataclass(frozen=True)
class Agent:
    """A policy that looks at the course and at what the user prefers.

    Args:
        network: gives a logit for each domain.
        card: how to describe a course to it.
        preference: weight of the target field, from 0 to 1.
        support: part of the features outside of what training saw above which it does not act.
    """

    network: nn.Module
    card: Card
    preference: float
    support: float = 0.2

    def weights(self, course: Course) -> Array:
        """Return the next mixture; a static one where the agent would have to extrapolate."""
        if self.lost(course) > self.support:
            return course.setting.mixture(self.preference)
        described = features_now(course, self.card.scale, self.preference)
        normal = (described - np.array(self.card.mean)) / np.array(self.card.spread)
        flags = torch.from_numpy(course.setting.flags)
        with torch.no_grad():
            x = torch.from_numpy(normal).float().unsqueeze(0)
            logits = self.network(x, flags)[0, -1].double()
        found: Array = logits.softmax(-1).numpy()
        if self.card.composition == "even":
            return course.setting.mixture(float(found[course.setting.flags].sum()))
        return found

    def lost(self, course: Course) -> float:
        """Return the part of the features now that is outside of what training saw."""
        described = features_now(course, self.card.scale, self.preference)[-1]
        return outside(described, np.array(self.card.low), np.array(self.card.high))


def differences(card: Card, setting: Setting) -> list[str]:
    """Say how a run differs from those that the agent learned from."""
    found = []
    if (there := (setting.reweights, setting.rows_per_step)) != (
        card.reweights,
        card.rows_per_step,
    ):
        found.append(
            f"agent: it learned from runs of {card.reweights} mixtures of {card.rows_per_step} "
            f"rows, this one has {there[0]} of {there[1]}"
        )
    if len(setting.names) != len(card.domains):
        found.append(
            f"agent: it learned from {len(card.domains)} domains, here are {len(setting.names)}"
        )
    return found


def calibrated(card: Card, probe: tuple[float, float]) -> Card:
    """Return a card whose scales fit other data, by how the losses moved there in the probe."""
    pairs = zip(card.scale, probe, card.probe, strict=True)
    scale = [old * max(1e-3, abs(new)) / max(1e-3, abs(was)) for old, new, was in pairs]
    return replace(card, scale=(scale[0], scale[1]), probe=probe)


def probe_of(courses: Sequence[Course]) -> tuple[float, float]:
    """Return how source and target losses moved in the first step of the run richest in targets."""
    course = max(courses, key=lambda c: sum(np.array(c.weights)[:, c.setting.flags].sum(1)))
    flags = course.setting.flags
    change = np.array(course.losses[1]) - np.array(course.losses[0])
    return float(change[~flags].mean()), float(change[flags].mean())


def importance(network: nn.Module, taught: Lessons, seed: int = 0) -> dict[str, float]:
    """Return how much the target share changes when a feature is shuffled among all steps."""
    generator = torch.Generator().manual_seed(seed)
    x = taught.x.flatten(0, 1)
    order = torch.randperm(x.shape[0] * x.shape[1], generator=generator)
    with torch.no_grad():
        usual = share(network, x, taught.target)
        found = {}
        for index, name in enumerate(NAMES):
            changed = x.clone()
            changed[..., index] = x[..., index].flatten(0, 1)[order].view(x.shape[:-1])
            found[name] = float((share(network, changed, taught.target) - usual).abs().mean())
    return found


def share(network: nn.Module, x: Tensor, target: Tensor) -> Tensor:
    """Return the target share (N, T) that a network would choose."""
    mixture: Tensor = network(x, target).softmax(-1)
    return mixture[..., target].sum(-1)


def save(network: nn.Module, card: Card, folder: Path) -> None:
    """Write the weights, then the card, which says that they are complete."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(network.state_dict(), folder / "agent.pt")
    text = json.dumps(asdict(card), indent=1)
    (folder / "card.json").write_text(text, encoding="utf-8")


def load(folder: Path) -> tuple[nn.Module, Card]:
    """Read an agent.

    Raises:
        ValueError: there is none, or it was made for features of another version.
    """
    path = folder / "card.json"
    if not path.is_file():
        raise ValueError(f"agent: no card in {folder}; name a folder that a study has made")
    content = json.loads(path.read_text(encoding="utf-8"))
    if content["schema"] != SCHEMA:
        raise ValueError(
            f"agent: {path} has features of version {content['schema']}, not {SCHEMA}; "
            "train the agent anew"
        )
    plain: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in content.items()}
    card = Card(**plain)
    network = make(card.arch, card.width, card.layers)
    network.load_state_dict(torch.load(folder / "agent.pt", weights_only=True))
    return network, card


def card_of(taught: Lessons, setting: Setting, **known: Any) -> Card:
    """Make a card from the lessons and what else is known."""
    names = ("mean", "spread", "low", "high")
    ranges: dict[str, Any] = {n: tuple(getattr(taught, n).tolist()) for n in names}
    return Card(
        schema=SCHEMA,
        reweights=setting.reweights,
        rows_per_step=setting.rows_per_step,
        domains=setting.names,
        trajectories=len(taught.actions),
        **ranges,
        **known,
    )
