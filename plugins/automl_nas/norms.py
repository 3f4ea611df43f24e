"""Batch norm for shared weights: running statistics of a supernet belong to no architecture."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional

EPSILON = 1e-5


class SharedNorm(nn.Module):
    """Normalization by batch statistics, without weights and without running averages.

    In training, and in evaluation until statistics were taken, the batch's own are used; afterwards
    those that `statistics` took on the last batch that it saw.
    """

    def __init__(self) -> None:
        super().__init__()
        self.taking = False
        self.mean: Tensor | None = None
        self.variance: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Normalize the channels, axis 1, of (B, C, ...)."""
        if self.taking:
            axes = [axis for axis in range(x.ndim) if axis != 1]
            self.variance, self.mean = torch.var_mean(x.detach(), axes, correction=0)
        if self.training or self.taking or self.mean is None:
            return functional.batch_norm(x, None, None, training=True, eps=EPSILON)
        return functional.batch_norm(x, self.mean, self.variance, eps=EPSILON)


def shared_norms(network: nn.Module) -> nn.Module:
    """Put a `SharedNorm` in the place of every batch norm of a network, in place; return it."""
    if isinstance(network, nn.modules.batchnorm._BatchNorm):  # noqa: SLF001 - their common base
        return SharedNorm()
    for name, child in list(network.named_children()):
        setattr(network, name, shared_norms(child))
    return network


@contextmanager
def statistics(network: nn.Module) -> Iterator[None]:
    """Take the statistics of the batches that pass inside; evaluation uses the last ones."""
    norms = [module for module in network.modules() if isinstance(module, SharedNorm)]
    for norm in norms:
        norm.taking = True
    try:
        yield
    finally:
        for norm in norms:
            norm.taking = False
