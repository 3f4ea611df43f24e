"""Whether a trial is worth its training: known already, ruled out by the estimate, or trained."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from automl import Job, Study
from automl_nas.estimate import Calibration, calibrated
from automl_nas.features import features, supernet_value
from automl_nas.notes import Arm, Plan, Training, notes_beside
from automl_nas.options import NasOptions
from automl_nas.paths import seed_of
from automl_nas.region import Region
from automl_nas.space import Architecture, Space

Action: TypeAlias = Literal["train", "known", "estimate", "invalid"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a trial.

    Attributes:
        action: train it, take what is known, believe the estimate, or see that nothing can be
            learned because no path leads from input to output.
        form: canonical form of the architecture.
        arm: why it is trained.
        supernet: estimate by supernets alone, larger is better.
        estimate: calibrated estimate of the metric.
        known: file of the weights, if they are known.
        twin: the architecture of those weights: this one, or one that computes the same.
    """

    action: Action
    form: str
    arm: Arm = "promoted"
    supernet: float | None = None
    estimate: float | None = None
    known: Path | None = None
    twin: Architecture | None = None


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What a trial can know of those before it: the plan, and trainings with their folders."""

    plan: Plan
    trained: tuple[tuple[Path, Training], ...]

    def calibration(self, space: Space) -> Calibration | None:
        """Calibrate on all trainings that have an estimate, if they are enough."""
        own = [one for _, one in self.trained if one.supernet is not None]
        if len(own) < 3:
            return None
        supernet = np.array([one.supernet for one in own], dtype=float)
        plain = features(space, self.plan.tree, [one.architecture for one in own])
        return calibrated(plain, supernet, [self.value(one) for one in own])

    def value(self, one: Training) -> float:
        """Return the truth of a training, larger is better."""
        return self.plan.sign * one.metrics[self.plan.metric]

    def supernet(self, form: str) -> float | None:
        """Return the estimate of a form, None if the pool has none."""
        return next((one.supernet for one in self.plan.pool if one.form == form), None)


def knowledge(job: Job, plan: Plan) -> Knowledge:
    """Collect what the preparation and the trials so far have trained."""
    shared = [(job.shared, one) for one in plan.trained]
    return Knowledge(plan, (*shared, *notes_beside(job.folder)))


def rest_of(params: Mapping[str, object]) -> str:
    """Write the parameters that are not of the architecture."""
    other = {name: v for name, v in params.items() if not name.startswith("nas.architecture.")}
    return json.dumps(other, sort_keys=True, default=str)


def judged(job: Job, options: NasOptions, architecture: Architecture, known: Knowledge) -> Verdict:
    """Say what becomes of a trial."""
    space = options.space
    form, rest = space.canonical(architecture), rest_of(job.params)
    if not space.valid(architecture):
        return Verdict("invalid", form)
    for folder, one in known.trained:
        if (one.form, one.rest) == (form, rest) and one.weights:
            file = folder / one.weights
            at = one.architecture
            return Verdict("known", form, one.arm, one.supernet, one.estimate, file, at)
    supernet = known.supernet(form)
    if supernet is None:
        supernet = estimated_now(job, options, architecture, known.plan)
    model = known.calibration(space)
    if supernet is None or model is None:
        return Verdict("train", form, supernet=supernet)
    plain = features(space, known.plan.tree, [architecture])
    value = float(model.predict(plain, np.array([supernet]))[0])
    estimate = known.plan.sign * value
    verdict = Verdict("estimate", form, "audit", supernet, estimate)
    if options.evaluation == "estimate":
        return verdict
    hopeful = value + options.optimism * model.sd
    costs = other_objectives(job.study, known.plan, job.measure())
    front = [one for _, one in known.trained if feasible(job.study, one.metrics)]
    if not ruled_out(job.study, known.plan, (hopeful, costs), front):
        return Verdict("train", form, "promoted", supernet, estimate)
    lot = seed_of(job.study.search.seed, "audit", form, rest) % 10**6 / 10**6
    return Verdict("train", form, "audit", supernet, estimate) if lot < options.audit else verdict


def other_objectives(study: Study, plan: Plan, metrics: Mapping[str, float]) -> dict[str, float]:
    """Return the objectives that are not estimated, larger is better."""
    signs = {n: 1 if o.goal == "maximize" else -1 for n, o in study.objectives.items()}
    return {n: s * metrics[n] for n, s in signs.items() if n != plan.metric and n in metrics}


def feasible(study: Study, metrics: Mapping[str, float]) -> bool:
    """Say whether metrics keep the study's constraints, as far as they are there."""
    for name, bound in study.constraints.items():
        value = metrics.get(name, 0.0)
        if name in metrics and bound.max is not None and value > bound.max:
            return False
        if name in metrics and bound.min is not None and value < bound.min:
            return False
    return True


def ruled_out(
    study: Study,
    plan: Plan,
    hope: tuple[float, Mapping[str, float]],
    front: Sequence[Training],
) -> bool:
    """Say whether a training that is done beats what can be hoped for in every objective.

    Args:
        study: whose objectives count.
        plan: names the one that is estimated.
        hope: of the estimated objective, and the others, larger is better.
        front: trainings that keep the constraints.
    """
    value, costs = hope
    for one in front:
        there = other_objectives(study, plan, one.metrics)
        better = all(name in there and there[name] >= cost for name, cost in costs.items())
        if better and plan.sign * one.metrics[plan.metric] >= value:
            return True
    return False


def estimated_now(
    job: Job, options: NasOptions, architecture: Architecture, plan: Plan
) -> float | None:
    """Estimate an architecture that is not in the pool by the supernets that contain it."""
    from automl_nas.supernets import Task, estimate_some

    values = []
    model = job.model
    root = plan.tree.region
    for alive, file in plan.supernets:
        region = Region(alive)
        if file and architecture in region:
            job.model = job.new_model()
            task = Task(
                options,
                region,
                root,
                job.study.search.seed,
                "estimate",
                start=file,
                architectures=(architecture,),
            )
            metrics = estimate_some(job, task)[0]
            values.append(supernet_value(metrics, plan.metric, plan.sign))
    job.model = model
    return float(np.mean(values)) if values and np.isfinite(values).all() else None
