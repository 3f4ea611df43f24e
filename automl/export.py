"""Take a point out of a study: its weights, its settings and its metrics, ready to use."""

import json
import re
import shutil
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from automl.errors import AutomlError
from automl.files import read_json, write_json, write_text
from automl.history import History, Point, Trial
from automl.mirror import complete
from automl.settings import settle
from automl.space import Space, Value
from automl.spec import spec_of
from automl.study import Budget, Search, Study
from automl.studyfile import dump
from automl.suggest import did_you_mean_or_known

MODEL = "model.json"
POINT = "point.json"
OURS = {"result.json", "latency.json", "process.json"}  # of a trial's folder, about the trial
REBUILD = "rebuild"  # in a plugin's file: the function(model, weights, file) that loads them


@dataclass(frozen=True, slots=True)
class Chosen:
    """A point of a study with the trial that gave it."""

    label: str
    trial: Trial
    metrics: dict[str, float]
    params: dict[str, Value]
    artifact: Path | None


def choose(history: History, label: str) -> Chosen:
    """Find a point by its label: `12`, or `12/name` for a further point of trial 12.

    Raises:
        AutomlError: there is no such point.
    """
    labels: dict[str, tuple[Trial, Point]] = {}
    for trial in history.finished():
        labels[str(trial.number)] = trial, Point(trial.metrics, {}, trial.artifact)
        labels |= {f"{trial.number}/{point.name}": (trial, point) for point in trial.points}
    if label not in labels:
        near = did_you_mean_or_known(label, labels)
        raise AutomlError(f"--point {label!r}: no such point{near}")
    trial, point = labels[label]
    path = trial.folder / point.artifact if point.artifact else None
    params = {**trial.params, **point.params}
    return Chosen(label, trial, dict(point.metrics), params, path)


def export(history: History, label: str, target: Path) -> Path:
    """Write a point's folder: weights, `model.json`, `point.json` and a study that retrains it.

    Raises:
        AutomlError: no such point, its weights are gone, or the folder is not empty.
    """
    chosen = choose(history, label)
    if target.exists() and any(target.iterdir()):
        raise AutomlError(f"{target} is not empty; give another folder with -o")
    complete(chosen.trial.folder, history.folder)
    if chosen.artifact is None or not chosen.artifact.exists():
        kept = history.study.checkpoints.keep
        raise AutomlError(
            f"point {label} has no weights (any more: checkpoints.keep is {kept}); "
            f"automl retrain {history.study.name} --point {label} makes them again"
        )
    target.mkdir(parents=True, exist_ok=True)
    if chosen.artifact.is_dir():
        shutil.copytree(chosen.artifact, target / chosen.artifact.name)
    else:
        beside = [path for path in chosen.artifact.parent.glob("*.json") if path.name not in OURS]
        for path in (chosen.artifact, *beside):  # what a plugin says of it goes along
            shutil.copy2(path, target / path.name)
    study = history.study
    weights = chosen.artifact.name
    init_args = dict(settle(study, chosen.trial.params).model)
    made = {"class_path": study.model.class_path, "init_args": init_args, "weights": weights}
    write_json(target / MODEL, made | rebuilding(target))
    known = {"study": study.name, "point": label, "seed": chosen.trial.seed}
    record = known | {"params": chosen.params, "metrics": chosen.metrics}
    write_json(target / POINT, record | {"provenance": dict(history.provenance)})
    write_text(target / "study.yaml", dump(retraining(history, chosen, 1)))
    return target


def rebuilding(folder: Path) -> dict[str, str]:
    """Return the plugin's file beside the weights that names the function that loads them."""
    found = {path.name: read_json(path) for path in sorted(folder.glob("*.json"))}
    named = [name for name, plan in found.items() if isinstance(plan, dict) and REBUILD in plan]
    return {REBUILD: named[0]} if named else {}


def retraining(history: History, chosen: Chosen, seeds: int) -> Study:
    """Return the study that trains a point again, with as many seeds as asked for."""
    name = re.sub(r"[^\w.-]", "-", f"{history.study.name}-point-{chosen.label}")[:64]
    space = {
        name: spec_of(fixed(history.space, name, value))
        for name, value in chosen.params.items()
        if name in history.space
    }
    return history.study.model_copy(
        update={
            "name": name,
            "space": space,
            "forbid": (),
            "budget": Budget(trials=seeds),
            "search": Search(sampler="random", seed=history.study.search.seed + 1),
            "fidelity": None,
        }
    )


def fixed(space: Space, name: str, value: Value) -> Any:
    """Return a parameter that has one value, and the condition that it had."""
    from automl.space import Fixed

    return Fixed(value, space[name].when)


def load(folder: str | Path) -> Any:
    """Build the model of an exported point and load its weights.

    Args:
        folder: what `automl export` wrote; the model's class must be importable.

    Returns:
        The LightningModule, in evaluation mode.
    """
    import torch

    from automl.instantiate import build

    path = Path(folder)
    made = json.loads((path / MODEL).read_text(encoding="utf-8"))
    model = build(made["class_path"], made["init_args"])
    content = torch.load(path / made["weights"], map_location="cpu", weights_only=True)
    weights = content.get("state_dict", content)
    if REBUILD in made:  # the layers are others than the class builds
        plan = json.loads((path / made[REBUILD]).read_text(encoding="utf-8"))
        module, _, name = plan[REBUILD].rpartition(".")
        getattr(import_module(module), name)(model, weights, plan)
    else:
        model.load_state_dict(weights)
    return model.eval()


def write_program(folder: Path, study: Study, here: Path) -> Path:
    """Write the model's graph as `model.pt2`, which `torch.export.load` runs without its class.

    Args:
        folder: of an exported point.
        study: whose data gives an example of an input.
        here: the folder that the study's modules and paths are relative to.

    Raises:
        AutomlError: torch cannot trace the model.
    """
    import sys
    from contextlib import chdir

    import torch

    from automl.instantiate import build
    from automl.training import example

    target = (folder / "model.pt2").resolve()
    sys.path.insert(0, str(here))
    model = load(folder)
    with chdir(here):
        data = build(study.data.class_path, study.data.init_args) if study.data else None
        inputs = example(model, data)
    given = tuple(inputs) if isinstance(inputs, list | tuple) else (inputs,)
    try:
        torch.export.save(torch.export.export(model, given), target)
    except Exception as error:  # whatever the tracer cannot follow
        raise AutomlError(f"--program: torch.export cannot trace this model: {error}") from error
    return target
