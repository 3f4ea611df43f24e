"""Studies and models for tests of the architecture search."""

from torch import nn

from automl.study import Study
from automl.studyfile import of
from automl.zoo import ConvNet, Digits
from automl_nas.choices import OneOf

QUIET = (
    ".*does not have many workers",
    ".*smaller than the logging interval",
    ".*LeafSpec",
)


def study(folder, *, trials=3, model="automl.zoo.ConvNet", **options):
    """Return a study file of a tiny search that runs in this process."""
    small = {
        "space": {"kind": "chain", "layers": 2, "width": 4, "reduce": [1]},
        "supernet_budget": 4,
        "calibrate": 4,
        "rounds": 1,
        "batch": 2,
        "batches": 2,
    }
    return of(
        Study.model_validate(
            {
                "name": "toy",
                "model": {"class_path": model, "init_args": {"lr": 0.02}},
                "data": {"class_path": "automl.zoo.Digits", "init_args": {"batch_size": 256}},
                "trainer": {"max_epochs": 1},
                "plugins": {"nas": small | options},
                "objectives": {
                    "val_accuracy": {"goal": "maximize"},
                    "parameters": {"goal": "minimize"},
                },
                "budget": {"trials": trials},
                "search": {"sampler": "random"},
                "engine": "inline",
                "folder": str(folder),
            }
        )
    )


class OwnNet(ConvNet):
    """A user's own model: its stem may be one of four layers."""

    def __init__(self, lr: float = 0.01) -> None:
        super().__init__(width=4, depth=1, lr=lr)
        stem = self.network[0]
        bare = {f"bare{k}": nn.Conv2d(1, 4, k, padding=k // 2) for k in (1, 3, 5)}
        self.network[0] = OneOf("stem", {"whole": stem} | bare)


class Leaky(Digits):
    """Digits whose validation set is the test set."""

    def load(self):
        splits = super().load()
        return splits | {"test": splits["val"]}
