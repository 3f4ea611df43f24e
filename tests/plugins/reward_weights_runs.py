"""Small studies of the reward-weights plugin, run without a driver."""

from dataclasses import dataclass, field
from pathlib import Path

from automl.events import Outcome
from automl.job import JobSpec
from automl.stages import run
from automl.study import Study


@dataclass
class Line:
    """A driver that listens, and asks the job to stop after some reports."""

    most: int = 10**9
    reports: list = field(default_factory=list)

    def report(self, step, metrics):
        self.reports.append((step, metrics))

    def stopped(self):
        return len(self.reports) >= self.most

    def map(self, function, items, folder):
        raise NotImplementedError


def study(options=None, objectives=None, **changes):
    return Study(
        name="toy",
        model={
            "class_path": "automl_reward_weights.EnvironmentPolicy",
            "init_args": {"environment": "deep-sea-treasure", **changes.pop("model", {})},
        },
        trainer={"max_epochs": 6, **changes.pop("trainer", {})},
        plugins={"reward_weights": options or {}},
        objectives=objectives
        or {
            "val_treasure": {"goal": "maximize", "ref": 0.0},
            "val_time": {"goal": "maximize", "ref": -21.0},
        },
        budget={"trials": 1},
        **changes,
    )


def trial(made, folder: Path, line=None, *, seed=1, attempt=0, params=None, kind="trial"):
    """Run one trial in this process."""
    spec = JobSpec(made, kind, 0, attempt, params or {}, seed, folder, folder / "shared", folder)
    (folder / "shared").mkdir(parents=True, exist_ok=True)
    outcome = run(spec, line or Line())
    assert isinstance(outcome, Outcome)
    return outcome
