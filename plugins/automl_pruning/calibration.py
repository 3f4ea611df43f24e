"""The calibration samples: drawn once from the training data, and frozen."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from automl import Job, PluginError
from automl_pruning.forward import Inputs, inputs_of, samples, stack
from automl_pruning.options import NAME, Options

FILE = "calibration.pt"


def calibration(job: Job, options: Options, home: Path) -> Inputs:
    """Return the calibration inputs, drawn once from the training data and kept.

    Raises:
        PluginError: there is no training data to draw from.
    """
    for folder in (home, job.shared / NAME):
        if (folder / FILE).exists():
            kept: Inputs = torch.load(folder / FILE, weights_only=True)
            return kept
    batches: list[Inputs] = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(job.seed)
        for batch in training_batches(job):
            batches.append(inputs_of(batch))
            if sum(map(samples, batches)) >= options.calibration:
                break
    if not batches:
        raise PluginError(f"plugin {NAME}: the training data has no batch to calibrate with")
    inputs = stack(batches, options.calibration)
    home.mkdir(parents=True, exist_ok=True)
    partial = home / f".{FILE}.partial"
    torch.save(inputs, partial)
    partial.replace(home / FILE)
    return inputs


def training_batches(job: Job) -> Iterable[Any]:
    """Return the batches of the first training loader."""
    source = job.model if job.data is None else job.data
    if job.data is not None:
        job.data.prepare_data()
        job.data.setup("fit")
    loader: Any = source.train_dataloader()
    while isinstance(loader, list | tuple | dict):
        loader = next(iter(loader.values() if isinstance(loader, dict) else loader))
    batches: Iterable[Any] = loader
    return batches
