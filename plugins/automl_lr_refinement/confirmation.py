"""Train a refined schedule and linear decay on fresh seeds, each at the best of its own peaks."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from pytorch_lightning.utilities.seed import isolate_rng

from automl import Job, PluginError
from automl_lr_refinement import schedules
from automl_lr_refinement.options import CHOOSING, Options
from automl_lr_refinement.runs import FRESH, beside, run
from automl_lr_refinement.schedules import Schedule
from automl_lr_refinement.verdict import Comparison, Tried

OCTAVES = (1.0, 0.5, 2.0)  # peaks that are tried first, times the trial's
MOST_PEAKS = 7  # tried in all


def confirm(job: Job, options: Options, follow: Sequence[Schedule]) -> Comparison | None:
    """Train on fresh seeds under the refined schedules and under linear decay.

    The peak of refined is chosen on two other seeds; linear decay has the best of its peaks on the
    very seeds that judge. That favours linear decay a little: a refined schedule that wins, wins.

    Returns:
        The pairs; None if the job was stopped.

    Raises:
        PluginError: fresh models are not the one that was trained.
    """
    metric, goal = judged(job, job.metrics)
    line = [schedules.linear(options.control_warmup)]
    judges = range(1, options.confirm + 1)
    others = range(options.confirm + 1, options.confirm + 1 + CHOOSING)
    with isolate_rng():
        chosen = over_peaks(job, options, "refined", follow, others)
        if chosen is None:
            return None
        peak = best_peak(chosen, goal)
        refined = over_seeds(job, options, f"refined-{peak:.4g}", follow, judges, peak)
        found = over_peaks(job, options, "linear", line, judges) if refined else None
    if refined is None or found is None:
        return None
    best = best_peak(found, goal)
    peaks = peak, best, options.control_warmup
    tried = {"refined": chosen, "linear": found}
    return Comparison(metric, goal, refined, found[best], *peaks, tried)


def over_peaks(
    job: Job, options: Options, arm: str, follow: Sequence[Schedule], seeds: Sequence[int]
) -> Tried | None:
    """Train under schedules at one peak after another, until the best is between others."""
    goal = judged(job, job.metrics)[1]
    only = options.control_peak if arm == "linear" else None
    found: dict[float, tuple[float, ...]] = {}
    while (peak := next_peak(options.peak, only, found, goal)) is not None:
        values = over_seeds(job, options, f"{arm}-{peak:.4g}", follow, seeds, peak)
        if values is None:
            return None
        found[peak] = values
    return found


def over_seeds(
    job: Job,
    options: Options,
    name: str,
    follow: Sequence[Schedule],
    seeds: Sequence[int],
    peak: float,
) -> tuple[float, ...] | None:
    """Train fresh models at a peak and return the judged metric of each; None if stopped."""
    metric = judged(job, job.metrics)[0]
    changed = options.model_copy(update={"peak": peak})
    values = []
    for number in seeds:
        fresh = beside(job, seed=job.seed + FRESH + number)
        fresh.model = new_model(fresh, job.model)
        ended = run(fresh, changed, f"confirm-{number}-{name}", follow)
        if ended is None:
            return None
        values.append(agreed(ended.metrics[metric]))
    return tuple(values)


def agreed(value: float) -> float:
    """Return what the first process has: all have to choose the same peaks.

    A metric that a model logs without synchronization is another in each process.
    """
    group = torch.distributed
    if not (group.is_available() and group.is_initialized()):
        return value
    shared = [value]
    group.broadcast_object_list(shared, src=0)
    return shared[0]


def next_peak(
    first: float, only: float | None, found: Mapping[float, Sequence[float]], goal: str
) -> float | None:
    """Return the peak to try next, None after the last.

    First the trial's peak and an octave to each side; then further where the best is at an end.

    Args:
        first: the trial's peak.
        only: the one peak to try, if the study names it.
        found: the values of the peaks that were tried.
        goal: `maximize` or `minimize`.
    """
    if only is not None:
        return None if found else only
    if len(found) < len(OCTAVES):
        return first * OCTAVES[len(found)]
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
