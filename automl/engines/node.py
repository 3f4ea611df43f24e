"""One node of a cluster: a local engine in an actor, and the line between it and the driver."""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import wait
from pathlib import Path
from queue import SimpleQueue
from typing import Literal

from automl.devices import Lent
from automl.engines.child import LOG
from automl.engines.cluster import mark, versions
from automl.engines.freight import Piece, pieces, put
from automl.engines.local import LocalEngine, kill_group
from automl.events import Ended, Event
from automl.job import JobSpec
from automl.study import Resources

LOOK = 0.5  # seconds after which jobs are looked at though nobody has said anything
Command = Callable[[], object]


class Node:
    """Runs jobs on one node for a driver that may be elsewhere.

    `events` is called over and over from one thread and does all the work; `submit` and `tell`
    only leave word for it, from another thread, and wake it up.

    Args:
        resources: what one job needs.
        classes: what jobs import.
    """

    def __init__(self, resources: Resources, classes: Sequence[str]) -> None:
        self.lent = Lent()
        self.engine = LocalEngine(resources, classes, self.lent)
        self.said: list[Event] = []
        self.inbox: SimpleQueue[Command] = SimpleQueue()
        self.bell, self.button = os.pipe()
        os.set_blocking(self.bell, False)
        self.alone = False  # whether no disk is shared with the driver
        self.logged: dict[Path, int] = {}  # bytes of each job's log that the driver has

    def introduce(self) -> dict[str, str]:
        """Return what must be alike on all nodes."""
        return versions()

    def meet(self, here: Path, code: str, token: Path) -> str:
        """Find out whether the driver's disk is seen here too.

        Args:
            here: the folder of the study file.
            code: the mark of the modules there.
            token: a file that the driver has just written into the study's folder.

        Returns:
            `shared`, `alone` if jobs' files must travel, or what is wrong.
        """
        self.alone = not token.exists()
        if not here.is_dir():
            return f"there is no folder {here}; copy the study's folder there, to the same path"
        if self.alone and mark(here.glob("*.py")) != code:
            return f"the modules in {here} are not the driver's; copy them to every node"
        return "alone" if self.alone else "shared"

    def submit(self, spec: JobSpec, gpus: Sequence[str]) -> None:
        """Have a job started on GPUs that Ray gave it."""
        self._leave(lambda: self._submit(spec, gpus))

    def tell(self, key: str, word: Literal["stop", "mapped", "kill"]) -> None:
        """Pass on a word to a job."""
        self._leave(lambda: self.engine.tell(key, word))

    def close(self) -> None:
        """Kill what runs."""
        for one in list(self.engine.running.values()):
            kill_group(one.process.pid)

    def _leave(self, command: Command) -> None:
        self.inbox.put(command)
        os.write(self.button, b"!")

    def _submit(self, spec: JobSpec, gpus: Sequence[str]) -> None:
        self.lent.given[spec.key] = tuple(index_of(one) for one in gpus)
        if self.alone:
            log = spec.folder / LOG
            self.logged[log] = log.stat().st_size if log.exists() else 0
        self.engine.submit(spec)

    def events(self, patience: float) -> tuple[list[Event], list[Piece]]:
        """Return what jobs have said, and what they have printed if no disk is shared.

        Waits for it, but not longer than `patience` seconds.
        """
        printed: list[Piece] = []
        for _ in range(max(1, int(patience / LOOK))):
            wait([self.bell, *self.engine.sources()], LOOK)
            self._obey()
            self.engine.poll(self.said.append, 0)
            printed = [*self._printed()]
            if self.said or printed:
                break
        said, self.said = self.said, []
        for event in said:
            if isinstance(event, Ended):
                self.logged.pop(event.spec.folder / LOG, None)
        return said, printed

    def _obey(self) -> None:
        with suppress(BlockingIOError):
            os.read(self.bell, 4096)
        while not self.inbox.empty():
            self.inbox.get()()

    def _printed(self) -> Iterator[Piece]:
        for path, known in self.logged.items():
            if path.exists() and path.stat().st_size > known:
                piece = next(pieces(path, known))
                self.logged[path] = known + len(piece.data)
                yield piece

    def put(self, piece: Piece) -> None:
        """Write a part of a file of the driver's."""
        put(piece)

    def pieces(self, path: Path) -> Iterator[Piece]:
        """Yield what a job has left in its folder."""
        yield from pieces(path)

    def remove(self, folder: Path) -> None:
        """Forget what a job has left, now that the driver has it."""
        shutil.rmtree(folder, ignore_errors=True)


def index_of(gpu: str) -> int:
    """Return the index of a GPU that Ray names, which is its place if the node names its GPUs."""
    if gpu.isdigit():
        return int(gpu)
    named = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    return [one.strip() for one in named].index(gpu)
