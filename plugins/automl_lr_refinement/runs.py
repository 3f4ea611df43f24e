"""The trainings inside a trial: exploration, refinement and the final run."""

import copy
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pytorch_lightning.utilities.seed import isolate_rng

from automl import Job, PluginError
from automl_lr_refinement import refine, schedules
from automl_lr_refinement.follow import Follow, Peak
from automl_lr_refinement.logger import NormLogger
from automl_lr_refinement.norms import NormLog, load
from automl_lr_refinement.options import Options
from automl_lr_refinement.schedules import Schedule

FRESH = 10_000  # added to the trial's seed for runs that must not share its random numbers


@dataclass(frozen=True, slots=True)
class Run:
    """A training that ended: the norms of each optimizer and the metrics that it logged last."""

    logs: tuple[NormLog, ...]
    metrics: Mapping[str, float]

    @property
    def steps(self) -> int:
        """Optimizer steps; where there are several optimizers, of the one with most."""
        return max(log.steps for log in self.logs)


@dataclass(frozen=True, slots=True)
class Muted:
    """The line of a training beside the trial's own: it can be stopped, but reports nothing."""

    line: Any

    def report(self, step: float, metrics: Mapping[str, float]) -> None:
        """Report nothing: early stopping compares final runs."""

    def stopped(self) -> bool:
        """Say whether the trial has been asked to stop."""
        return bool(self.line.stopped())

    def map(self, function: str, items: list[Any], folder: Path) -> None:
        """Pass work on."""
        self.line.map(function, items, folder)


def run(
    job: Job, options: Options, phase: str, follow: Sequence[Schedule], fraction: float = 1.0
) -> Run | None:
    """Train the job's model under schedules; None if the job was stopped."""
    path = place(job) / f"{phase}.npz"
    peak = Peak(options.peak_lr, options.peak)
    replaces = options.own_scheduler == "replace"
    follower = Follow(follow, peak, fraction=fraction, replace=replaces)
    # a least length would keep an exploration from ending with its schedule
    ends = {"min_epochs": None, "min_steps": None} if fraction < 1 else {}
    metrics = job.fit(phase=phase, callbacks=[follower, NormLogger(path)], **ends)
    return None if job.stopped else Run(load(path), metrics)


def has_end(job: Job) -> bool:
    """Whether a study says after how many epochs or steps training ends."""
    fidelity = job.study.fidelity
    known = fidelity and fidelity.max and fidelity.unit in {"epoch", "step"}
    return bool(known) or {job.trainer.get(n, -1) for n in ("max_epochs", "max_steps")} != {-1}


def place(job: Job) -> Path:
    """Return where a job keeps norms, schedules and verdicts."""
    return job.folder / "lr_refinement"


def beside(job: Job, **changes: Any) -> Job:
    """Return a job for a training beside the trial's own, which leaves no trace in it."""
    return replace(job, line=Muted(job.line), metrics={}, logged={}, **changes)


def analytic(options: Options) -> Schedule:
    """Return the schedule of a shape that is not refined."""
    match options.shape:
        case "cosine":
            return schedules.cosine(options.warmup)
        case "wsd":
            return schedules.wsd(options.warmup, options.decay)
        case "step":
            return schedules.step(warmup=options.warmup)
        case "constant":
            return schedules.constant(options.warmup)
        case _:
            return schedules.linear(options.warmup)


def explore(
    job: Job, options: Options, number: int, follow: Sequence[Schedule] | None = None
) -> Run | None:
    """Train a copy of the model for a part of the training, on random numbers of its own."""
    with isolate_rng():
        torch.manual_seed(job.seed + FRESH)
        aside = beside(job, model=copy.deepcopy(job.model))
        flat = options.explore_under == "constant"
        start = follow or [schedules.constant() if flat else schedules.linear()]
        return run(aside, options, f"explore-{number}", start, options.explore)


def refined(log: NormLog, options: Options, number: int, source: str) -> Schedule:
    """Refine a schedule from the norms of one optimizer.

    Raises:
        PluginError: the optimizer did nothing in the exploratory run.
        FloatingPointError: it had no finite gradient there.
    """
    check(log, options)
    kind, exponent = refine.family(log.optimizer)
    kind = kind if options.norm == "auto" else options.norm
    recipe = refine.Recipe(
        exponent=options.exponent or exponent,
        tau=options.tau,
        filter=options.filter,
        strength=options.strength,
        guard=options.guard or None,
        fallback=options.fallback,
    )
    found = refine.refine(log.effective(kind, clipped=options.clipped), recipe)
    fell_back = recipe.fallback and not found.verdict.ok
    shape = schedules.describe(found.multipliers)
    label = f"refined: degenerate, so {shape}" if fell_back else f"refined: {shape}"
    provenance = {
        "shape": "refined",
        "round": number,
        "recipe": asdict(recipe),
        "norm": kind,
        "verdict": asdict(found.verdict),
        "fell_back": fell_back,
        "parent": {"norms": source, "sha256": log.sha256(), "steps": log.steps},
        "optimizer": log.optimizer,
        "clip": asdict(log.clip),
        "versions": {name: version(name) for name in ("torch", "pytorch-lightning")},
    }
    return schedules.from_multipliers(found.multipliers, label, provenance)


def check(log: NormLog, options: Options) -> None:
    """Refuse norms that no schedule can be refined from."""
    if not log.steps:
        raise PluginError(
            f"lr_refinement: {log.optimizer} made no step in the exploratory run, which is "
            f"{options.explore:.0%} of training; set plugins.lr_refinement.explore to more"
        )
    if not np.isfinite(log.l2).any():
        raise FloatingPointError(
            f"no gradient of {log.optimizer} was finite in the exploratory run, of {log.steps} "
            f"steps at peak factor {options.peak:g}"
        )


def peak_rates(log: NormLog, schedule: Schedule) -> list[float]:
    """Return the learning rate of each group at the peak, from those of a run under a schedule."""
    if not log.steps:
        return []
    top = log.lr.max(axis=0) / schedule.multipliers(log.steps).max()
    return [float(f"{rate:.6g}") for rate in top]  # a log has single precision


def refinements(job: Job, options: Options) -> tuple[list[Schedule], int] | None:
    """Explore and refine for as many rounds as the options say.

    Returns:
        The schedule of each optimizer and the optimizer steps that were spent; None if the job
        was stopped.
    """
    found: list[Schedule] | None = None
    spent = 0
    for number in range(1, options.rounds + 1):
        source = place(job) / f"explore-{number}.npz"
        if number == 1 and options.base == "study":
            source = job.shared / "lr_refinement" / "explore-1.npz"
            explored: Run | None = Run(load(source), {})
        else:
            explored = explore(job, options, number, found)
        if explored is None:
            return None
        spent += explored.steps
        # a run's folder may be moved, with all that is in it
        name = os.path.relpath(source, place(job))
        found = [refined(log, options, number, name) for log in explored.logs]
    return found or [], spent
