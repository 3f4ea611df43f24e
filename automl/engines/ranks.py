"""The ranks of one job: processes of one group that train together and die together."""

import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from automl import ranks
from automl.engines.memory import died, oom_kills
from automl.events import Outcome
from automl.files import read_json, write_json
from automl.job import JobSpec
from automl.outcomes import from_json, to_json

HINDSIGHT = 0.5  # seconds after which it is known that a rank was killed
GRACE = 5.0  # seconds that rank 0 may take to see by itself that another rank is gone
FOREIGN = ("NODE_RANK", "GROUP_RANK", "MASTER_ADDR", "MASTER_PORT")  # of a group outside


@dataclass(frozen=True, slots=True)
class Crew:
    """The ranks of a job, as one of them sees it.

    Attributes:
        rank: of this process.
        size: how many there are.
        meeting: the file in which they find one another.
        others: the process ids of the other ranks, at rank 0.
        leash: what rank 0 holds open as long as it lives.
        kills: how many processes the kernel had killed for lack of memory at the start.
        codes: how other ranks have ended, by process id.
    """

    rank: int
    size: int
    meeting: Path
    others: tuple[int, ...] = ()
    leash: int = -1
    kills: int = 0
    codes: dict[int, int] = field(default_factory=dict)

    def join(self, *, gpus: bool) -> None:
        """Meet the other ranks; Lightning then takes the group as it is."""
        if self.size == 1:
            return
        import torch

        if gpus:
            torch.cuda.set_device(self.rank)
        torch.distributed.init_process_group(
            "nccl" if gpus else "gloo",
            init_method=self.meeting.as_uri(),
            rank=self.rank,
            world_size=self.size,
        )

    def watch(self, then: Callable[[Outcome], None]) -> None:
        """Do something when another rank has failed and this one, which waits for it, has not."""
        for pid in self.others:
            threading.Thread(target=self._wait, args=(pid, then), daemon=True).start()

    def _wait(self, pid: int, then: Callable[[Outcome], None]) -> None:
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if code:
            self.codes[pid] = code
            time.sleep(GRACE)
            then(self.reason() or Outcome("failed", failure=died(code, self.kills)))

    def blame(self, outcome: Outcome) -> Outcome:
        """Return how another rank has failed first: what that did to this one is no reason."""
        if outcome.failure is None or self.size == 1:
            return outcome
        time.sleep(HINDSIGHT)
        return self.reason() or outcome

    def reason(self) -> Outcome | None:
        """Return how the first of the other ranks has failed, if one has."""
        notes = [path for path in map(self.note, range(1, self.size)) if path.exists()]
        for path in sorted(notes, key=lambda one: one.stat().st_mtime):
            if said := read_json(path):
                return from_json(said)
        killed = [code for code in self.codes.values() if code < 0]
        return Outcome("failed", failure=died(killed[0], self.kills)) if killed else None

    def note(self, rank: int) -> Path:
        """Return the file in which a rank says how it failed."""
        return self.meeting.with_name(f".rank-{rank}{self.meeting.name[-9:]}")

    def leave(self) -> None:
        """Remove what the ranks have written for one another."""
        if self.size > 1:
            for path in (self.meeting, *map(self.note, range(1, self.size))):
                path.unlink(missing_ok=True)


def muster(spec: JobSpec) -> Crew:
    """Fork the other ranks of a job; called before there are threads."""
    size = ranks.count(spec.study.resources, spec.study.trainer)
    if size == 1 or spec.kind not in {"trial", "task"}:
        return Crew(0, 1, spec.folder)
    # named as what is not whole yet, so that it is swept if all ranks are killed
    handle, name = tempfile.mkstemp(dir=spec.folder, prefix=".ranks.")
    os.close(handle)
    os.environ |= {"LOCAL_RANK": "0", "WORLD_SIZE": str(size)}
    for key in FOREIGN:
        os.environ.pop(key, None)
    end, leash = os.pipe()
    others: list[int] = []
    for rank in range(1, size):
        pid = os.fork()
        if pid == 0:
            os.close(leash)
            os.environ["LOCAL_RANK"] = str(rank)
            threading.Thread(target=follow, args=(end,), daemon=True).start()
            return Crew(rank, size, Path(name))
        others.append(pid)
    os.close(end)
    return Crew(0, size, Path(name), tuple(others), leash, oom_kills())


def follow(end: int) -> None:
    """Die with rank 0, and with it all that is left of the group."""
    os.read(end, 1)
    os.killpg(os.getpgrp(), signal.SIGKILL)


class Silent:
    """The line of a rank that does not speak for the trial; it is stopped through rank 0."""

    def report(self, step: float, metrics: Mapping[str, float]) -> None:
        """Say nothing: rank 0 reports."""

    def stopped(self) -> bool:
        """Return that nothing was heard."""
        return False

    def map(self, function: str, items: list[Any], folder: Path) -> None:
        """Do nothing: only `prepare` maps, and has one rank."""


def serve(crew: Crew, work: Callable[[Silent], Outcome]) -> None:
    """Do what a rank other than 0 does, and end its process."""
    outcome = work(Silent())
    sys.stdout.flush()
    sys.stderr.flush()
    if outcome.state in {"failed", "broken"}:
        write_json(crew.note(crew.rank), to_json(outcome))
        os._exit(1)
    os._exit(0)
