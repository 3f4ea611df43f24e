"""Run a job: build, train, refine and measure, with the core's plain way of each."""

import importlib
import math
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, cast

import torch

from automl import costs, plugins, ranks
from automl.callbacks import NotFiniteError
from automl.env import mask
from automl.errors import AutomlError, PluginError
from automl.events import Outcome
from automl.files import write_with
from automl.history import Failure, FailureKind, Point
from automl.instantiate import arguments, find_class, problems
from automl.job import Job, JobSpec, Line, StoppedError
from automl.plugins import Plugins, note, number
from automl.settings import settle
from automl.study import Resources
from automl.suggest import did_you_mean, did_you_mean_or_known
from automl.timing import END, Clock
from automl.training import Lightning, crew, save_model

MODEL = "model.ckpt"
TRAINER = "pytorch_lightning.Trainer"
TRACEBACK = 20_000  # characters kept of a traceback
SAID: dict[str, FailureKind] = {  # by libraries that have no class of error for it
    "can't allocate memory": "oom",
    "Cannot allocate memory": "oom",  # as the system says it
    "CUDA error: out of memory": "oom",
    "_STATUS_ALLOC_FAILED": "oom",  # cuBLAS, cuDNN and their like
    "is killed by signal": "crash",  # a process that loads data
    "SIGTERMException": "crash",
    "returned nan values": "nan",  # by torch, where `trainer.detect_anomaly` looks
}


def run(spec: JobSpec, line: Line) -> Outcome:
    """Do a job and say how it ended; no exception leaves."""
    kinds: dict[str, Callable[[JobSpec, Line], Outcome]] = {
        "trial": trial,
        "prepare": prepare,
        "task": task,
        "inspect": inspect,
        "smoke": smoke,
    }
    try:
        return kinds[spec.kind](spec, line)
    except AutomlError as error:
        return Outcome("broken", message=str(error), failure=failure("user", error))
    except (KeyboardInterrupt, StoppedError):
        return Outcome("stopped")
    except BaseException as error:  # a trial's own error is data, whatever it is
        return Outcome("failed", failure=failure(kind_of(error), error))


def kind_of(error: BaseException) -> FailureKind:
    """Classify what broke a trial, by the error itself and by what caused it."""
    while error is not None:
        if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError):
            return "oom"
        if isinstance(error, FloatingPointError):
            return "nan"
        text = f"{type(error).__name__}: {error}"
        if known := next((kind for said, kind in SAID.items() if said in text), None):
            return known
        if error.__cause__ is None:
            return "user"
        error = error.__cause__
    return "user"


def failure(kind: FailureKind, error: BaseException) -> Failure:
    """Return a failure with one line and the end of the traceback, without secrets."""
    where = "".join(f" ({text})" for text in getattr(error, "__notes__", []))
    message = f"{type(error).__name__}: {str(error).strip()}"
    text = "".join(traceback.format_exception(error))
    # cut twice: to look for secrets takes time, and what was cut in half would not be found
    line = mask(message[:10_000])[:1000] + where
    return Failure(kind, line, mask(text[-2 * TRACEBACK :])[-TRACEBACK:])


def make_job(spec: JobSpec, line: Line) -> tuple[Job, Plugins]:
    """Build the job of a spec, complete before any plugin sees it."""
    study = spec.study
    settings = settle(study, spec.params)
    kinds = plugins.kinds_of(study.plugins, spec.here)
    loaded = Plugins(kinds, settings.plugins)
    named = {*study.objectives, *study.constraints}
    workshop = Lightning(study, settings, loaded, frozenset(named & set(costs.NAMES)))
    job = Job(
        study=study,
        params=spec.params,
        seed=spec.seed,
        device="cuda" if spec.devices else "cpu",
        folder=spec.folder,
        shared=spec.shared,
        model=None,
        data=None,
        trainer=dict(settings.trainer),
        line=line,
        workshop=workshop,
    )
    job.model, job.data = workshop.model(job, {}), workshop.data(job, {})
    return job, loaded


def trial(spec: JobSpec, line: Line) -> Outcome:
    """Go through the stages of a trial."""
    clock = Clock(spec.folder, silent=crew()[0] > 0)
    clock.mark("core.build")
    job, loaded = make_job(spec, line)
    loaded.told = clock.mark
    for _ in loaded.call("build", job=job):
        pass
    if not loaded.implement("refine"):  # which may change what the model costs
        workshop = cast(Lightning, job.workshop)
        if known := workshop.costs(job, job.model, costs.STATIC):
            line.report(0, known)
    began = time.monotonic()
    train(job, loaded)
    job.logged.setdefault("train_seconds", time.monotonic() - began)
    if job.stopped:
        return Outcome("stopped", metrics=job.metrics)
    points = tuple(refine(job, loaded))
    if job.stopped:
        return Outcome("stopped", metrics=job.metrics)
    clock.mark("core.measure")
    measured = measure(job, loaded)
    clock.mark(END)
    if lost := missing(job, measured):
        raise AutomlError(lost)
    if bad := next((n for n in needed(job) if not math.isfinite(measured[n])), None):
        raise NotFiniteError(f"{bad} is {measured[bad]}")
    init_args = settle(spec.study, spec.params).model
    saved = save_model(job.model, job.folder / MODEL, init_args)
    return Outcome("done", measured, points, artifact=MODEL if saved else None)


def train(job: Job, loaded: Plugins) -> None:
    """Let the first plugin that wants to train the model; else fit it once."""
    for one, answer in loaded.call("train", job=job):
        if answer not in {None, True, False}:
            raise one.kind.blame(f"must return True or None from train, got {answer!r}")
        if answer:
            return
    loaded.told("core.train", "")
    job.fit()


def refine(job: Job, loaded: Plugins) -> Iterator[Point]:
    """Collect the further points of every plugin."""
    for one, answer in loaded.call("refine", job=job):
        if answer is None:
            continue
        if not isinstance(answer, Iterable):
            raise one.kind.blame(f"must yield points from refine, got {answer!r}")
        iterator = iter(answer)
        while (point := advance(iterator, one)) is not None:
            if not isinstance(point, Point):
                raise one.kind.blame(f"must yield points from refine, got {point!r}")
            yield point


def advance(iterator: Iterator[Any], one: plugins.Loaded) -> Any:
    """Return the next point of a plugin, or None at the end; blame it for what it raises."""
    try:
        return next(iterator, None)
    except BaseException as error:
        note(error, one, "refine")
        raise


def measure(job: Job, loaded: Plugins) -> dict[str, float]:
    """Return the metrics of the trial's own point.

    What training logged last still holds unless a plugin may have changed the model since.
    """
    if loaded.implement("refine"):
        return job.metrics | job.measure() | job.logged
    metrics = dict(job.metrics)
    metrics |= cast(Lightning, job.workshop).costs(job, job.model)
    for one, found in loaded.call("measure", job=job):
        if not isinstance(found, Mapping):
            raise one.kind.blame(f"must return metrics by name from measure, got {found!r}")
        metrics |= {name: number(value, name, one) for name, value in found.items()}
    return metrics | job.logged


def needed(job: Job) -> list[str]:
    """Return the metrics that the study cannot do without."""
    return [
        *job.study.objectives,
        *(n for n in job.study.constraints if n not in job.study.objectives),
    ]


def missing(job: Job, measured: Mapping[str, float]) -> str:
    """Say which metric of the study nothing gives, and what there is."""
    lost = [name for name in needed(job) if name not in measured]
    if not lost:
        return ""
    there = ", ".join(sorted(measured)) or "nothing"
    near = did_you_mean(lost[0], measured)
    return f"objectives: no metric {lost[0]!r} was logged or measured{near}; there are: {there}"


def prepare(spec: JobSpec, line: Line) -> Outcome:
    """Let every plugin make what the trials share."""
    clock = Clock(spec.folder, silent=crew()[0] > 0)
    job, loaded = make_job(spec, line)
    loaded.told = clock.mark
    for _ in loaded.call("prepare", job=job):
        pass
    clock.mark(END)
    return Outcome("stopped" if job.stopped else "done")


def task(spec: JobSpec, line: Line) -> Outcome:
    """Run one item of a map and keep its result."""
    if spec.task is None:
        raise PluginError(f"job {spec.key} has no task")
    job, _ = make_job(spec, line)
    name, item, path = spec.task
    module, _, qualified = name.partition(":")
    function: Any = importlib.import_module(module)
    for part in qualified.split("."):
        function = getattr(function, part)
    result = function(job, item)
    if job.stopped:
        return Outcome("stopped")
    write_with(path, lambda temporary: torch.save(result, temporary))
    return Outcome("done")


def inspect(spec: JobSpec, line: Line) -> Outcome:
    """Find what keeps the model and the data from being built, and their defaults.

    The result is `{"problems": [(path, message)], "defaults": {dotted path: value}}`.
    """
    del line
    study = spec.study
    settings = settle(study, spec.params)
    parts = {"model": (study.model, settings.model)}
    if study.data is not None:
        parts["data"] = (study.data, settings.data)
    found = list(trainer_problems(settings.trainer, study.resources))
    defaults: dict[str, Any] = {}
    for head, (component, init_args) in parts.items():
        there = [((head, *path), text) for path, text in problems(component.class_path, init_args)]
        found += there
        if any(path[1] == "class_path" for path, _ in there):
            continue
        known, _ = arguments(find_class(component.class_path))
        defaults |= {
            f"{head}.{name}": argument.default
            for name, argument in known.items()
            if isinstance(argument.default, bool | int | float | str)
        }
    return Outcome("done", result={"problems": found, "defaults": defaults})


def trainer_problems(
    given: Mapping[str, Any], resources: Resources
) -> Iterator[tuple[tuple[str, ...], str]]:
    """Say which of a study's Trainer arguments there are not, or which the engine sets."""
    known, _ = arguments(find_class(TRAINER))
    ours = ranks.taken(resources, given)
    for name in given:
        if name in ours:
            text = f"{name} is set by the engine; say what a trial needs in resources"
            yield ("trainer", name), text
        elif name not in known:
            near = did_you_mean_or_known(name, known)
            yield ("trainer", name), f"the Trainer takes no {name!r}{near}"


def smoke(spec: JobSpec, line: Line) -> Outcome:
    """Build the job and train and validate on one batch, to see whether a trial could run."""
    job, loaded = make_job(spec, line)
    for _ in loaded.call("build", job=job):
        pass
    previews = [
        (one.kind.name, section)
        for one, found in loaded.call("preview", job=job)
        for section in found or ()
    ]
    began = time.monotonic()
    job.fit(phase="smoke", fast_dev_run=True)
    step = time.monotonic() - began
    lost = missing(job, measure(replace(job), loaded) | {"train_seconds": step})
    result = {"seconds": step, "missing": lost, "previews": previews}
    return Outcome("done", metrics=job.metrics, result=result)
