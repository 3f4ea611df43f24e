"""Tables of real learning curves: many small perceptrons trained at once on digits or CIFAR-10.

All networks of a table see the same batches; each has its own width, learning rate, momentum and
weight decay, so a table is a full grid that any sampler can search at no cost.
"""

import itertools
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

CLASSES = 10


@dataclass(frozen=True)
class Grid:
    """The options of each parameter of a table."""

    width: tuple[int, ...] = (2, 4, 6, 8, 12, 16, 24, 32, 48)
    lr: tuple[float, ...] = (0.003, 0.01, 0.03, 0.1, 0.2, 0.4, 0.8, 1.6)
    momentum: tuple[float, ...] = (0.0, 0.9, 0.97)
    weight_decay: tuple[float, ...] = (0.0, 1e-3, 1e-2)

    def points(self):
        """Return every combination, in order."""
        options = (self.width, self.lr, self.momentum, self.weight_decay)
        return list(itertools.product(*options))


@dataclass(frozen=True)
class Curves:
    """What a study could find out about each point of a grid.

    Attributes:
        accuracy: (points, epochs) on the validation samples, after each epoch.
        parameters: (points,) of each network.
    """

    grid: Grid
    accuracy: np.ndarray
    parameters: np.ndarray


def digits():
    """Return training and validation samples of the digits."""
    from automl.zoo import Digits

    return samples(Digits(val=0.4, test=0.0))


def cifar(path):
    """Return 4,000 images of CIFAR-10 to train on and 4,000 to validate on, grey and 8 by 8."""
    from automl.zoo import Images

    train, val = samples(Images(str(path), subset=8000, val=0.5, test=0.0))

    def small(inputs):
        return torch.nn.functional.avg_pool2d(inputs.mean(1, keepdim=True), 4)

    return (small(train[0]), train[1]), (small(val[0]), val[1])


def colour(path):
    """Return 1,200 images of CIFAR-10 to train on and 800 to validate on, 16 by 16."""
    from automl.zoo import Images

    train, val = samples(Images(str(path), subset=2000, val=0.4, test=0.0))

    def small(inputs):
        return torch.nn.functional.avg_pool2d(inputs, 2)

    return (small(train[0]), train[1]), (small(val[0]), val[1])


def samples(data):
    """Return the standardized training and validation samples of a data module."""
    data.setup()
    both = [
        data.splits[name].__getitems__(range(len(data.splits[name]))) for name in ("train", "val")
    ]
    mean, deviation = both[0][0].mean(), both[0][0].std()
    return [((inputs - mean) / deviation, targets) for inputs, targets in both]


def table(name, load, *, grid=None, epochs=27, seed=0, inputs=64, batch_size=32):
    """Return the curves of a data set, training them unless that was done before.

    Args:
        name: of the table.
        load: returns training and validation samples.
        grid: options of each parameter.
        epochs: of each training.
        seed: of weights and batches.
        inputs: numbers of a sample.
        batch_size: of each training; larger ones leave less time to learn.
    """
    grid = grid or Grid()
    path = Path(tempfile.gettempdir()) / f"automl-curves-{name}-{epochs}-{seed}-{hash(grid):x}.npz"
    if not path.exists():
        train, val = load()
        accuracy = trained(grid, train, val, epochs, seed, batch_size)
        np.savez(path, accuracy=accuracy)
    width = np.array([point[0] for point in grid.points()])
    parameters = inputs * width + width + width * CLASSES + CLASSES
    return Curves(grid, np.load(path)["accuracy"], parameters)


def trained(grid, train, val, epochs, seed, batch_size=32):
    """Train every network of a grid and return the (points, epochs) validation accuracy.

    One hidden layer; narrower networks are the widest one with units masked out. The learning rate
    falls linearly to 0 over the epochs, as it does where training has an end.
    """
    generator = torch.Generator().manual_seed(seed)
    points = torch.tensor(grid.points())
    width, lr, momentum, decay = (column[:, None, None] for column in points.T)
    widest, features = int(width.max()), train[0][0].numel()
    mask = (torch.arange(widest) < width[:, 0]).float()[:, None]
    weights = [
        torch.randn(len(points), features, widest, generator=generator) / features**0.5,
        torch.zeros(len(points), 1, widest),
        torch.randn(len(points), widest, CLASSES, generator=generator) / width**0.5,
        torch.zeros(len(points), 1, CLASSES),
    ]
    velocity = [torch.zeros_like(weight) for weight in weights]
    images, targets = train[0].flatten(1), train[1]
    accuracy, steps, step = [], epochs * (len(targets) // batch_size), 0
    for _ in range(epochs):
        order = torch.randperm(len(targets), generator=generator)
        for batch in order[: len(order) // batch_size * batch_size].split(batch_size):
            gradients = gradient(weights, mask, images[batch], targets[batch])
            rate = lr * (1 - step / steps)
            for weight, speed, slope in zip(weights, velocity, gradients, strict=True):
                speed.mul_(momentum).add_(slope)
                weight.mul_(1 - rate * decay).sub_(rate * speed)
            step += 1
        accuracy.append(quality(weights, mask, val[0].flatten(1), val[1]))
    return torch.stack(accuracy, 1).numpy()


def quality(weights, mask, inputs, targets, chunk=500):
    """Return the (points,) share of samples that each network names right."""
    hits = 0
    for part, names in zip(inputs.split(chunk), targets.split(chunk), strict=True):
        hits += (forward(weights, mask, part)[0].argmax(2) == names).float().sum(1)
    return hits / len(targets)


def forward(weights, mask, inputs):
    """Return (points, N, 10) logits and (points, N, width) hidden units."""
    first, first_bias, second, second_bias = weights
    hidden = torch.relu(inputs @ first + first_bias) * mask
    return hidden @ second + second_bias, hidden


def gradient(weights, mask, inputs, targets):
    """Return the gradients of the mean cross-entropy of each network, clipped to norm 5."""
    logits, hidden = forward(weights, mask, inputs)
    error = logits.softmax(2)
    error[:, torch.arange(len(targets)), targets] -= 1
    error = torch.nan_to_num(error / len(targets))
    back = error @ weights[2].transpose(1, 2) * (hidden > 0)
    found = [
        inputs.T @ back,
        back.sum(1, keepdim=True),
        hidden.transpose(1, 2) @ error,
        error.sum(1, keepdim=True),
    ]
    norm = sum(part.square().sum((1, 2), keepdim=True) for part in found).sqrt()
    return [part * (5 / norm.clamp_min(5)) for part in found]
