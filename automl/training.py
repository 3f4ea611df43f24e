"""The workshop of a job: build, train and validate models with Lightning."""

import logging
import warnings
from collections.abc import Collection, Mapping
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from pytorch_lightning.__version__ import version
from pytorch_lightning.callbacks import Checkpoint

from automl import costs, ranks
from automl.callbacks import Reporter, Stopper, scalars
from automl.checkpoints import Checkpoints
from automl.env import resolved
from automl.errors import AutomlError
from automl.files import write_json, write_with
from automl.instantiate import build
from automl.job import Job
from automl.plugins import Plugins
from automl.saving import Saver, resumable
from automl.settings import Settings
from automl.study import Component, Study

ENDS = {"max_epochs", "max_steps", "max_time"}  # arguments of the Trainer that end a fit
QUIET: dict[str, Any] = {
    "logger": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "num_sanity_val_steps": 0,
}


class Lightning:
    """Builds a study's model and data with one trial's settings, and trains with Lightning."""

    def __init__(
        self, study: Study, settings: Settings, plugins: Plugins, measured: frozenset[str]
    ) -> None:
        self.study = study
        self.settings = settings
        self.plugins = plugins
        self.measured = measured
        for name in ("pytorch_lightning", "lightning.pytorch"):
            logging.getLogger(f"{name}.utilities.rank_zero").setLevel(logging.ERROR)

    def model(self, job: Job | None, changes: Mapping[str, Any]) -> Any:
        """Build the model; the same seed gives the same weights."""
        if job is not None:
            pl.seed_everything(job.seed, workers=True, verbose=False)
        model = made(self.study.model, {**self.settings.model, **changes})
        if "LightningModule" not in {base.__name__ for base in type(model).__mro__}:
            raise AutomlError(f"model: {self.study.model.class_path} is not a LightningModule")
        return model

    def data(self, job: Job | None, changes: Mapping[str, Any]) -> Any:
        """Build the data, or return None if the study names none."""
        del job
        if self.study.data is None:
            return None
        return made(self.study.data, {**self.settings.data, **changes})

    def fit(self, job: Job, model: Any, phase: str, options: Mapping[str, Any]) -> dict[str, float]:
        """Train, go on from a checkpoint of this phase, or load the end of it."""
        if job.stopped:
            return {}
        checkpoints = Checkpoints(job.folder / "checkpoints" / phase)
        last = resumable(checkpoints)
        if checkpoints.finished is not None and last is not None:
            state = torch.load(last, map_location="cpu", weights_only=True)
            model.load_state_dict(state["state_dict"])
            return dict(checkpoints.finished)
        trainer = self.trainer(job, model, phase, checkpoints, options)
        resume = None if last is None else str(last)
        with warnings.catch_warnings():  # our own callback goes to the place in the data
            warnings.filterwarnings("ignore", "You're resuming from a checkpoint that ended before")
            trainer.fit(model, datamodule=job.data, ckpt_path=resume, weights_only=True)
        # a fit that was killed after its last epoch has nothing left to log
        metrics = scalars(trainer.callback_metrics) or checkpoints.metrics
        if not job.stopped and not crew()[0]:
            checkpoints.finish(metrics)
        return metrics

    def trainer(
        self, job: Job, model: Any, phase: str, checkpoints: Checkpoints, options: Mapping[str, Any]
    ) -> Any:
        """Make the Trainer of a fit, with the job's callbacks and our own."""
        given = {**job.trainer, **options}
        unit = self.study.fidelity.unit if self.study.fidelity else "epoch"
        watched = frozenset(self.study.objectives) | frozenset(self.study.constraints)
        callbacks = [*job.callbacks, *options.get("callbacks", [])]
        told = Reporter(job.line, unit, watched) if phase == "train" else Stopper(job.line)
        given["callbacks"] = [*callbacks, told, Saver(checkpoints, told)]
        return tree(model, job.data).Trainer(**self.arguments(job, given))

    def arguments(self, job: Job, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return Trainer arguments: ours where the study has none.

        Raises:
            AutomlError: the study gives no end of training, or what the engine sets.
        """
        if taken := ranks.taken(self.study.resources, given):
            raise AutomlError(
                f"trainer: {taken[0]} is set by the engine; say what a trial needs in resources"
            )
        fidelity = self.study.fidelity
        arguments = QUIET | dict(given)
        if fidelity and fidelity.max and fidelity.unit in {"epoch", "step"}:
            arguments.setdefault(f"max_{fidelity.unit}s", int(fidelity.max))
        elif fidelity and fidelity.max and not ENDS & arguments.keys():
            arguments["max_time"] = {"seconds": fidelity.max}
        if not ENDS & arguments.keys():
            raise AutomlError("trainer: give max_epochs or max_steps, or training never ends")
        accelerator = "gpu" if job.device == "cuda" else "cpu"
        ours = {"accelerator": accelerator, "default_root_dir": str(job.folder)}
        # without one of its own, Lightning would add a callback that saves every epoch
        saves = any(isinstance(one, Checkpoint) for one in given.get("callbacks", ()))
        return arguments | ours | together(given) | {"enable_checkpointing": saves}

    def validate(self, job: Job, model: Any) -> dict[str, float]:
        """Run the validation loop once; a model without one has no metrics."""
        if not validates(model):
            return {}
        endless = {"max_epochs": -1, **job.trainer, "callbacks": list(job.callbacks)}
        trainer = tree(model, job.data).Trainer(**self.arguments(job, endless))
        results = trainer.validate(model, datamodule=job.data, verbose=False)
        return scalars({name: value for one in results for name, value in one.items()})

    def measure(self, job: Job, model: Any) -> dict[str, float]:
        """Validate a model, measure the costs that the study names, and ask the plugins."""
        was, job.model = job.model, model
        try:
            metrics = self.validate(job, model) | self.costs(job, model)
            for _, found in self.plugins.call("measure", job=job):
                metrics |= scalars(found)
        finally:
            job.model = was
        return metrics

    def costs(self, job: Job, model: Any, among: Collection[str] = costs.NAMES) -> dict[str, float]:
        """Measure the costs that the study names, or those of them that are among these."""
        names = sorted(self.measured & set(among))
        if not names:
            return {}
        found = costs.measure(model, example(model, job.data), names, job.device)
        if found.latency is not None and not crew()[0]:  # under which circumstances it was measured
            write_json(job.folder / "latency.json", asdict(found.latency))
        return dict(found.values)

    def results(self, folder: Path, count: int) -> list[Any]:
        """Read the results of a map."""
        return [torch.load(folder / f"{index}.pt", weights_only=True) for index in range(count)]


def made(component: Component, init_args: Mapping[str, Any]) -> Any:
    """Build a component of the study; secrets are filled in here and stored nowhere."""
    return build(component.class_path, resolved(dict(init_args)))


def tree(model: Any, data: Any) -> ModuleType:
    """Return the Lightning that a model was written for; there are two trees of classes.

    Raises:
        AutomlError: the data module was written for the other one.
    """
    mine, theirs = lightning_name(model), lightning_name(data)
    if data is not None and mine != theirs:
        raise AutomlError(
            f"the model is written for {mine}, the data for {theirs}; use one of them"
        )
    if mine == "lightning.pytorch":
        import lightning.pytorch as other  # type: ignore[import-not-found,unused-ignore]

        return other  # type: ignore[no-any-return,unused-ignore]
    return pl


def crew() -> tuple[int, int]:
    """Return the rank of this process, and how many there are."""
    group = torch.distributed
    if not (group.is_available() and group.is_initialized()):
        return 0, 1
    return group.get_rank(), group.get_world_size()


def together(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the Trainer arguments by which the ranks of a job find one another."""
    size = crew()[1]
    if size == 1:  # also in a trial step of a study whose trials have several
        alone = str(given.get("strategy", "")).startswith("ddp")
        return {"devices": 1} | ({"strategy": "auto"} if alone else {})
    more = given.get("plugins") or []
    # the ranks are there already, whatever a cluster's variables say
    others = more if isinstance(more, list) else [more]
    return {"devices": size, "plugins": [*others, LightningEnvironment()]}


def validates(model: Any) -> bool:
    """Say whether a model has a validation loop of its own."""
    step = getattr(type(model), "validation_step", None)
    return step is not None and not step.__module__.endswith("core.module")


def lightning_name(thing: Any) -> str:
    """Return `lightning.pytorch` or `pytorch_lightning`, by the bases of a model or data module."""
    modules = [base.__module__ for base in type(thing).__mro__]
    other = any(name.startswith("lightning.pytorch") for name in modules)
    return "lightning.pytorch" if other else "pytorch_lightning"


def example(model: Any, data: Any) -> Any:
    """Return an input of the model: its `example_input_array`, or one sample of the first batch."""
    given = getattr(model, "example_input_array", None)
    if given is not None:
        return given
    source = model if data is None else data
    if data is not None:
        data.setup("validate")
    loader = source.val_dataloader()
    batch = next(iter(loader[0] if isinstance(loader, list) else loader))
    return one_sample(batch[0] if isinstance(batch, list | tuple) else batch)


def one_sample(inputs: Any) -> Any:
    """Return the first sample of a batch, as a batch of one."""
    if isinstance(inputs, torch.Tensor):
        return inputs[:1]
    if isinstance(inputs, Mapping):
        return {name: one_sample(value) for name, value in inputs.items()}
    return inputs


def save_model(model: Any, path: Path, init_args: Mapping[str, Any]) -> bool:
    """Write the weights so that `type(model).load_from_checkpoint(path)` reads them.

    A model without any has nothing to save: the answer is False.
    """
    weights = model.state_dict()
    plain = (bool, int, float, str, type(None))
    content = {
        "state_dict": weights,
        "hyper_parameters": {k: v for k, v in init_args.items() if isinstance(v, plain)},
        "pytorch-lightning_version": version,
    }
    if weights and not crew()[0]:
        write_with(path, lambda temporary: torch.save(content, temporary))
    return bool(weights)
