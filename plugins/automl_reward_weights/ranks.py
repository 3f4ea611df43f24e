"""What the processes of one distributed training tell one another; alone, each call is free."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, distributed

from automl_reward_weights.volume import Array


def rank() -> int:
    """Return the number of this process in its training; 0 where it trains alone."""
    return distributed.get_rank() if together() else 0


def together() -> bool:
    """Say whether several processes train one model."""
    return (
        distributed.is_available()
        and distributed.is_initialized()
        and distributed.get_world_size() > 1
    )


def gathered(values: Array) -> Sequence[Array]:
    """Return the arrays of all processes in their order; sizes may differ."""
    if not together():
        return [values]
    found: list[Array] = [np.empty(0)] * distributed.get_world_size()
    distributed.all_gather_object(found, values)
    return found


def averaged(values: Tensor) -> Tensor:
    """Return the mean over all processes, the same bits in each; shapes must agree."""
    if not together():
        return values
    mean = values.detach().clone()
    distributed.all_reduce(mean)
    return mean / distributed.get_world_size()


def averages(parts: Sequence[Tensor]) -> list[Tensor]:
    """Return the mean over all processes of each part, by one exchange for all of them."""
    if not together():
        return list(parts)
    flat = averaged(torch.cat([part.flatten() for part in parts]))
    pieces = torch.split(flat, [part.numel() for part in parts])
    return [piece.view_as(part) for piece, part in zip(pieces, parts, strict=True)]
