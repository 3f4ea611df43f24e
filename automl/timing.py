"""Which hook of which plugin runs when in a job: a line as each begins, read back as seconds."""

import itertools
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from automl.sections import Section, Table

FILE = "hooks.txt"
END = "end"
CUT = "cut"  # an attempt was killed before this line; nobody knows when


class Clock:
    """Writes a line into the job's folder when a hook begins, so that even a hang has a name.

    Args:
        folder: of the trial, or of what `prepare` makes.
        silent: write nothing, as ranks that do not speak for the trial.
    """

    def __init__(self, folder: Path, *, silent: bool = False) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path, self.silent = folder / FILE, silent
        if (before := marks(folder)) and before[-1][1] != END:
            self.mark(CUT)

    def mark(self, name: str, origin: str = "") -> None:
        """Say what begins now.

        Args:
            name: `plugin.hook`, `core.train`, `core.measure` or `end`.
            origin: the plugin's distribution and version, or its file.
        """
        if self.silent:
            return
        with self.path.open("a", encoding="utf-8") as file:
            file.write(f"{time.time():.4f} {name} {origin}".rstrip() + "\n")


def lines(folder: Path) -> Iterator[tuple[float, str, str]]:
    """Yield when, name and origin of each line; one that was torn by a kill is left out."""
    path = folder / FILE
    if not path.is_file():
        return
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        when, _, rest = line.partition(" ")
        name, _, origin = rest.partition(" ")
        if name and when.replace(".", "", 1).isdigit():
            yield float(when), name, origin


def marks(folder: Path) -> list[tuple[float, str]]:
    """Return when each hook of a job began, and its name."""
    return [(when, name) for when, name, _ in lines(folder)]


def last(folder: Path) -> str:
    """Return ` (in plugin …, hook …)` for what ran last in a job, or nothing."""
    _, name, origin = [(0.0, END, ""), *lines(folder)][-1]
    plugin, _, hook = name.rpartition(".")
    if name in {END, CUT}:
        return ""
    return f" (in plugin {plugin} ({origin}), hook {hook})" if origin else f" (in {name})"


def seconds(folders: Iterable[Path]) -> dict[str, float]:
    """Add up the seconds of each hook over the folders of jobs, most first."""
    spent: dict[str, float] = {}
    for folder in folders:
        for (began, name), (ended, then) in itertools.pairwise(marks(folder)):
            if name not in {END, CUT} and then != CUT:  # between two attempts nothing ran
                spent[name] = spent.get(name, 0.0) + ended - began
    return dict(sorted(spent.items(), key=lambda item: -item[1]))


def section(folders: Iterable[Path]) -> Section | None:
    """Say where the time of a study's jobs went, hook by hook."""
    spent = seconds(folders)
    total = sum(spent.values())
    if not total:
        return None
    rows = tuple((name, value, f"{value / total:.1%}") for name, value in spent.items())
    return Section("Where the time went", (Table("Hooks", ("hook", "seconds", "share"), rows),))
