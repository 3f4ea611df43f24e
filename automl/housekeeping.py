"""Whose files stay when trials have ended: `checkpoints: {keep: pareto | best | last | all}`."""

import math
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from automl import pareto
from automl.history import Trial
from automl.report.points import violations
from automl.study import Study

TRAINING = "checkpoints"  # the folder of a trial whose files only its own next attempt needs
MODEL = "model.ckpt"


@dataclass(frozen=True, slots=True)
class Kept:
    """A point whose artefact stays for now; without values, as long as its trial's own."""

    trial: int
    name: str
    artifact: str | None
    values: tuple[float, ...] | None


class Keeper:
    """Decides after each trial whose artefacts are no longer kept.

    With `pareto` a point's artefact stays while no feasible point dominates it; with `best`, while
    it has the best value of an objective; with `last`, until another trial is done.
    """

    def __init__(self, study: Study) -> None:
        self.study = study
        self.keep = study.checkpoints.keep
        self.kept: list[Kept] = []

    def ended(self, *trials: Trial) -> dict[int, set[str]]:
        """Take in trials that have ended.

        Returns:
            The names of the points, by trial, whose artefacts are to go now.
        """
        if self.keep == "all":
            return {}
        for trial in trials:
            shutil.rmtree(trial.folder / TRAINING, ignore_errors=True)
            if trial.artifact is None:  # a kill came before its removal, or it did not end well
                (trial.folder / MODEL).unlink(missing_ok=True)
        new = [point for trial in trials for point in points(self.study, trial)]
        if not new:
            return {}
        every = [*self.kept, *new]
        chosen = self._chosen([one for one in every if one.values is not None], new[-1].trial)
        stays = {one.trial for one in chosen if not one.name}
        self.kept = chosen + [one for one in every if one.values is None and one.trial in stays]
        stay = set(map(id, self.kept))
        gone: dict[int, set[str]] = {}
        for one in every:
            if id(one) not in stay and one.artifact and not self._shared(one):
                gone.setdefault(one.trial, set()).add(one.name)
        return gone

    def _chosen(self, every: list[Kept], last: int) -> list[Kept]:
        if self.keep == "last":
            return [one for one in every if one.trial == last]
        goals, values = self.study.goals, [one.values or () for one in every]
        if self.keep == "best":
            table = pareto.costs(values, goals)
            return [every[index] for index in sorted(set(table.argmin(axis=0).tolist()))]
        mask = pareto.non_dominated(values, goals)
        return [one for one, on in zip(every, mask, strict=True) if on]

    def _shared(self, gone: Kept) -> bool:
        """Say whether a point that stays has the same artefact, or a part of it."""
        mine = Path(gone.artifact or "")
        theirs = [Path(o.artifact) for o in self.kept if o.trial == gone.trial and o.artifact]
        return any(mine == one or mine in one.parents or one in mine.parents for one in theirs)


def points(study: Study, trial: Trial) -> Iterator[Kept]:
    """Yield the feasible points of a trial; others have no place to lose.

    A further point that lacks an objective is none of the front; it goes with its trial's own.
    """
    own = place(study, trial.metrics)
    if own is not None:
        yield Kept(trial.number, "", trial.artifact, own)
    for point in trial.points:
        values = place(study, point.metrics)
        follows = own is not None and not point.metrics.keys() >= study.objectives.keys()
        if values is not None or follows:
            yield Kept(trial.number, point.name, point.artifact, values)


def place(study: Study, metrics: Mapping[str, float]) -> tuple[float, ...] | None:
    """Return the values of the objectives of a feasible point; None of any other."""
    values = tuple(float(metrics.get(name, math.nan)) for name in study.objectives)
    feasible = all(map(math.isfinite, values)) and not violations(study, metrics)
    return values if feasible else None


def remove(folder: Path, artifact: str) -> None:
    """Remove an artefact, a file or a folder, but nothing outside the trial's folder."""
    path = (folder / artifact).resolve()
    if folder.resolve() not in path.parents:
        return
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
