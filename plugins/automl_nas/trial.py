"""What the plugin does in a trial: build the network, judge it, keep what was learned."""

from collections.abc import Iterator, Mapping

import numpy as np

from automl import Job, Point
from automl_nas.export import WEIGHTS, describe, save, weights_of
from automl_nas.features import features
from automl_nas.notes import Training, write, write_note
from automl_nas.options import NasOptions
from automl_nas.paths import seed_of
from automl_nas.region import whole
from automl_nas.space import Architecture, named
from automl_nas.supernets import open_alone
from automl_nas.verdict import Knowledge, Verdict, feasible, rest_of, ruled_out

TOLD = "told.json"  # in the folder of the trial that told what the preparation trained


def load_known(job: Job, options: NasOptions, architecture: Architecture, verdict: Verdict) -> None:
    """Take the model and weights of an earlier training of the same function, and export it."""
    if verdict.known is None or verdict.twin is None:
        if verdict.action != "train":
            judged = {"estimate": verdict.estimate, "trained": False}
            describe(job.folder, options, architecture, judged)
        return
    if verdict.twin != architecture:  # other operations, the same function: weights fit the twin
        job.model = job.new_model()
        job.model = open_alone(job, options, verdict.twin)
    state = weights_of(verdict.known)
    job.model.load_state_dict(state)
    facts = {"estimate": verdict.estimate, "arm": verdict.arm}
    save(job.folder, options, verdict.twin, state, facts)


def keep(job: Job, options: NasOptions, architecture: Architecture, verdict: Verdict) -> None:
    """Write down a training, so that later trials can learn from it, and export it."""
    metrics = job.metrics | job.measure()
    facts = {"metrics": metrics, "estimate": verdict.estimate, "arm": verdict.arm}
    save(job.folder, options, architecture, job.model.state_dict(), facts)
    write_note(
        job.folder,
        Training(
            architecture,
            verdict.form,
            metrics,
            verdict.arm,
            verdict.supernet,
            verdict.estimate,
            WEIGHTS,
            rest_of(job.params),
        ),
    )


def params_of(options: NasOptions, architecture: Architecture) -> dict[str, str]:
    """Return an architecture as parameters of the study."""
    chosen = named(options.space, architecture)
    return {f"nas.architecture.{name}": operation for name, operation in chosen.items()}


def told(job: Job, options: NasOptions, known: Knowledge) -> Iterator[Point]:
    """Yield the trainings of the preparation as points, once a study.

    A study that searches other parameters too cannot have them: they were trained with defaults.
    """
    already = any(job.folder.parent.glob(f"*/{TOLD}"))
    if already or rest_of(job.params) != "{}":
        return
    needed = {*job.study.objectives, *job.study.constraints}
    for index, one in enumerate(known.plan.trained):
        if needed <= one.metrics.keys():
            folder = f"trained/{index}"
            state = weights_of(job.shared / one.weights)
            facts = {"metrics": dict(one.metrics), "arm": one.arm}
            save(job.folder / folder, options, one.architecture, state, facts)
            yield job.point(
                f"{one.arm}-{index}",
                params=params_of(options, one.architecture),
                metrics={**one.metrics, "nas_trained": 1.0},
                artifact=f"{folder}/{WEIGHTS}",
            )
    write(job.folder / TOLD, [one.form for one in known.plan.trained])


def neighbours(
    job: Job, options: NasOptions, architecture: Architecture, known: Knowledge
) -> Iterator[Point]:
    """Yield estimates of architectures that differ in one edge, as far as they are ruled out.

    Those that are not are left to the sampler: an estimate never enters the front. Only studies
    whose objectives are known in closed form have such points.
    """
    model = known.calibration(options.space)
    costs = options.space.costs(architecture)
    others = set(job.study.objectives) - {known.plan.metric}
    if model is None or costs is None or not others <= {"parameters", "macs"}:
        return
    here = job.measure()
    front = [one for _, one in known.trained if feasible(job.study, one.metrics)]
    for other in changed(options, architecture, seed_of(job.seed, "neighbours")):
        supernet = known.supernet(options.space.canonical(other))
        there = options.space.costs(other)
        if supernet is None or there is None:
            continue
        plain = features(options.space, known.plan.tree, [other])
        value = float(model.predict(plain, np.array([supernet]))[0])
        metrics = {n: here[n] + getattr(there, n) - getattr(costs, n) for n in others}
        hope = value + options.optimism * model.sd, signed(job, metrics)
        if ruled_out(job.study, known.plan, hope, front):
            metrics[known.plan.metric] = known.plan.sign * value
            yield job.point(
                f"estimate-{'-'.join(map(str, other))}",
                params=params_of(options, other),
                metrics={**metrics, "nas_trained": 0.0},
            )


def signed(job: Job, metrics: Mapping[str, float]) -> dict[str, float]:
    """Return objectives so that larger is better."""
    return {
        name: value if job.study.objectives[name].goal == "maximize" else -value
        for name, value in metrics.items()
    }


def changed(options: NasOptions, architecture: Architecture, seed: int) -> list[Architecture]:
    """Return different valid architectures that differ in one edge."""
    found = [
        (*architecture[:edge], index, *architecture[edge + 1 :])
        for edge, alive in enumerate(whole(options.space).alive)
        for index in alive
        if index != architecture[edge]
    ]
    order = np.random.default_rng(seed).permutation(len(found))
    valid = [found[i] for i in order if options.space.valid(found[i])]
    return valid[: options.neighbours]
