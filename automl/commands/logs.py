"""`automl logs`: what a trial printed."""

import sys
import time
from argparse import Namespace
from pathlib import Path
from typing import Any

from automl.archive import open_study
from automl.env import mask
from automl.errors import AutomlError
from automl.terminal import emit
from automl.timing import CUT, END, marks

PAUSE = 0.5  # seconds between two looks at a log that grows


def main(options: Namespace) -> None:
    """Print the log of a trial, and what comes to it while it runs."""
    archive = open_study(options.study)
    trials = {trial.number: trial for trial in archive.record.trials()}
    if options.trial not in trials:
        raise AutomlError(f"there is no trial {options.trial}, only {len(trials)} from 0 on")
    folder = trials[options.trial].folder
    path = folder / "log.txt"
    if options.json:
        emit({"log": text(path), "hooks": hooks(folder)})
        return
    if options.hooks:
        show_hooks(folder)
        return
    if not path.is_file():
        raise AutomlError(
            f"trial {options.trial} has no log: no file {path}; it has not begun, or it ran with "
            "engine inline, which prints to the terminal"
        )
    with path.open(encoding="utf-8", errors="replace") as log:
        while True:
            sys.stdout.write(mask(log.read()))
            sys.stdout.flush()
            now = {trial.number: trial.state for trial in archive.record.trials()}
            if not options.follow or now[options.trial] != "running":
                return
            time.sleep(PAUSE)


def text(path: Path) -> str | None:
    """Return a log without secrets, or None if there is none."""
    return mask(path.read_text(encoding="utf-8", errors="replace")) if path.is_file() else None


def hooks(folder: Path) -> list[dict[str, Any]]:
    """Return each hook that a trial called, when it began and its seconds; None if it was cut."""
    found = marks(folder)
    ends = [*(None if name == CUT else when for when, name in found[1:]), None]
    return [
        {"hook": name, "began": began, "seconds": None if ended is None else ended - began}
        for (began, name), ended in zip(found, ends, strict=True)
        if name not in {END, CUT}
    ]


def show_hooks(folder: Path) -> None:
    """Print each hook that a trial called, with its plugin, when it began and how long it took."""
    found = hooks(folder)
    for one in found:
        took = "  running or cut" if one["seconds"] is None else f"{one['seconds']:9.3f} s"
        sys.stdout.write(f"{one['began'] - found[0]['began']:9.3f} {one['hook']:<32} {took}\n")
