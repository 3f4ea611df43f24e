"""The GPUs, cores and memory of this machine, found without loading torch."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

from automl.errors import AutomlError
from automl.study import Resources


def visible_gpus() -> tuple[int, ...]:
    """Return the indices of the GPUs that this process may use."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        names = [part.strip() for part in named.split(",") if part.strip()]
        numbers = all(name.isdigit() for name in names)
        return tuple(int(name) for name in names) if numbers else tuple(range(len(names)))
    program = shutil.which("nvidia-smi")
    if program is None:
        return ()
    answer = subprocess.run([program, "-L"], capture_output=True, text=True, check=False)  # noqa: S603
    lines = [line for line in answer.stdout.splitlines() if line.startswith("GPU ")]
    return tuple(range(len(lines)))


def names_of(gpus: Sequence[int], named: str | None) -> str:
    """Return what `CUDA_VISIBLE_DEVICES` is to be for a job that holds these GPUs.

    Args:
        gpus: as `visible_gpus` counts them.
        named: what the variable is for the driver, which may name GPUs by their UUIDs.
    """
    names = [part.strip() for part in (named or "").split(",") if part.strip()]
    if all(name.isdigit() for name in names):
        return ",".join(map(str, gpus))
    return ",".join(names[gpu] for gpu in gpus)


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class Slot:
    """What one running job holds: GPUs by index, each wholly or in part."""

    gpus: tuple[int, ...]
    share: float


class Slots:
    """Gives devices to jobs and takes them back; never more than there are.

    Args:
        resources: what one job needs.
        gpus: the GPUs to share out, by index.
        cpus: the cores to share out.
        memory: bytes to share out, if jobs say what they need.
    """

    def __init__(self, resources: Resources, gpus: Sequence[int], cpus: int, memory: int) -> None:
        self.resources = resources
        self.free = dict.fromkeys(gpus, 1.0)
        self.most = most(resources, len(gpus), cpus, memory)
        self.held: dict[str, Slot] = {}

    def capacity(self) -> int:
        """Return how many more jobs fit."""
        return self.most - len(self.held)

    def take(self, key: str) -> tuple[int, ...]:
        """Give devices to a job; whole GPUs for a whole number, else a share of one."""
        if self.capacity() < 1:
            raise AutomlError(f"no device is free for {key}: {self.most} jobs run already")
        need = self.resources.gpus
        if need <= 1:
            share = need
            fitting = [gpu for gpu, free in self.free.items() if free >= share - 1e-9]
            # the fullest that fits, so that whole GPUs stay whole
            gpus: tuple[int, ...] = (
                (min(fitting, key=lambda gpu: (self.free[gpu], gpu)),) if share else ()
            )
        else:
            share = 1.0
            whole = [gpu for gpu, free in self.free.items() if free >= 1.0 - 1e-9]
            gpus = tuple(sorted(whole)[: int(need)])
        for gpu in gpus:
            self.free[gpu] -= share
        self.held[key] = Slot(gpus, share)
        return gpus

    def give_back(self, key: str) -> None:
        """Take devices back from a job that has ended."""
        slot = self.held.pop(key)
        for gpu in slot.gpus:
            self.free[gpu] = min(1.0, self.free[gpu] + slot.share)


class Lent:
    """Devices that someone else gives to each job, as the scheduler of a cluster does.

    Attributes:
        given: the GPUs of jobs, by their keys.
    """

    def __init__(self) -> None:
        self.given: dict[str, tuple[int, ...]] = {}

    def capacity(self) -> int:
        """Return that a job may come at any time."""
        return 1

    def take(self, key: str) -> tuple[int, ...]:
        """Return the devices that were given to a job."""
        return self.given[key]

    def give_back(self, key: str) -> None:
        """Forget a job that has ended."""
        del self.given[key]


def most(resources: Resources, gpus: int, cpus: int, memory: int) -> int:
    """Return how many jobs run at once: the least that GPUs, cores and memory allow.

    Raises:
        AutomlError: not even one job fits.
    """
    limits = {"cpus": max(1, cpus // resources.cpus)}
    if resources.gpus > 1:
        limits["gpus"] = gpus // int(resources.gpus)
    elif resources.gpus > 0:
        limits["gpus"] = gpus * int(1 / resources.gpus + 1e-9)
    if resources.memory is not None:
        limits["memory"] = memory // resources.memory
    if none := [name for name, count in limits.items() if count < 1]:
        there = {"gpus": gpus, "memory": memory}[none[0]]
        needed = getattr(resources, none[0])
        raise AutomlError(
            f"resources.{none[0]}: a trial needs {needed}, this machine has {there}; ask for less"
        )
    if isinstance(resources.parallel, int):
        limits["cpus"] = resources.parallel  # the user knows better what the cores bear
    return min(limits.values())


def memory() -> int:
    """Return the bytes of memory that are available now."""
    return int(psutil.virtual_memory().available)
