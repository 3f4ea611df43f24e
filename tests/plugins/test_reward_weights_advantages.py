import pytest
import torch

from automl_reward_weights.advantages import (
    ESTIMATORS,
    combined,
    constant_groups,
    per_reward,
    scale_invariant,
)

GROUP = 4


@pytest.fixture
def rewards():
    return torch.rand(3 * GROUP, 3, generator=torch.Generator().manual_seed(0))


WEIGHTS = torch.tensor([0.5, 0.3, 0.2])


def groups(values):
    return [values[start : start + GROUP].tolist() for start in range(0, len(values), GROUP)]


def test_rloo_subtracts_the_mean_of_the_other_rollouts(rewards):
    total = rewards @ WEIGHTS
    expected = [
        row[i] - sum(row[:i] + row[i + 1 :]) / (GROUP - 1)
        for row in groups(total)
        for i in range(GROUP)
    ]
    got = combined(rewards, WEIGHTS, GROUP, "rloo", "sum")
    torch.testing.assert_close(got, torch.tensor(expected))


def test_grpo_standardizes_each_group_and_dr_grpo_only_centres_it(rewards):
    total = (rewards @ WEIGHTS).view(3, GROUP)
    centred = total - total.mean(1, keepdim=True)
    expected = (centred / (total.std(1, keepdim=True) + 1e-6)).flatten()
    torch.testing.assert_close(combined(rewards, WEIGHTS, GROUP, "grpo", "sum"), expected)
    torch.testing.assert_close(
        combined(rewards, WEIGHTS, GROUP, "dr_grpo", "sum"), centred.flatten()
    )


def test_reinforce_has_mean_zero_and_deviation_one_over_the_batch(rewards):
    got = combined(rewards, WEIGHTS, GROUP, "reinforce", "sum")
    assert got.mean().item() == pytest.approx(0, abs=1e-6)
    assert got.std().item() == pytest.approx(1, abs=1e-4)


def test_gdpo_does_not_care_for_the_scale_of_a_single_reward(rewards):
    scaled = rewards * torch.tensor([1.0, 100.0, 0.01])
    torch.testing.assert_close(
        combined(rewards, WEIGHTS, GROUP, "grpo", "gdpo"),
        combined(scaled, WEIGHTS, GROUP, "grpo", "gdpo"),
        atol=2e-3,
        rtol=1e-2,
    )


@pytest.mark.parametrize("aggregation", ["sum", "gdpo"])
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_common_factor_cancels_exactly_where_it_is_said_to(rewards, estimator, aggregation):
    plain = combined(rewards, WEIGHTS, GROUP, estimator, aggregation)
    for factor in (0.5, 2.0):
        scaled = combined(factor * rewards, WEIGHTS, GROUP, estimator, aggregation)
        same = (scaled - plain).abs().max().item() < 1e-4
        assert same == scale_invariant(estimator, aggregation)
        if not same:
            torch.testing.assert_close(scaled, factor * plain)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_constant_group_has_no_advantage(estimator):
    got = combined(torch.ones(GROUP, 3), WEIGHTS, GROUP, estimator, "sum")
    assert got.abs().max().item() == pytest.approx(0, abs=1e-6)


def test_leading_dimensions_are_batches_of_their_own(rewards):
    both = torch.stack([rewards, rewards.flip(0)])
    weights = torch.stack([WEIGHTS, WEIGHTS.flip(0)])
    got = combined(both, weights, GROUP, "reinforce", "gdpo")
    for one, own in zip(range(2), weights, strict=True):
        torch.testing.assert_close(got[one], combined(both[one], own, GROUP, "reinforce", "gdpo"))


def test_each_reward_alone_equals_the_whole_with_all_weight_on_it(rewards):
    alone = per_reward(rewards, GROUP, "grpo")
    for k in range(3):
        whole = combined(rewards, torch.eye(3)[k], GROUP, "grpo", "sum")
        torch.testing.assert_close(alone[:, k], whole)


def test_the_share_of_constant_groups_is_counted_for_each_reward():
    rewards = torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 2.0], [0.0, 2.0]])
    assert constant_groups(rewards, 2).tolist() == [1.0, 0.5]


def test_rollouts_that_do_not_fill_their_groups_are_refused(rewards):
    with pytest.raises(ValueError, match="12 rollouts in groups of 5"):
        combined(rewards, WEIGHTS, 5, "grpo", "sum")


@pytest.mark.parametrize(("estimator", "aggregation"), [("rloo", "sum"), ("grpo", "gdpo")])
def test_where_all_answers_are_wrong_grpo_blows_up_what_weighs_little(estimator, aggregation):
    right = torch.tensor([0.0, 0, 0, 0, 1, 0, 1, 0])
    tidy = torch.tensor([1.0, 0, 1, 0, 0, 1, 0, 1])
    rewards, weights = torch.stack([right, tidy], 1), torch.tensor([0.98, 0.02])
    wrong = slice(0, GROUP)

    def share(estimator, aggregation):
        sizes = combined(rewards, weights, GROUP, estimator, aggregation).abs()
        return (sizes[wrong].sum() / sizes.sum()).item()

    assert share("grpo", "sum") == pytest.approx(0.5, abs=1e-3)
    assert share(estimator, aggregation) < 0.05
