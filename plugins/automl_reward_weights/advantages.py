"""Advantages of rollouts under K rewards: four estimators and two ways to aggregate.

Sources: Williams, "Simple statistical gradient-following algorithms", 1992 (REINFORCE, whitened
over the batch as in REINFORCE++); Ahmadian et al., "Back to basics", 2024 (RLOO); Shao et al.,
"DeepSeekMath", 2024 (GRPO); Liu et al., "Understanding R1-Zero-like training", 2025 (Dr. GRPO);
Liu et al., "GDPO", 2026, arXiv 2601.05242. N rollouts stand in groups of G with the same prompt,
the rows of a group beside each other; leading dimensions are independent batches.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from torch import Tensor

EPSILON = 1e-6  # added to standard deviations, so that a constant group has no advantage
AGGREGATIONS = ("sum", "gdpo")


def in_groups(rewards: Tensor, group: int) -> Tensor:
    """View (..., N) as (..., N / group, group); refuse what does not divide."""
    count = rewards.shape[-1]
    if group < 2 or count % group:
        raise ValueError(
            f"advantages: {count} rollouts in groups of {group}; a group needs at least 2 rollouts "
            "and their number must be a multiple of it"
        )
    return rewards.reshape(*rewards.shape[:-1], count // group, group)


def standardized(values: Tensor) -> Tensor:
    """Subtract the mean of the last dimension and divide by its standard deviation."""
    centred = values - values.mean(-1, keepdim=True)
    return centred / (values.std(-1, keepdim=True) + EPSILON)


def reinforce(rewards: Tensor, group: int) -> Tensor:
    """Whiten over the whole batch; groups do not matter."""
    in_groups(rewards, group)
    return standardized(rewards)


def grpo(rewards: Tensor, group: int) -> Tensor:
    """Standardize within each group."""
    return standardized(in_groups(rewards, group)).flatten(-2)


def dr_grpo(rewards: Tensor, group: int) -> Tensor:
    """Subtract the mean of each group."""
    grouped = in_groups(rewards, group)
    return (grouped - grouped.mean(-1, keepdim=True)).flatten(-2)


def rloo(rewards: Tensor, group: int) -> Tensor:
    """Subtract from each reward the mean of the others of its group."""
    return dr_grpo(rewards, group) * (group / (group - 1))


ESTIMATORS: Mapping[str, Callable[[Tensor, int], Tensor]] = MappingProxyType(
    {"grpo": grpo, "rloo": rloo, "dr_grpo": dr_grpo, "reinforce": reinforce}
)


def per_reward(rewards: Tensor, group: int, estimator: str) -> Tensor:
    """Estimate the advantages of each reward alone.

    Args:
        rewards: (..., N, K) rewards of N rollouts.
        group: rollouts of one prompt.
        estimator: a name of `ESTIMATORS`.

    Returns:
        (..., N, K) advantages.
    """
    return ESTIMATORS[estimator](rewards.transpose(-1, -2), group).transpose(-1, -2)


def combined(
    rewards: Tensor, weights: Tensor, group: int, estimator: str, aggregation: str
) -> Tensor:
    """Make one advantage of K rewards.

    Args:
        rewards: (..., N, K) rewards of N rollouts.
        weights: (..., K) weights of the rewards.
        group: rollouts of one prompt.
        estimator: a name of `ESTIMATORS`; `gdpo` brings its own, so there it has no say.
        aggregation: `sum` estimates the advantage of the weighted sum; `gdpo` standardizes each
            reward in its group, sums them with their weights and whitens the batch.

    Returns:
        (..., N) advantages.
    """
    if aggregation == "sum":
        return ESTIMATORS[estimator]((rewards * weights.unsqueeze(-2)).sum(-1), group)
    if aggregation == "gdpo":
        alone = per_reward(rewards, group, "grpo")
        return standardized((alone * weights.unsqueeze(-2)).sum(-1))
    raise ValueError(f"aggregation: {aggregation!r} is none of {', '.join(AGGREGATIONS)}")


def scale_invariant(estimator: str, aggregation: str) -> bool:
    """Say whether a common factor of all rewards leaves the advantages as they are."""
    return aggregation == "gdpo" or estimator in {"grpo", "reinforce"}


def constant_groups(rewards: Tensor, group: int) -> Tensor:
    """Return (..., K): for each of (..., N, K) rewards the share of groups where it is constant."""
    grouped = in_groups(rewards.transpose(-1, -2), group)
    return (grouped.amax(-1) == grouped.amin(-1)).double().mean(-1)
