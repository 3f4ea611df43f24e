"""Runs each job in a fresh process forked from a server that has torch loaded already."""

import multiprocessing
import multiprocessing.forkserver
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.util import get_temp_dir
from types import ModuleType
from typing import Any, Literal

from automl.devices import Lent, Slots, cores, memory, visible_gpus
from automl.engines.child import CLASSES, DRIVER, RESULT, main
from automl.engines.memory import died, oom_kills, used
from automl.errors import AutomlError
from automl.events import Ended, Event, Outcome, Started
from automl.files import read_json
from automl.history import Failure
from automl.job import JobSpec
from automl.outcomes import from_json
from automl.study import Resources

STARTS = 5  # times that a process is tried to be started
LOOK = 0.5  # seconds between two looks at the memory of jobs
GB = 1e9
LINGER = 5.0  # seconds that a process may take to exit after it has told its end
Handle = Callable[[Event], None]


@dataclass
class Running:
    """A job's process, its pipe, and what it has told of its end."""

    spec: JobSpec
    process: Any
    connection: Connection
    ended: Ended | None = None
    deadline: float = float("inf")
    silent: bool = False  # its end of the pipe is closed
    kills: int = 0  # what the kernel had killed for lack of memory when it started
    failure: Failure | None = None  # why it was killed by us


class LocalEngine:
    """As many processes at once as the machine's devices allow.

    Args:
        resources: what one job needs.
        classes: what jobs import, by class path; loaded once, before any job is forked.
        lent: gives devices to jobs; by default those of this machine are shared out.
    """

    def __init__(
        self,
        resources: Resources,
        classes: Sequence[str] = (),
        lent: Lent | None = None,
    ) -> None:
        self.slots = lent or Slots(resources, wanted_gpus(resources), cores(), memory())
        self.threads = resources.cpus
        self.limit = resources.memory
        self.looked = 0.0  # when memory was last measured
        self.running: dict[str, Running] = {}
        self.started: list[Started] = []
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(["automl.engines.preload"])
        os.environ[CLASSES] = ",".join(classes)
        os.environ[DRIVER] = f"{os.getpid()}:{get_temp_dir()}"
        with hidden_main():
            ensure_server()

    def capacity(self) -> int:
        """Return how many more jobs could start now."""
        return self.slots.capacity()

    def submit(self, spec: JobSpec) -> None:
        """Start a job's process on free devices; `prepare` shares them with what it maps."""
        spec = replace(spec, devices=self.slots.take(spec.key))
        if spec.kind == "prepare":
            self.slots.give_back(spec.key)
        kills = oom_kills()
        process, connection = self._start(spec)
        self.running[spec.key] = Running(spec, process, connection, kills=kills)
        self.started.append(Started(spec, process.pid or 0))

    def _start(self, spec: JobSpec) -> tuple[Any, Connection]:
        """Fork a process; if the server has been killed, a new one is started first."""
        for chance in range(STARTS):
            ours, theirs = self.context.Pipe()
            process = self.context.Process(
                target=main, args=(spec, theirs, self.threads), name=spec.key
            )
            try:
                with hidden_main():
                    process.start()
            except (OSError, EOFError):
                ours.close()
                if chance == STARTS - 1:
                    raise
                time.sleep(0.1)
            else:
                return process, ours
            finally:
                theirs.close()
        raise AssertionError

    def poll(self, handle: Handle, timeout: float) -> None:
        """Hand out what the processes said; a process that is gone without a word has crashed."""
        while self.started:
            handle(self.started.pop(0))
        if not self.running:
            return
        sources = self.sources()
        ready = wait(list(sources), timeout)
        for one in {id(sources[source]): sources[source] for source in ready}.values():
            for event in read(one):
                handle(event)
        self._watch_memory()
        for one in list(self.running.values()):
            self._reap(one, handle)

    def sources(self) -> dict[Any, Running]:
        """Return what becomes readable when a job has said something or has ended."""
        sources: dict[Any, Running] = {}
        for one in self.running.values():
            sources[one.process.sentinel] = one
            if one.ended is None and not one.silent:
                sources[one.connection] = one
        return sources

    def _watch_memory(self) -> None:
        """Kill a job that uses more memory than a trial may."""
        if self.limit is None or time.monotonic() - self.looked < LOOK:
            return
        self.looked = time.monotonic()
        for one in self.running.values():
            taken = used(one.process.pid, self.limit)
            if taken > self.limit:
                said = f"used {taken / GB:.3g} GB of memory, resources.memory is"
                one.failure = Failure("oom", f"{said} {self.limit / GB:.3g} GB")
                kill_group(one.process.pid)

    def _reap(self, one: Running, handle: Handle) -> None:
        late = time.monotonic() > one.deadline
        if one.process.exitcode is None and late:
            kill_group(one.process.pid)
            one.process.join()
        if one.process.exitcode is None:
            return
        for event in read(one):
            handle(event)
        kill_group(one.process.pid)  # what it may have left behind
        one.process.join()
        one.connection.close()
        del self.running[one.spec.key]
        if one.spec.kind != "prepare":
            self.slots.give_back(one.spec.key)
        handle(one.ended or Ended(one.spec, unsaid(one)))

    def tell(self, key: str, word: Literal["stop", "mapped", "kill"]) -> None:
        """Ask a job to stop, tell it that its map is done, or kill its process group."""
        one = self.running.get(key)
        if one is None:
            return
        if word == "kill":
            kill_group(one.process.pid)
            return
        with suppress(OSError):  # it may be gone by now
            one.connection.send(word)

    def close(self) -> None:
        """Kill what still runs."""
        for one in self.running.values():
            kill_group(one.process.pid)
            one.process.join()
            one.connection.close()
        self.running.clear()


def wanted_gpus(resources: Resources) -> tuple[int, ...]:
    """Return the GPUs that may be shared out: none if jobs want none."""
    return visible_gpus() if resources.gpus else ()


def read(one: Running) -> Iterator[Event]:
    """Yield what a process has said since the last time, but keep its end for when it is gone."""
    try:
        while one.ended is None and one.connection.poll():
            event = one.connection.recv()
            if isinstance(event, Ended):
                one.ended = event
                one.deadline = time.monotonic() + LINGER
            else:
                yield event
    except (EOFError, OSError):
        one.silent = True


def unsaid(one: Running) -> Outcome:
    """Say how a process ended that did not say so itself."""
    result = read_json(one.spec.folder / RESULT) if one.spec.kind == "trial" else None
    if result is not None and result.get("attempt") == one.spec.attempt:
        return from_json(result)
    return Outcome("failed", failure=one.failure or died(one.process.exitcode, one.kills))


def kill_group(pid: int | None) -> None:
    """Kill a process and all that it has started; a process that is gone is no error."""
    if pid:
        for kill in (os.killpg, os.kill):
            with suppress(ProcessLookupError, PermissionError):
                kill(pid, signal.SIGKILL)


@contextmanager
def hidden_main() -> Iterator[None]:
    """Keep new processes from running the user's script again as their own main module."""
    script = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = script


def ensure_server() -> None:
    """Start the server that jobs are forked from.

    Raises:
        AutomlError: the folder for temporary files has too long a name for a socket in it.
    """
    try:
        multiprocessing.forkserver.ensure_running()
    except OSError as error:
        if "too long" not in str(error):
            raise
        folder = tempfile.gettempdir()
        raise AutomlError(
            f"{folder}: too long a name for the socket of the trials' server; "
            "set TMPDIR to a folder with a shorter one"
        ) from error
