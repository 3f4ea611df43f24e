"""Weigh several rewards while a policy trains; keep every reward vector that nothing beats.

After Lu et al., "Learning to optimize multi-objective alignment through dynamic reward
weighting", 2025, arXiv 2509.11452, with weights that follow the hypervolume's own gradient.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from automl_reward_weights.plugin import RewardWeights
from automl_reward_weights.rewards import Reward
from automl_reward_weights.weighters import Batch, Evaluation, Weighter, Weights

if TYPE_CHECKING:
    from automl_reward_weights.environment import EnvironmentPolicy as EnvironmentPolicy
    from automl_reward_weights.equations import Equations as Equations
    from automl_reward_weights.scalarize import Scalarizer as Scalarizer
    from automl_reward_weights.text import TextPolicy as TextPolicy

LATE = {
    "EnvironmentPolicy": "environment",
    "Equations": "equations",
    "Scalarizer": "scalarize",
    "TextPolicy": "text",
}

__all__ = ["Batch", "Evaluation", "Reward", "RewardWeights", "Weighter", "Weights"]


def __getattr__(name: str) -> Any:
    """Import what needs torch when it is first asked for."""
    if name not in LATE:
        raise AttributeError(f"module 'automl_reward_weights' has no attribute {name!r}")
    return getattr(import_module(f"automl_reward_weights.{LATE[name]}"), name)
