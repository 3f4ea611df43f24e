"""How many processes train the model of one trial together, each as one rank of a group."""

from collections.abc import Mapping
from typing import Any

from automl.study import Resources

OURS = ("accelerator", "devices", "default_root_dir")  # set by the engine, not by a study


def count(resources: Resources, trainer: Mapping[str, Any]) -> int:
    """Return the number of ranks: one for each whole GPU, or what a study asks for on CPUs."""
    if resources.gpus > 1:
        return int(resources.gpus)
    asked = trainer.get("devices", 1)
    return asked if on_cpus(resources, trainer) and isinstance(asked, int) else 1


def on_cpus(resources: Resources, trainer: Mapping[str, Any]) -> bool:
    """Say whether a study trains on CPUs and says so, and with it how many ranks it wants."""
    return not resources.gpus and trainer.get("accelerator") == "cpu"


def taken(resources: Resources, trainer: Mapping[str, Any]) -> list[str]:
    """Return the Trainer arguments of a study that the engine sets, not the study."""
    may = OURS[:2] if on_cpus(resources, trainer) else ()
    return [name for name in OURS if name in trainer and name not in may]
