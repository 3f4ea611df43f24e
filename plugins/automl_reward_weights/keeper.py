"""The Lightning callback that evaluates, archives and removes the policies of a run."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from automl_reward_weights.archive import Entry
from automl_reward_weights.ranks import rank
from automl_reward_weights.scalarize import Scalarizer

POINTS = "points"  # the folder of the archived policies, below the trial's
STORE = "checkpoints"  # theirs while training goes on; a trial that ends early loses it
FILE = "archive.json"


class Keeper(pl.Callback):
    """After each validation, put the policy into the archive and let the weighter see it.

    Policies that were dropped from the archive are removed one checkpoint of the fit later, so
    that a run that goes on from the checkpoint finds all that its archive names.

    Args:
        scalarizer: of the model.
        folder: of the trial.
        store: folder that the policies are kept below while training goes on; the trial's own
            if none.
    """

    def __init__(self, scalarizer: Scalarizer, folder: Path, store: Path | None = None) -> None:
        self.scalarizer = scalarizer
        self.folder, self.store = folder, store or folder
        self.curve: list[dict[str, Any]] = []
        self.dropped: list[str] = []  # since the last checkpoint
        self.leaving: list[str] = []  # between the last two checkpoints

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Evaluate the policy as it is, unless Lightning only validates."""
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        step = trainer.global_step
        before = self.scalarizer.archive.entries
        entry = self.entry(trainer.callback_metrics, step)
        kept = self.scalarizer.evaluate(entry, step)
        names = {one.checkpoint for one in self.scalarizer.archive.entries}
        self.dropped += [one.checkpoint for one in before if one.checkpoint not in names]
        if kept and entry.checkpoint in names and trainer.is_global_zero:
            path = self.store / entry.checkpoint
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.save(pl_module.state_dict(), path)
        self.tell(trainer, entry)

    def entry(self, metrics: Mapping[str, Any], step: int) -> Entry:
        """Make the entry of the policy from what validation logged."""
        rewards = self.scalarizer.rules.rewards
        lost = [reward.metric for reward in rewards if reward.metric not in metrics]
        if lost:
            raise ValueError(
                f"rewards: validation logs no metric {lost[0]!r}; log it in validation_step, or "
                f"name another one under plugins.reward_weights.rewards; there are: "
                f"{', '.join(sorted(metrics)) or 'none'}"
            )
        return Entry(
            values=tuple(float(metrics[reward.metric]) for reward in rewards),
            errors=tuple(float(metrics.get(f"{reward.metric}_se", 0.0)) for reward in rewards),
            step=step,
            weights=tuple(self.scalarizer.now.values.tolist()),
            checkpoint=f"{POINTS}/step-{step}.pt",
        )

    def tell(self, trainer: pl.Trainer, entry: Entry) -> None:
        """Log the hypervolume beside the validation's metrics, and write the archive down."""
        volume = self.scalarizer.archive.hypervolume()
        trainer.callback_metrics["archive_hypervolume"] = torch.tensor(volume)
        now = self.scalarizer.now
        row = {"step": entry.step, "values": list(entry.values), "hypervolume": volume}
        row |= {"weights": now.values.tolist(), "scale": now.scale}
        row |= {"constant": self.scalarizer.constant.tolist()}
        self.curve = [one for one in self.curve if one["step"] < entry.step] + [row]
        if trainer.is_global_zero:
            write(self.folder / FILE, self.scalarizer, self.curve)

    def state_dict(self) -> dict[str, Any]:
        """Return what a run needs to go on; Lightning asks for it when it saves.

        The last two checkpoints of a fit are kept, so what was dropped before the last one is
        named by neither and is removed.
        """
        for name in self.leaving if rank() == 0 else ():
            (self.store / name).unlink(missing_ok=True)
        self.leaving, self.dropped = self.dropped, []
        state = {"scalarizer": self.scalarizer.state_dict(), "curve": self.curve}
        return {**state, "leaving": self.leaving}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.scalarizer.load_state_dict(state_dict["scalarizer"])
        self.curve, self.leaving = list(state_dict["curve"]), list(state_dict["leaving"])


def write(path: Path, scalarizer: Scalarizer, curve: list[dict[str, Any]]) -> None:
    """Write what a report needs: rewards, reference, preference, curve and archive."""
    rules = scalarizer.rules
    content = {
        "rewards": [
            {"name": r.name, "goal": r.goal, "bounds": list(r.bounds), "metric": r.metric}
            for r in rules.rewards
        ],
        "reference": list(rules.reference),
        "preference": list(rules.preference),
        "curve": curve,
        "archive": scalarizer.archive.rows(),
    }
    path.write_text(json.dumps(content), encoding="utf-8")
