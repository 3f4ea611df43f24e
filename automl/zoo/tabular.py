"""Four tables that come with scikit-learn: iris, wine, breast cancer and diabetes."""

from typing import Literal, TypeAlias

import torch
from sklearn import datasets

from automl.zoo.batches import InMemory, Samples, split
from automl.zoo.descent import check_one_of

TableName: TypeAlias = Literal["iris", "wine", "breast_cancer", "diabetes"]
LOADERS = {
    "iris": datasets.load_iris,
    "wine": datasets.load_wine,
    "breast_cancer": datasets.load_breast_cancer,
    "diabetes": datasets.load_diabetes,
}


class Tabular(InMemory):
    """A table of standardized features, with classes or a standardized number to predict.

    Mean and deviation are those of the training rows.

    | table | rows | features | classes |
    |---|---|---|---|
    | iris | 150 | 4 | 3 |
    | wine | 178 | 13 | 3 |
    | breast_cancer | 569 | 30 | 2 |
    | diabetes | 442 | 10 | 0: a number |

    Args:
        table: which one.
        batch_size: rows of a training batch.
        val: fraction of the rows to validate on.
        test: fraction of the rows to test on.
        seed: of the split.
    """

    def __init__(
        self,
        *,
        table: TableName = "breast_cancer",
        batch_size: int = 32,
        val: float = 0.2,
        test: float = 0.2,
        seed: int = 0,
    ) -> None:
        check_one_of("table", table, tuple(LOADERS))
        super().__init__(batch_size)
        self.table, self.val, self.test, self.seed = table, val, test, seed
        self.save_hyperparameters()

    def load(self) -> dict[str, Samples]:
        """Read the table, part its rows and standardize them."""
        read = LOADERS[self.table]()
        features = torch.from_numpy(read.data).float()
        targets = torch.from_numpy(read.target)
        numeric = targets.is_floating_point()
        parts = split(
            features,
            targets.float() if numeric else targets.long(),
            val=self.val,
            test=self.test,
            seed=self.seed,
        )
        return standardized(parts, targets=numeric)


def standardized(parts: dict[str, Samples], *, targets: bool) -> dict[str, Samples]:
    """Shift and scale so that the training rows have mean 0 and deviation 1.

    Args:
        parts: samples by split, `train` among them.
        targets: whether the targets are numbers, to be standardized as well.
    """
    train = parts["train"]
    mean, deviation = train.inputs.mean(0), train.inputs.std(0).clamp_min(1e-12)
    center, scale = (train.targets.mean(), train.targets.std()) if targets else (0, 1)
    return {
        name: Samples(
            (part.inputs - mean) / deviation,
            (part.targets - center) / scale if targets else part.targets,
        )
        for name, part in parts.items()
    }
