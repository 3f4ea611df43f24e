"""Which hook of which plugin runs when in a trial: a line as each begins, read back as seconds."""

import itertools
import time
from collections.abc import Iterable
from pathlib import Path

from automl.history import Trial
from automl.sections import Section, Table

FILE = "hooks.txt"
END = "end"


class Clock:
    """Writes a line into the trial's folder when a hook begins, so that even a hang has a name.

    Args:
        folder: of the trial.
        silent: write nothing, as ranks that do not speak for the trial.
    """

    def __init__(self, folder: Path, *, silent: bool = False) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path, self.silent = folder / FILE, silent

    def mark(self, name: str) -> None:
        """Say what begins now: `plugin.hook`, `core.train`, `core.measure` or `end`."""
        if self.silent:
            return
        with self.path.open("a", encoding="utf-8") as file:
            file.write(f"{time.time():.4f} {name}\n")


def marks(folder: Path) -> list[tuple[float, str]]:
    """Read the lines of a trial; one that was torn by a kill is left out."""
    path = folder / FILE
    if not path.is_file():
        return []
    found = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        when, _, name = line.partition(" ")
        if name and when.replace(".", "", 1).isdigit():
            found.append((float(when), name))
    return found


def last(folder: Path) -> str:
    """Return ` (in plugin.hook)` for what ran last in a trial, or nothing."""
    found = marks(folder)
    return f" (in {found[-1][1]})" if found and found[-1][1] != END else ""


def seconds(trials: Iterable[Trial]) -> dict[str, float]:
    """Add up the seconds of each hook over trials, most first."""
    spent: dict[str, float] = {}
    for trial in trials:
        found = marks(trial.folder)
        for (began, name), (ended, _) in itertools.pairwise(found):
            if name != END:  # between two attempts nothing ran
                spent[name] = spent.get(name, 0.0) + ended - began
    return dict(sorted(spent.items(), key=lambda item: -item[1]))


def section(trials: Iterable[Trial]) -> Section | None:
    """Say where the time of a study's trials went, hook by hook."""
    spent = seconds(trials)
    total = sum(spent.values())
    if not total:
        return None
    rows = tuple((name, value, f"{value / total:.1%}") for name, value in spent.items())
    return Section("Where the time went", (Table("Hooks", ("hook", "seconds", "share"), rows),))
