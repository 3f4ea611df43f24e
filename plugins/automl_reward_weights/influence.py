"""How much each reward's gradient agrees with the gradient of all: the influence of a reward.

Source: Lu et al., "Learning to optimize multi-objective alignment through dynamic reward
weighting", 2025, arXiv 2509.11452: s_k = <g_k, sum_j g_j>. With g_k the gradient of
(1/N) sum_n A_nk l_n over sequence log-probabilities l, s_k = (1/N) sum_n A_nk u_n, where u is the
derivative of l along v = sum_j g_j: one backward and one directional derivative, not K backwards.
Where several processes train one model, gradients and influences are means over all of them.
"""

import warnings
from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.func import jvp

from automl_reward_weights.ranks import averaged, averages

LogProbs = Callable[[Mapping[str, Tensor]], Tensor]


def gradients(log_probs: Tensor, parameters: Mapping[str, Tensor], advantages: Tensor) -> Tensor:
    """Compute the gradient of each column by one backward for each.

    Args:
        log_probs: (N,) log-probabilities of the rollouts, with their graph.
        parameters: what they depend on, by name; P numbers together.
        advantages: (N, K) advantages of each reward.

    Returns:
        (K, P) gradients of the mean of advantage times log-probability.
    """
    rows = []
    for column in advantages.unbind(-1):
        mean = (column * log_probs).mean()
        parts = torch.autograd.grad(
            mean, list(parameters.values()), retain_graph=True, materialize_grads=True
        )
        rows.append(torch.cat([part.flatten() for part in parts]))
    return averaged(torch.stack(rows))


def influence(log_probs: LogProbs, parameters: Mapping[str, Tensor], advantages: Tensor) -> Tensor:
    """Compute the influence of each reward by forward differentiation.

    Args:
        log_probs: maps parameters to the (N,) log-probabilities of the rollouts.
        parameters: where to differentiate, by name.
        advantages: (N, K) advantages of each reward.

    Returns:
        (K,) inner products of each reward's gradient with the sum of all.
    """
    direction = total_gradient(log_probs, parameters, advantages)
    at = {name: value.detach() for name, value in parameters.items()}
    with warnings.catch_warnings():  # torch scripts its own decompositions, and warns of that
        warnings.filterwarnings("ignore", "`torch.jit.script", DeprecationWarning)
        change: Tensor = jvp(log_probs, (at,), (direction,))[1]
    return averaged(advantages.T @ change / len(change))


def influence_by_differences(
    log_probs: LogProbs,
    parameters: Mapping[str, Tensor],
    advantages: Tensor,
    relative_step: float = 1e-3,
) -> Tensor:
    """Compute the influence of each reward by a central difference: two forwards without a graph.

    For models whose operations have no forward derivative. The step is `relative_step` times the
    size of the parameters over the size of the direction; the arguments are those of `influence`.
    """
    direction = total_gradient(log_probs, parameters, advantages)
    at = {name: value.detach() for name, value in parameters.items()}
    step = relative_step * norm(at) / norm(direction).clamp_min(1e-30)
    with torch.no_grad():
        ahead = log_probs({name: value + step * direction[name] for name, value in at.items()})
        behind = log_probs({name: value - step * direction[name] for name, value in at.items()})
    change = (ahead - behind) / (2 * step)
    return averaged(advantages.T @ change / len(change))


def total_gradient(
    log_probs: LogProbs, parameters: Mapping[str, Tensor], advantages: Tensor
) -> dict[str, Tensor]:
    """Compute the sum of all rewards' gradients, by parameter name, in one backward."""
    leaves = {name: value.detach().requires_grad_() for name, value in parameters.items()}
    mean = (advantages.sum(-1) * log_probs(leaves)).mean()
    parts = torch.autograd.grad(mean, list(leaves.values()), materialize_grads=True)
    return dict(zip(leaves, averages(parts), strict=True))


def norm(parts: Mapping[str, Tensor]) -> Tensor:
    """Compute the Euclidean norm over all parts together."""
    return torch.stack([part.double().square().sum() for part in parts.values()]).sum().sqrt()


def summed(gradient: Tensor, *, unit: bool) -> Tensor:
    """Compute the influences from (..., K, P) gradients; `unit` scales each to length 1 first."""
    if unit:
        gradient = gradient / gradient.norm(dim=-1, keepdim=True).clamp_min(1e-30)
    return (gradient @ gradient.sum(-2).unsqueeze(-1)).squeeze(-1)


def measured(
    log_probs: LogProbs, parameters: Mapping[str, Tensor], advantages: Tensor, *, unit: bool
) -> Tensor:
    """Compute the (K,) influences in the cheapest way: K backwards only for unit gradients."""
    if unit:
        rows = gradients(log_probs(parameters), parameters, advantages)
        return summed(rows, unit=True)
    return influence_by_differences(log_probs, parameters, advantages)
