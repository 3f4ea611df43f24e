"""A running study's folder kept equal to its URL, without the search ever waiting for that."""

import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from automl.mirror import DRIVER, Mirror, reachable, unreachable

log = logging.getLogger("automl")
PERIOD = 10.0  # seconds between two copies to the URL


@contextmanager
def mirrored(url: str | None, home: Path, *, shared: bool) -> Iterator[Callable[[], None]]:
    """Keep a study's folder equal to its URL for as long as the study runs here.

    Args:
        url: of the study's folder; None: it is on a disk, and there is nothing to do.
        home: the working copy.
        shared: whether other drivers work on the study, each with what it needs of the folder.

    Yields:
        What is to be called often while the study runs.

    Raises:
        StorageError: another driver writes there, or in the end the URL could not be written.
    """
    if url is None:
        yield lambda: None
        return
    mirror = Mirror(url, home)
    with reachable(mirror):
        if not shared:
            mirror.refuse_second()
        mirror.pull(but="trials/" if shared else "\n")
        mirror.sign()
    pusher = Pusher(mirror)
    try:
        yield pusher.beat
    finally:
        pusher.close()


class Pusher:
    """Copies to the URL in a thread of its own, so that the search never waits for it."""

    def __init__(self, mirror: Mirror) -> None:
        self.mirror = mirror
        self.pool = ThreadPoolExecutor(1)
        self.last: Future[None] | None = None
        self.when = time.monotonic()
        self.failed = False

    def beat(self) -> None:
        """Copy what has changed, now and then; a URL that fails is tried again, and said once."""
        busy = self.last is not None and not self.last.done()
        if busy or time.monotonic() - self.when < PERIOD:
            return
        error = self.last.exception() if self.last is not None else None
        if error is not None and not self.failed:
            self.failed = True
            log.warning("%s", unreachable(self.mirror, error))
        self.when = time.monotonic()
        self.last = self.pool.submit(self.copy)

    def copy(self) -> None:
        """Copy what has changed, and give a sign."""
        self.mirror.push()
        self.mirror.sign()

    def close(self) -> None:
        """Copy for the last time.

        Raises:
            StorageError: that failed; the working copy has everything.
        """
        last = self.pool.submit(self.mirror.push)
        error = last.exception()
        self.pool.shutdown()
        if error is not None:
            raise unreachable(self.mirror, error)
        driver = f"{self.mirror.root}/{DRIVER}"
        if self.mirror.files.exists(driver):
            self.mirror.files.rm_file(driver)
