"""The live view of a run: a table in a terminal, plain lines in a pipe, nothing if quiet."""

import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

import rich.live
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from automl import pareto
from automl.history import Trial
from automl.provenance import host
from automl.report.text import clean, number, one_line
from automl.study import Study

if TYPE_CHECKING:
    from automl.search import Search

ENDED = ("done", "stopped", "failed")
PAUSE = 0.25  # seconds between two drawings, which take longer the more trials there are
SHOWN = 8  # running trials, or nodes, that fit on a screen


class Live:
    """Shows a running search; `update` is what the search calls."""

    def __init__(self, study: Study, *, quiet: bool) -> None:
        self.study = study
        self.console = Console(stderr=True, highlight=False)
        self.quiet = quiet
        self.began = time.monotonic()
        self.drawn = 0.0  # when the screen was last drawn
        self.said: set[int] = set()
        self.screen = None
        if not quiet and self.console.is_terminal:
            self.screen = rich.live.Live(console=self.console, refresh_per_second=4, transient=True)

    def __enter__(self) -> Self:
        if self.screen is not None:
            self.screen.start()
            self.screen.update(Text(f"{self.study.name}: loading torch and Lightning"))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.screen is not None:
            self.screen.stop()

    def update(self, search: "Search") -> None:
        """Show the state of a search."""
        if self.quiet:
            return
        if self.screen is not None and time.monotonic() - self.drawn > PAUSE:
            self.drawn = time.monotonic()
            self.screen.update(self.picture(search))
        earlier = search.trials.earlier
        if earlier and not self.said:
            self.said |= earlier
            if self.screen is None:
                sys.stderr.write(f"goes on after {len(earlier)} trials\n")
        for index in sorted(search.trials.all.keys() - self.said):
            trial = search.trials.all[index]
            if trial.state in ENDED:
                self.said.add(index)
                if self.screen is None:
                    sys.stderr.write(self.line(trial) + "\n")

    def line(self, trial: Trial) -> str:
        """Say in one line how a trial ended."""
        values = trial.metrics
        said = ", ".join(f"{n} {number(values[n])}" for n in self.study.objectives if n in values)
        if trial.failure and trial.state == "failed":
            said = trial.failure.message
        elif trial.state == "stopped" and trial.reports:
            said = self.reported(trial)
        end = f"trial {trial.number} {trial.state} in {trial.seconds:.1f} s"
        return f"{end}: {one_line(said)}" if said else end

    def reported(self, trial: Trial) -> str:
        """Say how far a trial had come, and what it had reported by then."""
        values = {name: value for one in trial.reports for name, value in one.metrics.items()}
        named = [f"{n} {number(values[n])}" for n in self.study.objectives if n in values]
        unit = self.study.fidelity.unit if self.study.fidelity else "epoch"
        return ", ".join([f"{unit} {trial.reports[-1].step:g}", *named])

    def picture(self, search: "Search") -> Group:
        """Draw counts, the front so far, and what runs."""
        trials = search.trials.all
        table = Table(box=None, pad_edge=False)
        for column in ("trial", "seconds", "progress", *self.study.objectives):
            table.add_column(Text(clean(column)), justify="right")
        for key, spec in list(search.running.items())[:SHOWN]:
            reports = trials[spec.number].reports if spec.kind == "trial" else ()
            last = reports[-1] if reports else None
            now = time.monotonic()
            seconds = now - search.since.get(key, now)
            cells = [
                number(last.metrics[name]) if last and name in last.metrics else ""
                for name in self.study.objectives
            ]
            name = str(spec.number) if spec.kind == "trial" else key
            table.add_row(name, f"{seconds:.0f}", f"{last.step:g}" if last else "", *cells)
        return Group(Text(self.headline(search)), *nodes(search), table)

    def headline(self, search: "Search") -> str:
        """Say how far the study is and how good its front."""
        trials = search.trials.all.values()
        count = {state: sum(trial.state == state for trial in trials) for state in ENDED}
        budget = self.study.budget.trials
        of = f" of {budget}" if budget else ""
        ended = sum(count.values())
        parts = [f"{self.study.name}: {ended}{of} trials"]
        parts += [f"{many} {state}" for state, many in count.items() if many]
        parts.append(f"{len(self.front(search))} on the front")
        if (volume := self.volume(search)) is not None:
            parts.append(f"hypervolume {number(volume)}")
        new = len(self.said - search.trials.earlier)
        if budget and new:
            left = (time.monotonic() - self.began) / new * max(0, budget - ended)
            parts.append(f"about {left:.0f} s left")
        return " · ".join(parts)

    def front(self, search: "Search") -> list[list[float]]:
        """Return the values of the points that no other one dominates."""
        names = list(self.study.objectives)
        every = [trial.metrics for trial in search.trials.all.values()]
        every += [p.metrics for trial in search.trials.all.values() for p in trial.points]
        rows = [[one[n] for n in names] for one in every if all(n in one for n in names)]
        if not rows:
            return []
        mask = pareto.non_dominated(rows, self.study.goals)
        return [row for row, on in zip(rows, mask, strict=True) if on]

    def volume(self, search: "Search") -> float | None:
        """Return the hypervolume, if the study fixes its reference."""
        refs = [objective.ref for objective in self.study.objectives.values()]
        front = self.front(search)
        if not front or any(ref is None for ref in refs):
            return None
        return pareto.hypervolume(front, [r for r in refs if r is not None], self.study.goals)


def nodes(search: "Search") -> list[Text]:
    """Say what runs on each node, if trials run elsewhere than here."""
    running = [
        search.trials.all[spec.number].attempts[-1]
        for key, spec in search.running.items()
        if spec.kind == "trial" and key in search.since
    ]
    places: dict[str, list[str]] = {}
    for attempt in running:
        places.setdefault(attempt.host, []).extend(attempt.devices)
    if set(places) <= {host()}:
        return []
    every = sorted(places.items())
    said = [f"{name}: {taken(devices)}" for name, devices in every[:SHOWN]]
    more = [f"{len(every) - SHOWN} more"] if len(every) > SHOWN else []
    return [Text(" · ".join([f"{len(every)} nodes", *said, *more]), "dim")]


def taken(devices: Sequence[str]) -> str:
    """Say how much of a node trials use."""
    gpus = {one for one in devices if one != "cpu"}
    alone = sum(one == "cpu" for one in devices)
    parts = [f"{len(gpus)} GPUs busy"] if gpus else []
    return ", ".join([*parts, *([f"{alone} trials"] if alone else [])])
