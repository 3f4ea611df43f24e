"""A multilayer perceptron for tables and small images."""

from itertools import pairwise

from torch import nn

from automl.zoo.descent import Descent, OptimizerName, ScheduleName
from automl.zoo.predictor import Predictor, blank, positive


class MLP(Predictor):
    """Hidden layers of linear map, rectifier and dropout; then a linear map.

    Args:
        inputs: number of features; images are flattened.
        width: units of a hidden layer.
        depth: number of hidden layers.
        dropout: probability with which a hidden unit is dropped.
        lr: peak learning rate.
        optimizer: `sgd`, `adam` or `adamw`.
        momentum: of sgd.
        weight_decay: of matrices.
        schedule: of the learning rate: `constant` or `cosine`.
        warmup: fraction of training in which the learning rate rises.
        classes: number of classes; 0 predicts a number instead.
    """

    def __init__(  # noqa: PLR0913 - a study reaches each setting by its name
        self,
        *,
        inputs: int = 64,
        width: int = 64,
        depth: int = 2,
        dropout: float = 0.0,
        lr: float = 0.01,
        optimizer: OptimizerName = "adamw",
        momentum: float = 0.9,
        weight_decay: float = 0.01,
        schedule: ScheduleName = "cosine",
        warmup: float = 0.1,
        classes: int = 10,
    ) -> None:
        positive(inputs=inputs, width=width, depth=depth)
        widths = [inputs, *(width for _ in range(depth))]
        hidden = [
            nn.Sequential(nn.Linear(*pair), nn.ReLU(), nn.Dropout(dropout))
            for pair in pairwise(widths)
        ]
        network = nn.Sequential(nn.Flatten(), *hidden, nn.Linear(width, classes or 1))
        descent = Descent(lr, optimizer, momentum, weight_decay, schedule, warmup)
        super().__init__(network, descent, blank(inputs), "classify" if classes else "regress")
        self.save_hyperparameters()
