"""Two processes that train one model agree on weights, advantages and archive."""

import json

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import distributed, multiprocessing

from automl_reward_weights.environment import EnvironmentPolicy
from automl_reward_weights.influence import measured
from automl_reward_weights.keeper import Keeper
from automl_reward_weights.rewards import Reward
from automl_reward_weights.scalarize import Rules, Scalarizer
from automl_reward_weights.weighters import WEIGHTERS

CASES = [
    ("gradient", "rloo", "sum"),
    ("gradient", "grpo", "gdpo"),
    ("variance", "reinforce", "sum"),
    ("chebyshev", "grpo", "sum"),
    ("lagrangian", "rloo", "gdpo"),
]
REWARDS = (Reward("a"), Reward("b", bounds=(0, 3)), Reward("c", goal="minimize"))
SEEN = torch.randn(16, 5, generator=torch.Generator().manual_seed(0))
RAW = torch.rand(16, 3, generator=torch.Generator().manual_seed(1))


def stepped(case, rows):
    """Return the advantages and the weights after two batches of some of the rollouts."""
    name, estimator, aggregation = case
    weighter = WEIGHTERS[name]()
    rules = Rules(REWARDS, (1 / 3,) * 3, weighter, estimator, aggregation, reference=(0.0,) * 3)
    scalarizer = Scalarizer(rules)
    parameters = {"linear": torch.ones(5)}
    for _ in range(2):
        made = scalarizer.advantages(
            RAW[rows],
            4,
            lambda alone, unit: measured(
                lambda at: (SEEN[rows] @ at["linear"]).tanh(), parameters, alone, unit=unit
            ),
        )
    return made, torch.from_numpy(scalarizer.now.values), scalarizer.seed(3)


def one_of_two(number, folder):
    """Take half of the rollouts, as one of two processes."""
    address = f"file://{folder}/meet"
    distributed.init_process_group("gloo", init_method=address, rank=number, world_size=2)
    rows = slice(8 * number, 8 * number + 8)
    torch.save([stepped(case, rows) for case in CASES], folder / f"{number}.pt")
    distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_weigh_as_one_with_all_rollouts(tmp_path):
    multiprocessing.spawn(one_of_two, (tmp_path,), nprocs=2)
    first, second = (torch.load(tmp_path / f"{number}.pt") for number in (0, 1))
    for case, one, two in zip(CASES, first, second, strict=True):
        made, weights, _ = stepped(case, slice(None))
        assert torch.equal(one[1], two[1]), case
        torch.testing.assert_close(one[1], weights, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(torch.cat([one[0], two[0]]), made, atol=1e-4, rtol=1e-4)
        assert one[2] != two[2]


class Note(pl.Callback):
    """Write down the weights that each process ends with."""

    def __init__(self, folder):
        self.folder = folder

    def on_fit_end(self, trainer, pl_module):
        values = pl_module.scalarizer.now.values
        np.save(self.folder / f"weights-{trainer.global_rank}.npy", values)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
def test_a_fit_on_two_processes_keeps_one_archive(tmp_path):
    policy = EnvironmentPolicy(environment="deep-sea-treasure", updates=20)
    rules = Rules(policy.rewards, (0.5, 0.5), WEIGHTERS["hv_gradient"](), reference=(-0.1,) * 2)
    policy.scalarizer = Scalarizer(rules)
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=2,
        strategy="ddp_spawn",
        max_epochs=3,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[Keeper(policy.scalarizer, tmp_path), Note(tmp_path)],
    )
    trainer.fit(policy)
    one, two = (np.load(tmp_path / f"weights-{number}.npy") for number in (0, 1))
    assert one.tolist() == two.tolist() != [0.5, 0.5]
    archive = json.loads((tmp_path / "archive.json").read_text())
    assert [row["step"] for row in archive["curve"]] == [10, 20, 30]
    for row in archive["archive"]:
        assert (tmp_path / row["checkpoint"]).exists()
