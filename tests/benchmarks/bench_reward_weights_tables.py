"""Compare every weighter under every estimator on environments whose fronts are known.

Run: python tests/benchmarks/bench_reward_weights_tables.py [fruit-tree | ...] [hv_gradient | ...]
"""

import sys
import time
from dataclasses import dataclass

import numpy as np
import torch

from automl_reward_weights.archive import expected_utility, merged
from automl_reward_weights.rewards import MARGIN
from automl_reward_weights.tables import TABLES
from automl_reward_weights.tabular import Recipe, Run, train
from automl_reward_weights.volume import hypervolume
from automl_reward_weights.weighters import WEIGHTERS

SEEDS = 20
COLUMNS = {
    "grpo": {"estimator": "grpo"},
    "rloo": {"estimator": "rloo"},
    "dr_grpo": {"estimator": "dr_grpo"},
    "reinforce": {"estimator": "reinforce"},
    "gdpo": {"aggregation": "gdpo"},
}
RECIPES = {
    "fruit-tree": {"updates": 200, "evaluate_every": 10},
    "deep-sea-treasure": {"updates": 600, "entropy": 0.05, "evaluate_every": 5},
    "deep-sea-treasure-concave": {"updates": 600, "entropy": 0.05, "evaluate_every": 5},
}


@dataclass(frozen=True, slots=True)
class Row:
    """One weighter under one estimator: means over seeds and their standard errors.

    `single` is the archive of one run, `merged` those of all preferences of a seed, both as a
    share of the known front's hypervolume; `utility` is of the merged archive.
    """

    single: float
    merged: float
    error: float
    utility: float
    seconds: float


def preferences(rewards):
    """Return the grid: eight weights of two rewards; even, and one reward first, of more."""
    if rewards == 2:
        share = np.linspace(0, 1, 8)
        return np.column_stack([share, 1 - share])
    first = np.where(np.eye(rewards, dtype=bool), 0.5, 0.5 / (rewards - 1))
    return np.vstack([np.full(rewards, 1 / rewards), first])


def runs_of(weighter, rewards, seeds):
    """Make a run for each seed and preference; lagrangian runs get thresholds of their own."""
    made = []
    for seed in range(seeds):
        for number, preference in enumerate(preferences(rewards)):
            thresholds = np.random.default_rng([seed, number]).uniform(0.2, 0.8, rewards)
            thresholds[0] = np.nan
            made.append(Run(WEIGHTERS[weighter](), preference, thresholds, seed))
    return made


def measured(name, weighter, column, seeds=SEEDS, seed=1):
    """Train one weighter under one estimator and compare its archives with the known front."""
    table, start = TABLES[name](), time.process_time()
    rewards, best = len(table.rewards), table.best()
    whole = hypervolume(best, np.full(rewards, -MARGIN))
    tracks = train(
        table, runs_of(weighter, rewards, seeds), Recipe(**RECIPES[name], **COLUMNS[column]), seed
    )
    archives = [track.archive for track in tracks]
    size = len(archives) // seeds
    union = [merged(archives[i * size : (i + 1) * size]) for i in range(seeds)]
    shares = np.array([one.hypervolume() for one in union]) / whole
    users = np.random.default_rng(0).dirichlet(np.ones(rewards), 500)
    return Row(
        float(np.mean([one.hypervolume() for one in archives]) / whole),
        float(shares.mean()),
        float(shares.std(ddof=1) / np.sqrt(seeds)),
        float(np.mean([expected_utility(one.front(), users) for one in union])),
        time.process_time() - start,
    )


def main(names):
    """Print one Markdown table for each environment that is named, or for all."""
    torch.set_num_threads(1)
    weighters = [name for name in WEIGHTERS if name in names] or list(WEIGHTERS)
    for name in [name for name in TABLES if name in names] or list(TABLES):
        print(
            f"\n### {name}\n\n| weighter | " + " | ".join(COLUMNS) + " | utility (grpo) | CPU s |"
        )
        print("|---" * (len(COLUMNS) + 3) + "|")
        for weighter in weighters:
            rows = {column: measured(name, weighter, column) for column in COLUMNS}
            cells = [f"{r.single:.3f} / {r.merged:.3f}±{r.error:.3f}" for r in rows.values()]
            seconds = sum(row.seconds for row in rows.values())
            cells += [f"{rows['grpo'].utility:.3f}", f"{seconds:.0f}"]
            print(f"| {weighter} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
