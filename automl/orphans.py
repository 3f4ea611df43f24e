"""Processes of jobs whose driver is gone: they say where they run, and the next driver ends them.

A job's process dies with its driver by itself. One that was stopped, as by a terminal or a
debugger, cannot; it would wake up one day and write into the folder of its successor.
"""

import json
import os
import signal
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import psutil

from automl.files import read_json
from automl.provenance import host

NAME = "process.json"
SLACK = 2.0  # seconds by which the time of a process's start may be told differently


def sign(folder: Path) -> None:
    """Write into a job's folder which process works there."""
    started = psutil.Process().create_time()
    signed = {"pid": os.getpid(), "started": started, "host": host()}
    (folder / NAME).write_text(json.dumps(signed), encoding="utf-8")


def end_orphans(folders: Iterable[Path]) -> int:
    """Kill the process groups that these folders name and that still run; returns how many."""
    return sum(end_orphan(read_json(folder / NAME)) for folder in folders)


def end_orphan(signed: object) -> bool:
    """Kill one, if the process of that number is still the one that signed."""
    if not isinstance(signed, dict) or signed.get("host") != host():
        return False
    pid = signed["pid"]
    try:
        process = psutil.Process(pid)
        same = abs(process.create_time() - signed["started"]) < SLACK
        if not same or os.getpgid(pid) != pid or process.status() == psutil.STATUS_ZOMBIE:
            return False
        os.killpg(pid, signal.SIGKILL)
    except (psutil.NoSuchProcess, ProcessLookupError, PermissionError):
        return False
    with suppress(psutil.TimeoutExpired, psutil.NoSuchProcess):
        process.wait(timeout=5)
    return True
