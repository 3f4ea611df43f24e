"""Tasks of the preparation, each in a process of its own: train, probe, estimate, train alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import nn

from automl import Job, PluginError
from automl.callbacks import NotFiniteError
from automl_nas.backbone import build, edges_missing, stand_alone, supernet
from automl_nas.choices import choose, fix
from automl_nas.data import batches_of, training_loader, weights_only
from automl_nas.gradients import Probe, contribution_grams, gradient_grams
from automl_nas.options import NasOptions
from automl_nas.paths import Paths, seed_of
from automl_nas.region import Region
from automl_nas.space import Architecture, Own, Space, named
from automl_nas.steps import moved, training_loss, validated
from automl_nas.tree import undecided


@dataclass(frozen=True, slots=True)
class Task:
    """One piece of work on a supernet.

    Attributes:
        options: of the plugin.
        region: of the supernet.
        root: the whole space.
        seed: of the study.
        role: names the piece of work; its random numbers derive from it.
        budget: training, in stand-alone trainings.
        start: a file with the weights to start from, below the shared folder; fresh ones if empty.
        architectures: what is to be estimated or trained.
    """

    options: NasOptions
    region: Region
    root: Region
    seed: int
    role: str
    budget: float = 1.0
    start: str = ""
    architectures: tuple[Architecture, ...] = ()


class SetPath(pl.Callback):
    """Choose the path of a supernet before each training batch."""

    def __init__(self, space: Space, paths: Paths) -> None:
        self.space = space
        self.paths = paths

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Take the path of this step: the same one on every rank, and after a resume."""
        del batch, batch_idx
        choose(pl_module, named(self.space, self.paths[trainer.global_step]))


def with_network(job: Job, options: NasOptions, network: nn.Module) -> Any:
    """Return the job's model with a network in the place that the options name."""
    module = job.model
    if not isinstance(getattr(module, options.attribute, None), nn.Module):
        children = ", ".join(name for name, _ in module.named_children()) or "none"
        raise PluginError(
            f"nas: the model has no part {options.attribute!r} to put a network in; "
            f"name one with the option `attribute`: {children}"
        )
    setattr(module, options.attribute, network)
    return module


def open_supernet(job: Job, options: NasOptions, seed: int) -> Any:
    """Return the job's model with every choice open and fresh weights."""
    torch.manual_seed(seed % 2**63)
    if isinstance(options.space, Own):
        module = supernet(job.model)
    else:
        module = with_network(job, options, supernet(build(options.space)))
    if wrong := edges_missing(options.space, module):
        raise PluginError(f"nas: the space and the model differ: {'; '.join(wrong)}")
    return module


def open_alone(job: Job, options: NasOptions, architecture: Architecture) -> Any:
    """Return the job's model with the network of one architecture and fresh weights."""
    if not isinstance(options.space, Own):
        return with_network(job, options, stand_alone(options.space, architecture))
    if wrong := edges_missing(options.space, job.model):
        raise PluginError(f"nas: the space and the model differ: {'; '.join(wrong)}")
    return fix(job.model, named(options.space, architecture))


def lengths(trainer: Mapping[str, Any], budget: float) -> dict[str, int]:
    """Return the Trainer arguments that make a training so many times as long."""
    given = {name: trainer.get(name) for name in ("max_epochs", "max_steps")}
    return {
        name: max(1, round(value * budget))
        for name, value in given.items()
        if isinstance(value, int) and value > 0
    }


def train_supernet(job: Job, task: Task) -> dict[str, Any]:
    """Train a supernet on random paths of its region: its weights, and whether they are finite."""
    module = trained(job, task)
    state = {name: value.cpu() for name, value in module.state_dict().items()}
    finite = all(bool(torch.isfinite(v).all()) for v in state.values() if v.is_floating_point())
    return {"state": state, "finite": finite}


def trained(job: Job, task: Task) -> Any:
    """Return a supernet that was trained, gone on with or loaded."""
    options = task.options
    module = open_supernet(job, options, seed_of(task.seed, task.role, "weights"))
    if task.start:
        module.load_state_dict(loaded(job.shared / task.start)["state"])
    paths = Paths(task.region, options.sampler, seed_of(task.seed, task.role, "paths"))
    weights_only(job.data, options.score_share, task.seed)
    job.fit(
        module,
        phase="supernet",
        callbacks=[SetPath(options.space, paths)],
        limit_val_batches=0,
        **lengths(job.trainer, task.budget),
    )
    return module


def probe_supernet(job: Job, task: Task) -> dict[str, Any]:
    """Train a supernet a little and compare the operations of each edge that is not split yet.

    Returns:
        Its weights, and (M, K, K) inner products by index of the edge.
    """
    module = trained(job, task).to(job.device)
    options = task.options
    loader = training_loader(job.data)
    batches = []
    for _, batch in zip(range(options.batches), loader, strict=False):
        batches.append(moved(batch, torch.device(job.device)))
    seed = seed_of(task.seed, task.role, "probe")
    probe = Probe(module, options.space, batches, lambda b: training_loss(module, b), seed)
    edges = undecided(task.region, task.root)
    if options.criterion == "contribution":
        found = contribution_grams(probe, task.region)
        grams = {edge: found[edge] for edge in edges if edge in found}
    else:
        grams = {edge: gradient_grams(probe, task.region, edge) for edge in edges}
    state = {name: value.cpu() for name, value in module.state_dict().items()}
    return {"state": state, "grams": {e: torch.from_numpy(g) for e, g in grams.items()}}


def estimate_some(job: Job, task: Task) -> list[dict[str, float]]:
    """Validate architectures with a supernet's weights on the data kept for estimates."""
    options = task.options
    module = open_supernet(job, options, 0)
    module.load_state_dict(loaded(job.shared / task.start)["state"])
    module.to(job.device)
    batches, large = batches_of(job.data, options.score_share, task.seed, job.device)
    found = []
    for architecture in task.architectures:
        choose(module, named(options.space, architecture))
        found.append(validated(module, batches, large))
    return found


def train_alone(job: Job, task: Task) -> dict[str, Any]:
    """Train one architecture by itself as a trial would: its metrics and weights.

    One that diverges has no metrics; the study goes on without it.
    """
    torch.manual_seed(seed_of(task.seed, task.role) % 2**63)
    module = open_alone(job, task.options, task.architectures[0])
    job.model = module
    try:
        job.fit(module, phase="alone")
        metrics = {} if job.stopped else job.metrics | job.measure(module)
    except NotFiniteError:
        metrics = {}
    return {"metrics": metrics, "state": {n: v.cpu() for n, v in module.state_dict().items()}}


def loaded(path: Path) -> Any:
    """Read the result of a task."""
    return torch.load(path, map_location="cpu", weights_only=True)
