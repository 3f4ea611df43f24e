import pytest
import torch
from torch.func import functional_call

from automl_reward_weights.influence import (
    gradients,
    influence,
    influence_by_differences,
    summed,
)


@pytest.fixture(params=[1, 3, 7])
def case(request):
    generator = torch.Generator().manual_seed(request.param)
    torch.manual_seed(request.param)
    net = torch.nn.Sequential(torch.nn.Linear(5, 16), torch.nn.Tanh(), torch.nn.Linear(16, 4))
    seen = torch.randn(24, 5, generator=generator)
    action = torch.randint(4, (24,), generator=generator)
    advantages = torch.randn(24, request.param, generator=generator)

    def log_probs(parameters):
        logits = functional_call(net, dict(parameters), (seen,)).log_softmax(-1)
        return logits.gather(1, action.unsqueeze(1)).squeeze(1)

    return log_probs, dict(net.named_parameters()), advantages


def by_a_backward_for_each_reward(log_probs, parameters, advantages):
    return gradients(log_probs(parameters), parameters, advantages)


@pytest.mark.parametrize("fast", [influence, influence_by_differences])
def test_one_backward_and_one_derivative_equal_a_backward_for_each_reward(case, fast):
    rows = by_a_backward_for_each_reward(*case)
    expected = rows @ rows.sum(0)
    error = (fast(*case) - expected).abs().max() / expected.abs().max()
    assert error < 1e-4


def test_the_influences_sum_to_the_squared_length_of_the_whole_gradient(case):
    rows = by_a_backward_for_each_reward(*case)
    assert influence(*case).sum().item() == pytest.approx(
        rows.sum(0).square().sum().item(), rel=1e-4
    )


def test_unit_gradients_forget_how_long_they_were(case):
    rows = by_a_backward_for_each_reward(*case)
    lengths = torch.arange(1.0, len(rows) + 1).unsqueeze(1)
    torch.testing.assert_close(summed(rows, unit=True), summed(rows * lengths, unit=True))
    torch.testing.assert_close(summed(rows, unit=False), rows @ rows.sum(0))


def test_a_parameter_without_a_part_in_it_has_no_influence():
    parameters = {"used": torch.ones(1, requires_grad=True), "idle": torch.ones(2)}
    parameters["idle"].requires_grad_()
    got = influence(
        lambda at: at["used"] * torch.arange(3.0), parameters, torch.ones(3, 2, dtype=torch.float32)
    )
    torch.testing.assert_close(got, torch.tensor([2.0, 2.0]))
