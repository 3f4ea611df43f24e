"""After training: what the archive kept is measured anew, and the rest is removed."""

import json
from collections.abc import Iterator

import numpy as np
import torch

import automl
from automl_reward_weights.archive import Archive, Entry
from automl_reward_weights.keeper import FILE, POINTS, STORE


def points(job: automl.Job, *, rescore: bool) -> Iterator[automl.Point]:
    """Yield a point for each archived policy; leave the preferred one in the job's model."""
    archive = restored(job)
    if not archive.entries:
        return
    settle(job, archive)
    if rescore:
        hold_out(job)
    own = preferred(archive, job.model.scalarizer.rules.preference)
    for entry in archive.entries:
        if entry != own:
            load(job, entry)
            yield job.point(
                f"step={entry.step}",
                model=job.model,
                metrics=provenance(archive, entry),
                artifact=entry.checkpoint,
            )
    load(job, own)
    job.log(archive_hypervolume=archive.hypervolume(), **provenance(archive, own))
    tidy(job, archive)
    put_away(job, own)


def restored(job: automl.Job) -> Archive:
    """Read the archive that the fit wrote: an earlier attempt may have ended the fit."""
    archive: Archive = job.model.scalarizer.archive
    path = job.folder / FILE
    if path.exists():
        archive = archive.from_rows(json.loads(path.read_text(encoding="utf-8"))["archive"])
    return archive


def settle(job: automl.Job, archive: Archive) -> None:
    """Move what the archive kept to where it may stay; an earlier attempt may have done so."""
    for entry in archive.entries:
        stored, path = job.folder / STORE / entry.checkpoint, job.folder / entry.checkpoint
        if stored.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            stored.replace(path)


def hold_out(job: automl.Job) -> None:
    """Let the model or the data evaluate on what training and selection have not seen."""
    for part in (job.model, job.data):
        if hasattr(part, "held_out"):
            part.held_out = True


def preferred(archive: Archive, preference: tuple[float, ...]) -> Entry:
    """Return the entry whose worst shortfall, weighted by the preference, is least."""
    shortfall = (np.array(preference) * (1 - archive.front())).max(axis=1)
    return archive.entries[int(shortfall.argmin())]


def load(job: automl.Job, entry: Entry) -> None:
    """Put an archived policy into the job's model."""
    path = job.folder / entry.checkpoint
    job.model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))


def provenance(archive: Archive, entry: Entry) -> dict[str, float]:
    """Return where a point is from, as metrics: step, weights, and the values that selected it."""
    found = {"step": float(entry.step)}
    for k, reward in enumerate(archive.rewards):
        found[f"weight_{reward.name}"] = entry.weights[k]
        found[f"selected_{reward.name}"] = entry.values[k]
    return found


def tidy(job: automl.Job, archive: Archive) -> None:
    """Remove the policies that the archive no longer names."""
    kept = {job.folder / entry.checkpoint for entry in archive.entries}
    for place in (job.folder, job.folder / STORE):
        for path in (place / POINTS).glob("step-*.pt"):
            if path not in kept:
                path.unlink()


def put_away(job: automl.Job, own: Entry) -> None:
    """Move the policy that is the trial's model now to where only a next attempt looks for it."""
    stored = job.folder / STORE / own.checkpoint
    stored.parent.mkdir(parents=True, exist_ok=True)
    (job.folder / own.checkpoint).replace(stored)
