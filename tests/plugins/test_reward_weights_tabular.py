import dataclasses

import numpy as np
import pytest
import torch

from automl_reward_weights.tables import TABLES
from automl_reward_weights.tabular import (
    Recipe,
    Run,
    entropy_gradient,
    gradient,
    greedy_returns,
    rollouts,
    train,
)
from automl_reward_weights.weighters import WEIGHTERS

SEA = TABLES["deep-sea-treasure"]()
TREE = TABLES["fruit-tree"]()


@pytest.fixture
def seen():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 63, 2, generator=generator, dtype=torch.float64, requires_grad=True)
    policy = logits.log_softmax(-1)
    return logits, policy, rollouts(TREE, policy.detach(), 8, generator)


def test_the_gradient_equals_that_of_autograd(seen):
    logits, policy, rolled = seen
    advantages = torch.randn(3, 8, dtype=torch.float64)
    chosen = policy.flatten()[rolled.places]
    per_episode = torch.zeros(24, dtype=torch.float64).index_add(0, rolled.episodes, chosen)
    expected = torch.autograd.grad((per_episode.view(3, 8) * advantages).mean(1).sum(), logits)[0]
    torch.testing.assert_close(gradient(rolled, policy.detach(), advantages), expected)


def test_the_entropys_gradient_equals_that_of_autograd(seen):
    logits, policy, rolled = seen
    entropy = -(policy.exp() * policy).sum(-1)
    visited = entropy.flatten()[rolled.places // 2]
    expected = torch.autograd.grad(visited.sum() / 8, logits)[0]
    torch.testing.assert_close(entropy_gradient(rolled, policy.detach()), expected)


def test_a_greedy_dive_takes_the_treasure_below():
    policy = torch.zeros(1, *SEA.after.shape)
    policy[:, :, 1] = 1
    assert greedy_returns(SEA, policy).tolist() == [[0.7, -1.0]]


def test_an_episode_that_never_ends_is_cut_at_the_horizon():
    policy = torch.zeros(1, *SEA.after.shape)
    policy[:, :, 0] = 1
    assert greedy_returns(SEA, policy).tolist() == [[0.0, -SEA.horizon]]


@pytest.mark.parametrize("estimator", ["grpo", "rloo"])
def test_runs_side_by_side_do_not_touch_one_another(estimator):
    nan = np.full(6, np.nan)
    runs = [Run(WEIGHTERS[n](), np.full(6, 1 / 6), nan, 0) for n in ("fixed", "gradient")]
    recipe = Recipe(updates=20, estimator=estimator)
    swapped = dataclasses.replace(runs[1], weighter=WEIGHTERS["random"]())
    alone, beside = (train(TREE, [runs[0], other], recipe)[0] for other in (runs[1], swapped))
    assert alone.archive == beside.archive


def test_a_preference_for_one_nutrient_finds_the_fruit_that_has_most_of_it():
    preference = np.eye(6)[3]
    run = Run(WEIGHTERS["fixed"](), preference, np.full(6, np.nan), 0)
    archive = train(TREE, [run], Recipe(updates=200, group=64, entropy=0.02))[0].archive
    assert archive.front()[:, 3].max() > 0.95


def test_the_hypervolume_of_an_archive_never_falls():
    run = Run(WEIGHTERS["hv_gradient"](), np.full(6, 1 / 6), np.full(6, np.nan), 0)
    volumes = train(TREE, [run], Recipe(updates=60))[0].volumes
    assert list(volumes) == sorted(volumes)
    assert volumes[-1] > volumes[0]
