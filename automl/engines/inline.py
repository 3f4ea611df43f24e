"""Runs jobs in the driver's own process, one after another, where a debugger can follow."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import Any, Literal

from automl.events import Ended, Event, Reported, Started
from automl.job import JobSpec

Handle = Callable[[Event], None]


class Direct:
    """The line of a job that runs in the driver: every word is heard at once."""

    def __init__(self, spec: JobSpec, handle: Handle, stops: set[str]) -> None:
        self.spec = spec
        self.handle = handle
        self.stops = stops
        self.began = time.monotonic()

    def report(self, step: float, metrics: Mapping[str, float]) -> None:
        """Tell how training goes."""
        seconds = time.monotonic() - self.began
        self.handle(Reported(self.spec, float(step), seconds, dict(metrics)))

    def stopped(self) -> bool:
        """Say whether the driver has asked the job to stop."""
        return self.spec.key in self.stops

    def map(self, function: str, items: list[Any], folder: Path) -> None:
        """Run the items here, one after another."""
        from automl import stages
        from automl.errors import AutomlError
        from automl.mapping import specs

        for spec in specs(self.spec, function, tuple(items), folder):
            outcome = stages.run(spec, Direct(spec, self.handle, self.stops))
            if outcome.state not in {"done", "stopped"}:
                said = outcome.failure.message if outcome.failure else outcome.message
                raise AutomlError(f"item {spec.number} of {function} failed: {said}")


class InlineEngine:
    """One job at a time, in this process."""

    def __init__(self) -> None:
        self.waiting: list[JobSpec] = []
        self.stops: set[str] = set()

    def capacity(self) -> int:
        """Return 1 if nothing waits."""
        return 1 - len(self.waiting)

    def submit(self, spec: JobSpec) -> None:
        """Keep a job for the next poll."""
        self.waiting.append(spec)

    def poll(self, handle: Handle, timeout: float) -> None:
        """Run what waits to its end."""
        del timeout
        from automl import stages

        while self.waiting:
            spec = self.waiting[0]
            here = str(spec.here)
            if here not in sys.path:
                sys.path.insert(0, here)
            spec.folder.mkdir(parents=True, exist_ok=True)
            handle(Started(spec, 0))
            with chdir(spec.here), kept():  # where relative paths of the study begin
                outcome = stages.run(spec, Direct(spec, handle, self.stops))
            self.stops.discard(spec.key)
            self.waiting.pop(0)
            handle(Ended(spec, outcome))

    def tell(self, key: str, word: Literal["stop", "mapped", "kill"]) -> None:
        """Remember that a job is to stop; there is no process to kill."""
        if word != "mapped":
            self.stops.add(key)

    def close(self) -> None:
        """Forget what waits."""
        self.waiting.clear()


@contextmanager
def kept() -> Iterator[None]:
    """Put back what a job may have changed of this process, so that the next one begins alike."""
    import torch

    dtype, path, environ = torch.get_default_dtype(), list(sys.path), dict(os.environ)
    handlers = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        torch.set_default_dtype(dtype)
        sys.path[:] = path
        for name in set(os.environ) - set(environ):
            del os.environ[name]
        os.environ.update(environ)
        if threading.current_thread() is threading.main_thread():
            for one, handler in handlers.items():
                signal.signal(one, handler)
