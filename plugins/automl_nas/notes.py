"""What the plugin writes down for trials and reports: small JSON files that need no torch."""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from automl_nas.space import Architecture
from automl_nas.tree import Node, from_json, to_json

Arm: TypeAlias = Literal["calibration", "random", "promoted", "audit"]
PLAN = "nas.json"  # in the shared folder
NOTE = "nas.json"  # in a trial's folder


@dataclass(frozen=True, slots=True)
class Candidate:
    """An architecture of the pool.

    Attributes:
        architecture: operations by index.
        form: its canonical form.
        supernet: its estimate by supernets alone, larger is better; None if none could be had.
    """

    architecture: Architecture
    form: str
    supernet: float | None


@dataclass(frozen=True, slots=True)
class Training:
    """A stand-alone training that is known.

    Attributes:
        architecture: operations by index.
        form: its canonical form.
        metrics: measured, by name.
        arm: why it was trained.
        supernet: its estimate by supernets alone.
        estimate: its calibrated estimate before it was trained.
        weights: file of the weights, below the shared or the trial's folder; empty if not kept.
        rest: the trial's other parameters, as text; trainings of different ones are not the same.
    """

    architecture: Architecture
    form: str
    metrics: Mapping[str, float]
    arm: Arm
    supernet: float | None = None
    estimate: float | None = None
    weights: str = ""
    rest: str = "{}"


@dataclass(frozen=True, slots=True)
class Plan:
    """What the preparation made.

    Attributes:
        metric: the objective that is estimated.
        sign: 1 if it is maximized, -1 if minimized; estimates are of `sign * metric`.
        tree: of the supernets' regions; a single leaf unless the criterion splits.
        supernets: the region of each supernet, and the file of its weights; no file if it failed.
        pool: architectures with an estimate.
        trained: stand-alone trainings, calibrations first.
        seconds: time that the steps of the preparation took, by name.
    """

    metric: str
    sign: int
    tree: Node
    supernets: tuple[tuple[tuple[tuple[int, ...], ...], str], ...]
    pool: tuple[Candidate, ...]
    trained: tuple[Training, ...]
    seconds: Mapping[str, float] = field(default_factory=dict)


def write(path: Path, data: Any) -> None:
    """Write JSON so that a reader finds the old or the new file, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_text(json.dumps(data, indent=1), encoding="utf-8")
    temporary.replace(path)


def write_plan(shared: Path, plan: Plan) -> None:
    """Keep a plan in the shared folder."""
    write(shared / PLAN, {**shallow(plan), "tree": to_json(plan.tree)})


def shallow(plan: Plan) -> dict[str, Any]:
    """Return everything of a plan but the tree."""
    return {
        "metric": plan.metric,
        "sign": plan.sign,
        "supernets": [list(one) for one in plan.supernets],
        "pool": [asdict(one) for one in plan.pool],
        "trained": [asdict(one) for one in plan.trained],
        "seconds": dict(plan.seconds),
    }


def read_plan(shared: Path) -> Plan | None:
    """Return the plan of a shared folder, or None if there is none."""
    path = shared / PLAN
    if not path.exists():
        return None
    data = json.loads(path.read_text(encoding="utf-8"))
    return Plan(
        data["metric"],
        data["sign"],
        from_json(data["tree"]),
        tuple((tuple(map(tuple, alive)), file) for alive, file in data["supernets"]),
        tuple(Candidate(tuple(c["architecture"]), c["form"], c["supernet"]) for c in data["pool"]),
        tuple(map(training, data["trained"])),
        data["seconds"],
    )


def training(data: Mapping[str, Any]) -> Training:
    """Return the training that `asdict` made a mapping of."""
    return Training(**{**data, "architecture": tuple(data["architecture"])})


def write_note(folder: Path, one: Training) -> None:
    """Keep a trial's training in its folder."""
    write(folder / NOTE, asdict(one))


def read_note(folder: Path) -> Training | None:
    """Return the training of a trial's folder, or None if it did not train."""
    path = folder / NOTE
    return training(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None


def notes_beside(folder: Path) -> Iterator[tuple[Path, Training]]:
    """Yield the trainings of all trials whose folders lie beside this one, oldest name first."""
    for path in sorted(folder.parent.glob(f"*/{NOTE}")):
        one = read_note(path.parent)
        if one is not None:
            yield path.parent, one
