"""A preparation in progress: what its steps have in common."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from automl import Job, PluginError, Study
from automl_nas.notes import Training
from automl_nas.options import NasOptions
from automl_nas.region import Region, whole
from automl_nas.supernets import Task
from automl_nas.tree import Path

NO_QUALITY = ("parameters", "macs", "size_mb", "latency_ms", "peak_memory_mb", "train_seconds")


@dataclass(frozen=True, slots=True)
class Aim:
    """The objective that is estimated: its name, and 1 if it is maximized, -1 if minimized."""

    metric: str
    sign: int


@dataclass
class Work:
    """A preparation in progress.

    Attributes:
        job: of the preparation.
        options: of the plugin.
        aim: what is estimated.
        seconds: that each step took.
        files: of the weights of inner nodes, below the shared folder.
    """

    job: Job
    options: NasOptions
    aim: Aim
    seconds: dict[str, float] = field(default_factory=dict)
    files: dict[Path, str] = field(default_factory=dict)

    @property
    def seed(self) -> int:
        """The study's seed, from which every other derives."""
        return self.job.study.search.seed

    @property
    def root(self) -> Region:
        """The whole space."""
        return whole(self.options.space)

    def task(self, role: str, region: Region | None = None, **more: Any) -> Task:
        """Return a piece of work; its random numbers depend on its role."""
        return Task(self.options, region or self.root, self.root, self.seed, role, **more)

    def learned(self, one: Training) -> bool:
        """Say whether a training did not diverge."""
        return math.isfinite(one.metrics.get(self.aim.metric, math.nan))

    def value(self, one: Training) -> float:
        """Return the truth of a training, larger is better."""
        return self.aim.sign * one.metrics[self.aim.metric]

    def map(self, function: Any, tasks: Sequence[Task], key: str) -> list[Any]:
        """Run tasks on all devices, and note how long that took."""
        began = time.monotonic()
        results = self.job.map(function, list(tasks), folder_of(key))
        self.seconds[key] = time.monotonic() - began
        return results


def folder_of(key: str) -> str:
    """Return the folder of a step's results below the shared one."""
    return f"nas_{key}"


def file_of(key: str, index: int) -> str:
    """Return the file of one result below the shared folder."""
    return f"{folder_of(key)}/{index}.pt"


def aim_of(study: Study, options: NasOptions) -> Aim:
    """Return the objective that is estimated.

    Raises:
        PluginError: there is none of that name, or none that is learned.
    """
    known = ", ".join(study.objectives)
    learned = [name for name in study.objectives if name not in NO_QUALITY]
    name = options.metric or next(iter(learned), "")
    if not name:
        raise PluginError(f"nas: every objective is a cost ({known}); add one that is learned")
    if name not in study.objectives:
        raise PluginError(f"nas: no objective {name!r} to estimate; set `metric` to one of {known}")
    return Aim(name, 1 if study.objectives[name].goal == "maximize" else -1)
