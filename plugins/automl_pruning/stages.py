"""The stages of a trial that prunes: what happens in the trial's own process."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from automl import Job, PluginError, Point, Section, Table
from automl.rungs import completed
from automl.training import save_model
from automl_pruning.calibration import calibration
from automl_pruning.export import FORMAT, plan_of, sizes, write_json
from automl_pruning.finetune import Rate, targets
from automl_pruning.forward import Inputs, part, samples
from automl_pruning.masks import KeepMasks, Masks
from automl_pruning.options import ALLOCATORS, NAME, PLAN, RECORD, SPARSEST, Options, proposed
from automl_pruning.pruner import Pruner, make_pruner, restore, snapshot
from automl_pruning.repair import estimate
from automl_pruning.structured import shrink
from automl_pruning.units import find_units

DENSE = "dense.pt"


@dataclass(slots=True)
class Record:
    """What a trial found out, for the report."""

    rows: dict[str, Any] = field(default_factory=dict)

    def save(self, job: Job) -> None:
        """Write it into the trial's folder."""
        write_json(job.folder / NAME / RECORD, self.rows)


def shareable(job: Job, options: Options) -> bool:
    """Say whether one dense model serves all trials: pruning is searched, and nothing else.

    Where all is fixed, trials differ by their seeds alone, and each trains a model of its own.
    """
    space, given = job.study.space, job.study.plugins.get(NAME, {})
    searched = [name for name, spec in space.items() if spec.fixed is None]
    only = all(name.startswith(f"{NAME}.") for name in searched)
    open_ = [n for n in proposed(options) if f"{NAME}.{n}" not in space and n not in given]
    alone = list(job.study.plugins) == [NAME]
    return options.train_once and alone and only and bool(searched or open_)


def prepare(job: Job, options: Options) -> None:
    """Train the dense model that all trials share, and measure its curves."""
    if not shareable(job, options):
        return
    home = job.shared / NAME
    if not load_checkpoint(job, options):
        job.fit(phase="dense")
    if job.stopped:
        return
    home.mkdir(parents=True, exist_ok=True)
    inputs = calibration(job, options, home)
    searched = "repair" not in options.model_fields_set
    both = (True, False) if searched else (options.repair,)
    for repaired in () if options.granularity == "channels" else both:
        how = options.model_copy(update={"repair": repaired})
        make_pruner(job.model.to(job.device), inputs, how, [home])
    partial = home / f".{DENSE}.partial"
    torch.save(job.model.state_dict(), partial)
    partial.replace(home / DENSE)


def train(job: Job, options: Options) -> bool | None:
    """Take the dense model that `prepare` trained, or the checkpoint that the options name."""
    dense = job.shared / NAME / DENSE
    if shareable(job, options) and dense.exists():
        job.model.load_state_dict(torch.load(dense, map_location="cpu", weights_only=True))
        return True
    return load_checkpoint(job, options) or None


def load_checkpoint(job: Job, options: Options) -> bool:
    """Load the weights that the options name, if they name any."""
    if options.checkpoint is None:
        return False
    path = Path(options.checkpoint)
    if not path.is_file():
        raise PluginError(f"plugin {NAME}: checkpoint: no file {path}; give the path of a .ckpt")
    saved = torch.load(path, map_location="cpu", weights_only=True)
    job.model.load_state_dict(saved.get("state_dict", saved))
    return True


def refine(job: Job, options: Options) -> Iterator[Point]:
    """Yield the model pruned in one pass at several densities, then prune it for good."""
    home = job.folder / NAME
    inputs = calibration(job, options, home)
    if options.granularity == "channels":
        channels(job, options, inputs)
        return
    pruner = make_pruner(job.model.to(job.device), inputs, options, [home, job.shared / NAME])
    density = pruner.feasible(options.density)
    record = Record(facts(pruner, job, density) | {"asked": options.density, "further": []})
    state = snapshot(job.model)
    for name, allocator, at in further(pruner, density, bounds(job), job.seed):
        if job.stopped:
            return
        keep = pruner.keep(at, allocator)
        masks = pruner.prune(job.model, keep)
        point = further_point(job, pruner, (name, allocator, at), masks)
        restore(job.model, state)
        row = {"name": name, "allocator": allocator, "density": at, "keep": keep.tolist()}
        row |= {"predicted": pruner.predicted(keep), "metrics": dict(point.metrics)}
        record.rows["further"].append(row)
        yield point
    rounds(job, pruner, density, record)
    record.save(job)


def bounds(job: Job) -> tuple[float, float]:
    """Return the densities that are of interest: those that the study searches, or all."""
    spec = job.study.space.get(f"{NAME}.density")
    return (SPARSEST, 1.0) if spec is None or spec.float_ is None else spec.float_


def further(
    pruner: Pruner, density: float, within: tuple[float, float], seed: int
) -> Iterator[tuple[str, Any, float]]:
    """Yield name, allocator and density of each further point.

    The densities are drawn, one from each of `front` equal parts of the logarithmic range: trials
    with the same settings then fill one curve together instead of measuring the same points.
    """
    options = pruner.options
    lowest, highest = pruner.feasible(min(within[0], density)), pruner.feasible(within[1])
    edges = np.geomspace(highest, lowest, options.front + 1)
    places = np.random.default_rng(seed).random(options.front)
    for high, low, place in zip(edges, edges[1:], places, strict=False):
        at = float(high * (low / high) ** place)
        yield f"density={at:.4g}", options.allocator, at
    if options.compare:
        for allocator in ALLOCATORS:
            yield f"allocator={allocator}", allocator, density


def further_point(job: Job, pruner: Pruner, what: tuple[str, Any, float], masks: Masks) -> Point:
    """Measure the job's model as a further point and save it below the trial's folder."""
    name, allocator, density = what
    params = {
        f"{NAME}.density": density,
        f"{NAME}.allocator": allocator,
        f"{NAME}.rounds": 1,
        f"{NAME}.finetune_epochs": 0,
    }
    folder = Path("points") / name
    weights = folder / "model.ckpt"
    save_model(job.model, job.folder / weights, init_args(job))
    settings = pruner.options.model_dump() | {"density": density, "allocator": allocator}
    settings |= {"rounds": 1, "finetune_epochs": 0}
    write_json(job.folder / folder / PLAN, plan_of(pruner.units, masks, settings))
    return job.point(name, model=job.model, params=params, artifact=str(weights))


def rounds(job: Job, pruner: Pruner, density: float, record: Record) -> None:
    """Prune, repair and finetune the job's model round by round."""
    options, found = pruner.options, record.rows.setdefault("rounds", [])
    masks: Masks = {}
    for number, target in enumerate(targets(density, options.rounds), 1):
        if number > 1:
            model, home = job.model.to(job.device), job.folder / NAME
            pruner = make_pruner(model, pruner.eye.inputs, options, [home])
        keep = pruner.keep(target)
        masks = pruner.prune(job.model, keep)
        row: dict[str, Any] = {"density": target, "keep": keep.tolist()}
        row |= {"predicted": pruner.predicted(keep), "repaired": job.validate()}
        found.append(row)
        if number == 1:
            tell(job, options, row["repaired"])
        if job.stopped:
            break
        if options.finetune_epochs:
            row["finetuned"] = finetune(job, masks, number, options)
    settings = options.model_dump() | {"density": target}
    write_json(job.folder / PLAN, plan_of(pruner.units, masks, settings))


def channels(job: Job, options: Options, inputs: Inputs) -> None:
    """Cut channels out of the job's model, estimate its normalizations again, and finetune.

    `pruning.json` then holds what was removed, and the function that builds the small model again.
    """
    before = sum(unit.size for unit in find_units(job.model))
    patterns = [re.compile(text) for text in options.exclude]
    names = [name for name, _ in job.model.named_modules()]
    excluded = [name for name in names if any(pattern.search(name) for pattern in patterns)]
    job.model.cpu()
    history = shrink(job.model, inputs, options.density, excluded)
    if options.repair:
        estimate(job.model, inputs)
    plan = {"format": FORMAT, "settings": options.model_dump(), "dense": before}
    plan |= {"removed": history, "rebuild": "automl_pruning.rebuild.rebuild"}
    write_json(job.folder / PLAN, plan)
    if options.finetune_epochs and not job.stopped:
        job.fit(
            phase="round1",
            max_epochs=options.finetune_epochs,
            max_steps=-1,
            callbacks=[Rate(options.finetune_rate)],
        )


def tell(job: Job, options: Options, metrics: Mapping[str, float]) -> None:
    """Report what repair alone gives, so that a hopeless trial is stopped before it is finetuned.

    Only where all trials share the dense model: elsewhere reports count the epochs of training.
    """
    if shareable(job, options) and job.study.fidelity is not None:
        first = completed(job.study.fidelity, job.study.trainer).first
        job.report(first, **metrics)


def finetune(job: Job, masks: Masks, number: int, options: Options) -> dict[str, float]:
    """Train the pruned model with the study's own recipe."""
    callbacks = [KeepMasks(masks), Rate(options.finetune_rate)]
    return job.fit(
        phase=f"round{number}",
        max_epochs=options.finetune_epochs,
        max_steps=-1,
        callbacks=callbacks,
    )


def measure(job: Job, options: Options) -> dict[str, float]:
    """Return the theoretical costs of a pruned model."""
    example = part(calibration(job, options, job.folder / NAME), 0, 1)
    job.model.cpu()
    found = sizes(job.model, find_units(job.model, example, options.exclude))
    if options.granularity == "channels":  # what is cut out is not there to be counted
        now, before = (
            sum(u.size for u in find_units(m, None, options.exclude))
            for m in (job.model, job.new_model())
        )
        found["density"] *= now / before
    return found


def preview(job: Job, options: Options) -> Section:
    """List the units of a model: their weights, multiply-accumulates, and the least that stays."""
    example = part(calibration(job, options, job.folder / NAME), 0, 1)
    units = find_units(job.model, example, options.exclude)
    rows = tuple((one.name, one.size, one.size * one.positions, one.floor) for one in units)
    columns = ("unit", "weights", "multiply-accumulates", "least")
    return Section("Units that are pruned", (Table("Units", columns, rows),))


def facts(pruner: Pruner, job: Job, density: float) -> dict[str, Any]:
    """Say what is known before pruning."""
    rows: dict[str, Any] = {
        "density": density,
        "allocator": pruner.options.allocator,
        "metric": pruner.options.metric,
        "repair": pruner.options.repair,
        "samples": samples(pruner.eye.inputs),
        "dense": job.validate(),
        "units": [
            {"name": u.name, "size": u.size, "floor": u.floor, "macs": u.size * u.positions}
            for u in pruner.units
        ],
    }
    if pruner.curves:
        found = pruner.additivity(job.model)
        rows["additivity"] = {
            "correlation": found.correlation,
            "ratio": found.ratio,
            "bands": found.bands(),
            "warning": found.warning(),
        }
        rows["front"] = predicted_front(pruner)
    return rows


def predicted_front(pruner: Pruner) -> list[tuple[float, float]]:
    """Return (density, least predicted distortion) at 30 densities."""
    lowest = pruner.feasible(SPARSEST)
    rd = pruner.options.model_copy(update={"allocator": "rd", "macs": None, "latency": None})
    free = Pruner(rd, pruner.units, pruner.scores, pruner.eye, pruner.most, pruner.curves)
    densities = [float(d) for d in np.geomspace(1.0, lowest, 30)]
    return [(density, free.predicted(free.keep(density)) or 0.0) for density in densities]


def init_args(job: Job) -> dict[str, Any]:
    """Return the arguments that the trial's model was built with."""
    given = {k.removeprefix("model."): v for k, v in job.params.items() if k.startswith("model.")}
    return {**job.study.model.init_args, **given}
