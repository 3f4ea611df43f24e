"""A node of a Ray cluster as the driver sees it."""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from automl.engines.cluster import QUIET, mark
from automl.engines.freight import Known, Piece
from automl.engines.node import Node
from automl.job import JobSpec
from automl.study import Resources

LISTEN = 5.0  # seconds that a node keeps a question for news open
GREET = 60.0  # seconds that a node may take to look for the study's folder


@dataclass(eq=False)
class Remote:
    """A node: its actor, the question that it has open, and the jobs that it runs.

    Attributes:
        id: Ray's name of the node.
        host: ours.
        ask: what the actor's next answer will come as.
        ready: whether it has introduced itself.
        met: whether it has been asked for the study's folder.
        known: the files that it has, if it shares no disk with the driver.
    """

    ray: Any
    id: str
    host: str
    actor: Any
    ask: Any
    ready: bool = False
    met: bool = False
    known: Known | None = None
    running: dict[str, JobSpec] = field(default_factory=dict)

    def listen(self) -> None:
        """Ask for news."""
        self.ask = self.actor.events.options(concurrency_group="listen").remote(LISTEN)

    def meet(self, spec: JobSpec) -> str:
        """Find out whether the node sees the study's folder; returns what is wrong, if anything.

        Raises:
            RayError: the node is gone, or does not answer.
        """
        home = spec.shared.parent
        home.mkdir(parents=True, exist_ok=True)
        token = home / f".disk-{uuid4().hex}"
        token.touch()
        try:
            code = mark(spec.here.glob("*.py"))
            said = self.ray.get(self.actor.meet.remote(spec.here, code, token), timeout=GREET)
        finally:
            token.unlink()
        self.met = True
        self.known = Known() if said == "alone" else None
        return "" if said in {"alone", "shared"} else f"node {self.host}: {said}"

    def send(self, *paths: Path) -> None:
        """Take files there, if the node does not see them anyway.

        Raises:
            RayError: the node is gone.
        """
        if self.known is not None:
            for path in paths:
                self.known.send(path, self._put)

    def _put(self, piece: Piece) -> None:
        self.ray.get(self.actor.put.options(concurrency_group="files").remote(piece))

    def fetch(self, *paths: Path) -> None:
        """Bring files here, if the node has them on a disk of its own.

        Raises:
            RayError: the node is gone.
        """
        if self.known is None:
            return
        pieces = self.actor.pieces.options(concurrency_group="files", num_returns="streaming")
        for path in paths:
            self.known.fetch(self.ray.get(piece) for piece in pieces.remote(path))

    def remove(self, folder: Path) -> None:
        """Remove a folder there that has been brought here."""
        if self.known is not None:
            self.known.forget(folder)
            self.actor.remove.options(concurrency_group="files").remote(folder)


def start(ray: Any, node: str, host: str, resources: Resources, classes: Sequence[str]) -> Remote:
    """Put an actor on a node, which takes nothing of it: jobs have bundles of their own."""
    strategy = importlib.import_module("ray.util.scheduling_strategies")
    actor = (
        ray.remote(num_cpus=0, max_restarts=0, concurrency_groups={"listen": 1, "files": 1})(Node)
        .options(
            scheduling_strategy=strategy.NodeAffinitySchedulingStrategy(node, soft=False),
            runtime_env={"env_vars": QUIET},
        )
        .remote(resources, classes)
    )
    return Remote(ray, node, host, actor, actor.introduce.remote())


def belongings(spec: JobSpec) -> tuple[Path, ...]:
    """Return the files and folders that a job writes."""
    return (spec.folder, *([spec.task[2]] if spec.task else []))
