"""The trainings inside a trial: exploration, refinement, the final run and its confirmation."""

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.utilities.seed import isolate_rng

from automl import Job, PluginError
from automl_lr_refinement import refine, schedules, verdict
from automl_lr_refinement.follow import Follow, Peak
from automl_lr_refinement.logger import NormLogger
from automl_lr_refinement.norms import NormLog, load
from automl_lr_refinement.options import Options
from automl_lr_refinement.schedules import Schedule

OCTAVES = (1.0, 0.5, 2.0)  # peaks of linear decay in a confirmation, times the trial's
MOST_PEAKS = 5  # tried in all
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
    """Refine a schedule from the norms of one optimizer."""
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
        found = [refined(log, options, number, str(source)) for log in explored.logs]
    return found or [], spent


def confirm(job: Job, options: Options, follow: Sequence[Schedule]) -> verdict.Comparison | None:
    """Train on fresh seeds under the refined schedules and under linear decay.

    Linear decay is tried at several peaks, and the best on these very seeds is compared: that
    favours it a little, where a peak chosen on a seed or two of its own would often be a bad one.

    Returns:
        The pairs; None if the job was stopped.

    Raises:
        PluginError: fresh models are not the one that was trained.
    """
    metric, goal = judged(job, job.metrics)
    line = schedules.linear(options.control_warmup)
    with isolate_rng():
        refined = over_seeds(job, options, metric, "refined", follow)
        if refined is None:
            return None
        found: dict[float, tuple[float, ...]] = {}
        while (peak := next_peak(options, found, goal)) is not None:
            changed = options.model_copy(update={"peak": peak})
            values = over_seeds(job, changed, metric, f"linear-{peak:.4g}", [line])
            if values is None:
                return None
            found[peak] = values
    best = best_peak(found, goal)
    peaks = options.peak, best
    return verdict.Comparison(metric, goal, refined, found[best], *peaks, options.control_warmup)


def over_seeds(
    job: Job, options: Options, metric: str, name: str, follow: Sequence[Schedule]
) -> tuple[float, ...] | None:
    """Train fresh models under schedules and return a metric of each; None if stopped."""
    values = []
    for number in range(1, options.confirm + 1):
        fresh = beside(job, seed=job.seed + FRESH + number)
        fresh.model = new_model(fresh, job.model)
        ended = run(fresh, options, f"confirm-{number}-{name}", follow)
        if ended is None:
            return None
        values.append(ended.metrics[metric])
    return tuple(values)


def next_peak(options: Options, found: Mapping[float, Sequence[float]], goal: str) -> float | None:
    """Return the peak of linear decay to try next, None after the last.

    First the trial's peak and an octave to each side; then further where the best is at an end.
    """
    if options.control_peak is not None:
        return None if found else options.control_peak
    if len(found) < len(OCTAVES):
        return options.peak * OCTAVES[len(found)]
    best = best_peak(found, goal)
    further = {min(found): best / 2, max(found): best * 2}
    return further.get(best) if len(found) < MOST_PEAKS else None


def best_peak(found: Mapping[float, Sequence[float]], goal: str) -> float:
    """Return the peak whose mean is best; a run that broke is worse than all others."""
    sign = 1.0 if goal == "maximize" else -1.0
    means = {peak: sign * sum(values) / len(values) for peak, values in found.items()}
    return max(found, key=lambda peak: means[peak] if math.isfinite(means[peak]) else -math.inf)


def new_model(job: Job, trained: Any) -> Any:
    """Build a model from the job's seed; refuse one that differs from what the trial trained."""
    made = job.new_model()
    shapes = [
        {name: tuple(value.shape) for name, value in model.state_dict().items()}
        for model in (made, trained)
    ]
    if shapes[0] != shapes[1]:
        raise PluginError(
            "lr_refinement: confirm builds fresh models of the study, but another plugin has "
            "changed the architecture of this trial; set confirm: 0"
        )
    return made


def judged(job: Job, metrics: Mapping[str, float]) -> tuple[str, str]:
    """Return the first objective that training logs, and its goal."""
    for name, objective in job.study.objectives.items():
        if name in metrics:
            return name, objective.goal
    raise PluginError(
        f"lr_refinement: confirm compares an objective that training logs, but of "
        f"{', '.join(job.study.objectives)} none is among {', '.join(metrics) or 'nothing'}"
    )
