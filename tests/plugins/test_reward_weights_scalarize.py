import json

import numpy as np
import pytest
import torch

from automl_reward_weights.advantages import combined
from automl_reward_weights.archive import Entry
from automl_reward_weights.rewards import Reward
from automl_reward_weights.scalarize import Rules, Scalarizer, even
from automl_reward_weights.weighters import Gradient, HvGradient, HvScale

REWARDS = (Reward("accuracy"), Reward("length", goal="minimize", bounds=(0, 10)))


def never(_advantages, _unit):
    raise AssertionError("nobody should have asked for the influence")


def made(weighter, **changes):
    settings = {"preference": (0.5, 0.5), "reference": (-0.1, -0.1), "seed": 3}
    return Scalarizer(Rules(REWARDS, weighter=weighter, **(settings | changes)))


def raw(seed=0):
    return torch.rand(8, 2, generator=torch.Generator().manual_seed(seed)) * torch.tensor([1, 10.0])


def entry(accuracy, length, step):
    return Entry((accuracy, length), (0.0, 0.0), step, (0.5, 0.5))


def test_the_advantages_are_those_of_the_normalized_rewards():
    got = Scalarizer(even(REWARDS)).advantages(raw(), 4, never)
    values = torch.stack([raw()[:, 0], 1 - raw()[:, 1] / 10], 1)
    expected = combined(values, torch.tensor([0.5, 0.5]), 4, "grpo", "sum")
    torch.testing.assert_close(got, expected)


def test_only_the_gradient_weighter_asks_for_the_influence():
    made(HvGradient()).advantages(raw(), 4, never)
    with pytest.raises(AssertionError, match="asked for the influence"):
        made(Gradient()).advantages(raw(), 4, never)


def test_the_scale_reaches_the_advantages_after_they_are_normalized():
    scalarizer = made(HvScale())
    plain = scalarizer.advantages(raw(), 4, never)
    scalarizer.evaluate(entry(0.9, 1.0, 5), 5)
    torch.testing.assert_close(scalarizer.advantages(raw(), 4, never), 2 * plain)


def test_a_reward_that_never_varies_is_an_error_after_some_patience():
    scalarizer = made(HvGradient(), patience=3)
    flat = torch.cat([raw()[:, :1], torch.full((8, 1), 7.0)], 1)
    for _ in range(2):
        scalarizer.advantages(flat, 4, never)
    with pytest.raises(ValueError, match="reward 'length': was 7 in every rollout of the first 3"):
        scalarizer.advantages(flat, 4, never)


def test_a_reward_that_varied_once_is_none():
    scalarizer = made(HvGradient(), patience=2)
    scalarizer.advantages(raw(), 4, never)
    for _ in range(5):
        scalarizer.advantages(torch.zeros(8, 2), 4, never)
    assert scalarizer.constant.tolist() == [1, 1]


def test_an_evaluation_within_its_noise_is_not_kept():
    scalarizer = made(HvGradient(), caution=1.0)
    assert scalarizer.evaluate(entry(0.5, 5.0, 5), 5)
    noisy = Entry((0.52, 5.0), (0.05, 0.0), 10, (0.5, 0.5))
    assert not scalarizer.evaluate(noisy, 10)
    assert scalarizer.evaluate(entry(0.6, 5.0, 15), 15)


def test_a_scalarizer_goes_on_from_its_state_as_if_uncut():
    whole, cut = made(HvGradient()), made(HvGradient())
    for step in range(1, 4):
        for one in (whole, cut):
            one.advantages(raw(step), 4, never)
            one.evaluate(entry(0.1 * step, 2.0 * step, step), step)
    fresh = made(HvGradient())
    fresh.load_state_dict(json.loads(json.dumps(cut.state_dict())))
    torch.testing.assert_close(
        fresh.advantages(raw(9), 4, never), whole.advantages(raw(9), 4, never)
    )
    assert fresh.state_dict() == whole.state_dict()


def test_a_gate_closes_before_the_rewards_are_weighed():
    gated = (Reward("accuracy"), Reward("brevity", gate="accuracy"))
    scalarizer = Scalarizer(even(gated))
    scalarizer.advantages(torch.tensor([[0.0, 0.9], [1.0, 0.4]]), 2, never)
    np.testing.assert_allclose(scalarizer.average, [0.5, 0.2])
