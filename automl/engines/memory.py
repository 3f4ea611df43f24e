"""How much memory the processes of a job use, and what one has died of: perhaps lack of it."""

import signal
from contextlib import suppress
from pathlib import Path

import psutil

from automl.history import Failure

# version 2 of control groups, version 1, and the whole machine; any may be the only one that
# counts, as the last is for a group within a group that has the limit
COUNTS = (
    Path("/sys/fs/cgroup/memory.events"),
    Path("/sys/fs/cgroup/memory/memory.oom_control"),
    Path("/proc/vmstat"),
)
UNKNOWN = 255  # what multiprocessing says when nobody could wait for a process


def used(pid: int, limit: int) -> int:
    """Return the bytes that a process and its descendants use, exactly only above `limit`.

    Resident memory counts pages twice that a process shares with the one it was forked from, so
    where it is above the limit each page is shared out among those who have it.
    """
    every = []
    with suppress(psutil.Error):
        parent = psutil.Process(pid)
        every = [parent, *parent.children(recursive=True)]
    rough = sum(resident(one) for one in every)
    return rough if rough <= limit else sum(proportional(one) for one in every)


def resident(process: psutil.Process) -> int:
    """Return the resident memory of a process, 0 if it is gone."""
    with suppress(psutil.Error):
        return int(process.memory_info().rss)
    return 0


def proportional(process: psutil.Process) -> int:
    """Return the memory of a process, with its share of what it shares; 0 if it is gone."""
    with suppress(psutil.Error):
        full = process.memory_full_info()
        return int(getattr(full, "pss", 0) or full.uss)
    return 0


def oom_kills() -> int:
    """Return how many processes the kernel has killed for lack of memory, as far as it tells."""
    found = 0
    for path in COUNTS:
        with suppress(OSError, ValueError):
            for line in path.read_text(encoding="ascii").splitlines():
                name, _, count = line.partition(" ")
                found += int(count) if name == "oom_kill" else 0
    return found


def died(code: int, kills: int) -> Failure:
    """Classify the end of a process by its exit code.

    Args:
        code: as multiprocessing gives it: negative for signals.
        kills: how many processes the kernel had killed for lack of memory at its start.
    """
    if code == UNKNOWN:
        return Failure("lost", "the server that jobs are forked from was killed")
    if code == -signal.SIGKILL and oom_kills() > kills:
        return Failure("oom", "the kernel killed the process: the machine is out of memory")
    known = -code in {one.value for one in signal.Signals}
    name = signal.Signals(-code).name if known else f"exit code {code}"
    return Failure("crash", f"the process ended with {name}")
