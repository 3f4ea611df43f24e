"""Compare one dynamic run with a grid of fixed weights on a small language model.

A GPT of 119 thousand parameters learns GSM8K's equations from demonstrations, once; then every
run trains it on three rewards, and its archive is measured again on held-out prompts.

Run: python tests/benchmarks/bench_reward_weights_text.py ../shared/data/text START.pt
Seeds and methods after that restrict it: `... START.pt 0 1 hv_gradient fixed`; `chebyshev*4` is
one run from even weights, of four times the length.
"""

import logging
import sys
import time
import warnings
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytorch_lightning as pl
import torch

from automl.zoo import TinyGPT
from automl_reward_weights.archive import Archive, Entry, merged
from automl_reward_weights.equations import Equations
from automl_reward_weights.keeper import Keeper
from automl_reward_weights.scalarize import Rules, Scalarizer
from automl_reward_weights.text import TextPolicy
from automl_reward_weights.weighters import WEIGHTERS

UPDATES, EVERY, STEPS = 40, 5, 1600
HELD = {"limit_val_batches": 2}  # of 128 prompts each
GRID = ((1, 1, 1), (2, 1, 1), (1, 2, 1), (1, 1, 2))  # accuracy : brevity : form
METHODS = ("fixed", "hv_gradient", "chebyshev", "lagrangian", "gradient", "random")
THRESHOLDS = {"brevity": 0.4, "form": 0.5}  # that only lagrangian reads
ESTIMATOR = "rloo"  # grpo blows up small weights in groups where all answers are wrong
QUIET = {
    "logger": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "enable_checkpointing": False,
    "num_sanity_val_steps": 0,
    "accelerator": "cpu",
}


def equations(folder, **options):
    """Return the prompts of GSM8K."""
    files = {part: str(folder / f"gsm8k_{part}.jsonl") for part in ("train", "test")}
    return Equations(**files, **options)


def start(folder, path):
    """Train on demonstrations unless an earlier run of this script has."""
    if path.exists():
        return
    pl.seed_everything(0, verbose=False)
    network = TinyGPT(context=64, lr=3e-3)
    data = equations(folder, demonstrations=True, batch_size=64)
    pl.Trainer(max_steps=STEPS, limit_val_batches=0, **QUIET).fit(network, datamodule=data)
    torch.save(network.state_dict(), path)


def policy_of(path, rules=None):
    """Return the policy that every run starts from."""
    policy = TextPolicy(network=TinyGPT(context=64), group=8)
    policy.start(path)
    if rules is not None:
        policy.scalarizer = Scalarizer(rules)
    return policy


def values_of(policy, data):
    """Validate a policy: its rewards and their standard errors."""
    found = pl.Trainer(**HELD, **QUIET).validate(policy, datamodule=data, verbose=False)[0]
    names = [reward.metric for reward in policy.rewards]
    return tuple(found[n] for n in names), tuple(found[f"{n}_se"] for n in names)


def run(folder, path, method, preference, seed, times=1):
    """Train once; return the archive by validation, by held-out prompts, and the last policy."""
    weights = tuple((np.array(preference) / sum(preference)).tolist())
    rewards = tuple(
        replace(reward, threshold=THRESHOLDS.get(reward.name)) for reward in policy_of(path).rewards
    )
    rules = Rules(rewards, weights, WEIGHTERS[method](), ESTIMATOR, reference=(0.0,) * 3, seed=seed)
    policy, data = policy_of(path, rules), equations(folder, order=seed)
    with TemporaryDirectory() as place:
        keeper = Keeper(policy.scalarizer, Path(place))
        trainer = pl.Trainer(
            max_steps=UPDATES * times,
            val_check_interval=EVERY,
            check_val_every_n_epoch=None,
            callbacks=[keeper],
            **QUIET,
        )
        trainer.fit(policy, datamodule=data)
        selected: Archive = policy.scalarizer.archive
        data.held_out = True
        last = Entry(*values_of(policy, data), UPDATES * times, tuple(policy.scalarizer.now.values))
        scored = []
        for entry in selected.entries:
            policy.load_state_dict(torch.load(Path(place) / entry.checkpoint, weights_only=True))
            scored.append(Entry(*values_of(policy, data), entry.step, entry.weights))
    return selected, selected.of(scored), last


def row(folder, path, named, preference, seed):
    """Train once, print what came of it and return the archive by held-out prompts."""
    began = time.process_time()
    method, _, times = named.partition("*")
    selected, scored, last = run(folder, path, method, preference, seed, int(times or 1))
    cells = [
        named,
        ":".join(map(str, preference)),
        str(seed),
        f"{selected.hypervolume():.4f}",
        f"{scored.hypervolume():.4f}",
        " ".join(f"{value:.3f}" for value in last.values),
        " ".join(f"{value:.2f}" for value in last.weights),
        f"{time.process_time() - began:.0f}",
    ]
    print("| " + " | ".join(cells) + " |", flush=True)
    return scored


def summary(method, cost, volumes):
    """Return the table's row of a method: each seed, then the mean and its standard error."""
    error = np.std(volumes, ddof=1) / len(volumes) ** 0.5 if len(volumes) > 1 else np.nan
    cells = [f"{volume:.4f}" for volume in volumes]
    return f"| {cost} | {method} | {' | '.join(cells)} | {np.mean(volumes):.4f}±{error:.4f} |"


def main(folder, path, seeds, methods):
    """Print a row for each run, then what one run and four merged give for each method."""
    start(folder, path)
    data = equations(folder)
    data.held_out = True
    values, errors = values_of(policy_of(path), data)
    print("start:", np.round(values, 3), "±", np.round(errors, 3))
    print("| method | preference | seed | selected | held-out | last | last weights | CPU s |")
    print("|---|---|---|---|---|---|---|---|")
    rows = []
    for method in methods:
        grid = GRID[:1] if "*" in method else GRID
        kept = [[row(folder, path, method, at, seed) for at in grid] for seed in seeds]
        for count in sorted({len(grid), 1}, reverse=True):
            volumes = [merged(archives[:count]).hypervolume() for archives in kept]
            rows.append(summary(method, f"{count} run(s)", volumes))
            print(rows[-1], flush=True)
    print("\n| cost | method | " + " | ".join(f"seed {seed}" for seed in seeds) + " | mean |")
    print("|---" * (len(seeds) + 3) + "|")
    print("\n".join(rows))


if __name__ == "__main__":
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    given = sys.argv[3:]
    main(
        Path(sys.argv[1]),
        Path(sys.argv[2]),
        [int(word) for word in given if word.isdigit()] or [0, 1, 2],
        [word for word in given if not word.isdigit()] or METHODS,
    )
