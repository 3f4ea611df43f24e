"""`automl logs`: what a trial printed."""

import itertools
import math
import sys
import time
from argparse import Namespace
from pathlib import Path

from automl.archive import open_study
from automl.env import mask
from automl.errors import AutomlError
from automl.timing import END, marks

PAUSE = 0.5  # seconds between two looks at a log that grows


def main(options: Namespace) -> None:
    """Print the log of a trial, and what comes to it while it runs."""
    archive = open_study(options.study)
    trials = {trial.number: trial for trial in archive.record.trials()}
    if options.trial not in trials:
        raise AutomlError(f"there is no trial {options.trial}, only {len(trials)} from 0 on")
    if options.hooks:
        show_hooks(trials[options.trial].folder)
        return
    path = trials[options.trial].folder / "log.txt"
    if not path.is_file():
        raise AutomlError(f"trial {options.trial} has no log yet: no file {path}")
    with path.open(encoding="utf-8", errors="replace") as log:
        while True:
            sys.stdout.write(mask(log.read()))
            sys.stdout.flush()
            now = {trial.number: trial.state for trial in archive.record.trials()}
            if not options.follow or now[options.trial] != "running":
                return
            time.sleep(PAUSE)


def show_hooks(folder: Path) -> None:
    """Print each hook that a trial called, with its plugin, when it began and how long it took."""
    found = marks(folder)
    for (began, name), (ended, _) in itertools.pairwise([*found, (math.nan, "")]):
        if name != END:
            took = f"{ended - began:9.3f} s" if math.isfinite(ended) else "  running or cut"
            sys.stdout.write(f"{began - found[0][0]:9.3f} {name:<32} {took}\n")
