"""Small environments with known fronts, as tables that a policy can be trained on at once.

Sources: Vamplew et al., "Empirical evaluation methods for multiobjective reinforcement learning
algorithms", 2011 (deep-sea treasure; the concave treasures); Yang, Sun and Narasimhan, "A
generalized algorithm for multi-objective reinforcement learning", 2019 (the convex treasures and
the fruit tree). `mo-gymnasium` has the same ones; a test compares them step by step.
"""

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

from automl_reward_weights.rewards import Reward, normalized
from automl_reward_weights.volume import Array

SIDE = 11  # cells of a side of the sea
FLOOR = (1, 2, 3, 4, 4, 4, 7, 7, 9, 10)  # row of the treasure in each column but the last
CONVEX = (0.7, 8.2, 11.5, 14.0, 15.1, 16.1, 19.6, 20.3, 22.4, 23.7)
CONCAVE = (1.0, 2.0, 3.0, 5.0, 8.0, 16.0, 24.0, 50.0, 74.0, 124.0)
MOVES = ((-1, 0), (1, 0), (0, -1), (0, 1))  # up, down, left, right
DEPTH = 6  # of the fruit tree


@dataclass(frozen=True, slots=True)
class Table:
    """A deterministic environment with S states, A actions and K rewards.

    Attributes:
        rewards: the K rewards of an episode, with the bounds of the known front.
        after: (S, A) the next state.
        paid: (S, A, K) what the step pays.
        ends: (S, A) whether the step ends the episode.
        horizon: steps after which an episode is cut.
        front: (n, K) the known front, in the rewards' own units.
    """

    rewards: tuple[Reward, ...]
    after: Tensor
    paid: Tensor
    ends: Tensor
    horizon: int
    front: Array

    def best(self) -> Array:
        """Return the (n, K) known front, normalized."""
        return normalized(self.rewards, self.front)


def spanned(names: tuple[str, ...], front: Array) -> tuple[Reward, ...]:
    """Make rewards to maximize whose bounds are the range of a front."""
    low, high = front.min(axis=0), front.max(axis=0)
    return tuple(
        Reward(name, bounds=(float(low[k]), float(high[k]))) for k, name in enumerate(names)
    )


def deep_sea_treasure(treasures: tuple[float, ...]) -> Table:
    """Lay out the sea: a submarine dives from a corner; deeper treasures are worth more."""
    after = torch.zeros(SIDE * SIDE, len(MOVES), dtype=torch.long)
    paid = torch.zeros(SIDE * SIDE, len(MOVES), 2, dtype=torch.float64)
    worth = {(row, col): treasures[col] for col, row in enumerate(FLOOR)}
    for row in range(SIDE):
        for col in range(SIDE):
            for action, (down, right) in enumerate(MOVES):
                cell = row + down, col + right
                there = cell if is_water(*cell) else (row, col)
                after[row * SIDE + col, action] = there[0] * SIDE + there[1]
                paid[row * SIDE + col, action, 0] = worth.get(there, 0.0)
    paid[:, :, 1] = -1.0
    steps = [row + col for col, row in enumerate(FLOOR)]
    front = np.array([[treasures[col], -float(steps[col])] for col in range(len(FLOOR))])
    ends = paid[:, :, 0] > 0
    return Table(spanned(("treasure", "time"), front), after, paid, ends, 40, front)


def is_water(row: int, col: int) -> bool:
    """Say whether a cell is in the sea and not below its floor."""
    inside = 0 <= row < SIDE and 0 <= col < SIDE
    return inside and (col >= len(FLOOR) or row <= FLOOR[col])


def fruit_tree() -> Table:
    """Grow the tree: six choices of left or right lead to one of 64 fruits with six nutrients."""
    with (files("automl_reward_weights") / "fruit_tree.csv").open(encoding="utf-8") as lines:
        names, *rows = csv.reader(lines)
    front = np.array(rows, dtype=np.float64)
    inner = 2**DEPTH - 1
    children = 2 * torch.arange(inner).unsqueeze(1) + torch.tensor([1, 2])
    leaf = children >= inner
    fruits = torch.from_numpy(front)[(children - inner).clamp_min(0)]
    paid = torch.where(leaf.unsqueeze(-1), fruits, 0.0)
    after = torch.where(leaf, 0, children)
    return Table(spanned(tuple(names), front), after, paid, leaf, DEPTH, front)


def deep_sea_treasure_concave() -> Table:
    """Lay out the sea whose front bends inwards, so that fixed weights prefer its ends."""
    return deep_sea_treasure(CONCAVE)


def deep_sea_treasure_convex() -> Table:
    """Lay out the sea whose front bends outwards."""
    return deep_sea_treasure(CONVEX)


TABLES: Mapping[str, Callable[[], Table]] = MappingProxyType(
    {
        "fruit-tree": fruit_tree,
        "deep-sea-treasure": deep_sea_treasure_convex,
        "deep-sea-treasure-concave": deep_sea_treasure_concave,
    }
)
