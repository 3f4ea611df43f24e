"""The report's section: the merged front with its origin, hypervolumes, weights, utilities."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import automl
from automl_reward_weights.archive import Archive, Entry, expected_utility, merged
from automl_reward_weights.rewards import Reward
from automl_reward_weights.volume import Array

SHOWN = 8  # trials drawn in a figure
USERS = 500  # random preferences of the expected utility


@dataclass(frozen=True, slots=True)
class Run:
    """What a trial left: its archive by validation, the same re-scored, and its curve."""

    trial: automl.Trial
    selected: Archive
    scored: Archive
    curve: tuple[dict[str, Any], ...]

    @property
    def name(self) -> str:
        """The trial's number."""
        return f"trial {self.trial.number}"


def sections(history: automl.History) -> Iterator[automl.Section]:
    """Yield the section, or one sentence where no run has left an archive."""
    evaluated = [run for trial in history.trials if (run := read(trial)) is not None]
    runs = [run for run in evaluated if run.scored.entries]
    if not runs:
        found = f"{len(evaluated)} runs have evaluated policies, and none was above the reference."
        yield automl.Section("Reward weights", (automl.Text(found),))
        return
    whole = merged([run.scored for run in runs])
    words = automl.Text(summary(runs, whole) + empty(len(evaluated) - len(runs)))
    tables = (words, front_table(runs, whole), utilities(runs, whole))
    figures = (front_figure(runs), volumes(runs), study_volume(evaluated), weights(runs))
    matrix = (dominance(runs),) if len(runs) > 1 else ()
    yield automl.Section("Reward weights", (*tables, *figures, *matrix))


def empty(count: int) -> str:
    """Say how many runs found nothing that counts."""
    return f" Runs that found no policy above the reference: {count}." if count else ""


def read(trial: automl.Trial) -> Run | None:
    """Read what a trial left; None if it has evaluated nothing."""
    path = trial.folder / "archive.json"
    if not path.exists():
        return None
    content = json.loads(path.read_text(encoding="utf-8"))
    rewards = tuple(
        Reward(r["name"], goal=r["goal"], bounds=tuple(r["bounds"]), metric=r["metric"])
        for r in content["rewards"]
    )
    archive = Archive(rewards, tuple(content["reference"])).from_rows(content["archive"])
    return Run(trial, archive, rescored(trial, archive), tuple(content["curve"]))


def rescored(trial: automl.Trial, archive: Archive) -> Archive:
    """Return the archive with the values of the trial's points, which held-out data gave."""
    points = {int(p.metrics["step"]): p.metrics for p in trial.points if "step" in p.metrics}
    if "step" in trial.metrics:
        points[int(trial.metrics["step"])] = trial.metrics

    def of(entry: Entry) -> Entry:
        found = points.get(entry.step, {})
        pairs = zip(archive.rewards, entry.values, strict=True)
        values = [found.get(reward.metric, value) for reward, value in pairs]
        return replace(entry, values=tuple(values))

    return archive.of(of(entry) for entry in archive.entries)


def summary(runs: Sequence[Run], whole: Archive) -> str:
    """Say in a paragraph what was found, and by how much selection was optimistic."""
    selected = merged([run.selected for run in runs]).hypervolume()
    best = max(runs, key=lambda run: run.scored.hypervolume())
    return (
        f"{counted(len(runs), 'run', 'runs')} left "
        f"{counted(len(whole.entries), 'policy', 'policies')} that no other one dominates. Their "
        f"normalized hypervolume is {whole.hypervolume():.4f} as measured after training, "
        f"{selected:.4f} by the evaluations that selected them; the best single run is {best.name} "
        f"with {best.scored.hypervolume():.4f}."
    )


def counted(count: int, one: str, more: str) -> str:
    """Write a number of things."""
    return f"{count} {one if count == 1 else more}"


def front_table(runs: Sequence[Run], whole: Archive) -> automl.Table:
    """List the merged front: values, trial, step and weights of each policy."""
    names = [reward.name for reward in whole.rewards]
    rows: list[tuple[str | float | int | None, ...]] = []
    for entry in sorted(whole.entries, key=lambda one: one.values):
        run = next(run for run in runs if entry in run.scored.entries)
        rows.append((*entry.values, run.trial.number, entry.step, *entry.weights))
    columns = (*names, "trial", "update", *(f"weight of {name}" for name in names))
    return automl.Table("Policies that nothing dominates", columns, tuple(rows))


def utilities(runs: Sequence[Run], whole: Archive) -> automl.Table:
    """List what each run is worth: hypervolume, expected utility, its share of the front."""
    count = len(whole.rewards)
    users = np.random.default_rng(0).dirichlet(np.ones(count), USERS)
    on_front = set(whole.entries)
    rows: list[tuple[str | float | int | None, ...]] = []
    for run in runs:
        chosen = run.trial.params.get("reward_weights.weighter")
        size = len(on_front & set(run.scored.entries))
        utility = expected_utility(run.scored.front(), users)
        rows.append((run.trial.number, chosen, run.scored.hypervolume(), utility, size))
    total = expected_utility(whole.front(), users)
    rows.append(("all", None, whole.hypervolume(), total, len(on_front)))
    columns = ("trial", "weighter", "hypervolume", "expected utility", "policies on the front")
    return automl.Table(f"Worth of each run, over {USERS} random preferences", columns, tuple(rows))


def front_figure(runs: Sequence[Run]) -> automl.Figure:
    """Draw the archives in the first two rewards."""
    first, second = runs[0].scored.rewards[:2]
    series = []
    for run in strongest(runs):
        pairs = sorted((e.values[0], e.values[1], e.errors[1]) for e in run.scored.entries)
        x, y, error = (tuple(column) for column in zip(*pairs, strict=True))
        series.append(automl.Series(run.name, x, y, error, "points"))
    alt = f"archived policies of each run by {first.name} and {second.name}"
    return automl.Figure("Archives", tuple(series), first.name, second.name, alt)


def volumes(runs: Sequence[Run]) -> automl.Figure:
    """Draw the hypervolume of each run against its updates."""
    series = [
        automl.Series(
            run.name,
            tuple(row["step"] for row in run.curve),
            tuple(row["hypervolume"] for row in run.curve),
        )
        for run in strongest(runs)
    ]
    alt = "hypervolume of each run's archive while it trains; it never falls"
    return automl.Figure("Hypervolume of a run", tuple(series), "updates", "hypervolume", alt)


def study_volume(runs: Sequence[Run]) -> automl.Figure:
    """Draw the hypervolume of all runs so far against the updates that they took together."""
    spent, x, y = 0, [0], [0.0]
    for number, run in enumerate(runs, 1):
        spent += int(run.curve[-1]["step"]) if run.curve else 0
        x.append(spent)
        y.append(merged([one.scored for one in runs[:number]]).hypervolume())
    series = (automl.Series("merged archive", tuple(x), tuple(y)),)
    alt = "hypervolume of the merged archive against the updates of all runs together"
    return automl.Figure("Hypervolume of the study", series, "updates", "hypervolume", alt)


def weights(runs: Sequence[Run]) -> automl.Figure:
    """Draw the weights of the run with the largest hypervolume against its updates."""
    best = strongest(runs)[0]
    steps = tuple(row["step"] for row in best.curve)
    shares = zip(*(row["weights"] for row in best.curve), strict=True)
    series = tuple(
        automl.Series(reward.name, steps, tuple(share), (), "area")
        for reward, share in zip(best.scored.rewards, shares, strict=True)
    )
    alt = f"weight of each reward while {best.name} trains"
    return automl.Figure(f"Weights of {best.name}", series, "updates", "weight", alt)


def dominance(runs: Sequence[Run]) -> automl.Heatmap:
    """Draw which share of each run's policies each other run dominates."""
    chosen = sorted(strongest(runs), key=lambda run: run.trial.number)
    fronts = [run.scored.front() for run in chosen]
    values = tuple(tuple(beaten(one, other) for other in fronts) for one in fronts)
    names = tuple(run.name for run in chosen)
    alt = "share of the policies of the run in the column that the run in the row dominates"
    return automl.Heatmap("Who dominates whom", names, names, values, alt)


def beaten(one: Array, other: Array) -> float:
    """Return the share of the (m, K) points of `other` that the (n, K) of `one` dominate."""
    as_good = (one[:, None] >= other[None]).all(-1)
    better = (one[:, None] > other[None]).any(-1)
    return float((as_good & better).any(0).mean())


def strongest(runs: Iterable[Run]) -> list[Run]:
    """Return the runs with the largest hypervolumes, the largest first."""
    return sorted(runs, key=lambda run: -run.scored.hypervolume())[:SHOWN]
