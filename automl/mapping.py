"""The jobs of `Job.map`: one for each item whose result is not there yet."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from automl.job import JobSpec


def specs(parent: JobSpec, function: str, items: tuple[Any, ...], folder: Path) -> list[JobSpec]:
    """Return the jobs that are still to do; an item's seed is its own."""
    todo = []
    for index, item in enumerate(items):
        result = folder / f"{index}.pt"
        if not result.exists():
            todo.append(
                replace(
                    parent,
                    kind="task",
                    number=index,
                    seed=parent.seed + 1 + index,
                    folder=folder / str(index),
                    task=(function, item, result),
                )
            )
    return todo
