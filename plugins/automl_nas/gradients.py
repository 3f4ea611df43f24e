"""How alike operations of an edge train the weights that they share.

Gradient matching: Hu et al., Generalizing Few-Shot NAS with Gradient Matching (ICLR 2022). Two
operations match as far as the gradients of the loss with respect to all weights outside their edge
point the same way. The contribution form compares what each operation sends upstream in one
backward pass of the mean of all; the idea is that of gradient contributions (Song et al., 2025).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from automl_nas.choices import OneOf, choosable, choose
from automl_nas.paths import seed_of
from automl_nas.region import Region
from automl_nas.space import Space, named
from automl_nas.steps import untouched

Grams = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Probe:
    """A supernet and what it is probed with.

    Attributes:
        network: with the choices of the space.
        space: whose edges are probed.
        batches: on the device of the network.
        loss: the training loss of a batch on the path that is set.
        seed: of the contexts; the same seed gives the same Grams.
        room: numbers that the gradients of all operations may take at a time; more passes are made
            where the weights are more.
    """

    network: nn.Module
    space: Space
    batches: Sequence[Any]
    loss: Callable[[Any], Tensor]
    seed: int = 0
    room: int = 2**27


def cosines(grams: Any) -> Grams:
    """Return cosine similarities from inner products.

    Args:
        grams: (..., K, K) inner products of gradients.

    Returns:
        (..., K, K), 1 on the diagonal. A zero gradient is similar to nothing, 0.
    """
    products = np.asarray(grams, dtype=np.float64)
    norms = np.sqrt(np.diagonal(products, axis1=-2, axis2=-1))
    scale = norms[..., :, None] * norms[..., None, :]
    found = np.divide(products, scale, out=np.zeros_like(products), where=scale > 0)
    count = products.shape[-1]
    found[..., range(count), range(count)] = 1
    limited: Grams = np.clip(found, -1, 1)
    return limited


def gradient_grams(probe: Probe, region: Region, edge: int) -> Grams:
    """Return the inner products of the gradients that the operations of one edge produce.

    For each batch one path is drawn for the other edges; each operation runs on it in turn, on the
    same batch with the same random numbers. Weights, their gradients, buffers and generators are
    left as they were.

    Args:
        probe: the supernet, K forward and backward passes a batch.
        region: from which paths are drawn.
        edge: index of the edge whose operations are compared.

    Returns:
        (M, K, K) for M batches and the K operations that are left in the region.
    """
    groups = list(rooms(shared_weights(probe, edge), probe.room // len(region.alive[edge])))
    rng = np.random.default_rng(seed_of(probe.seed, "context", edge))
    contexts = region.sample(rng, len(probe.batches))
    with untouched(probe.network):
        probe.network.train()
        grams = [
            sum_of(
                gram(gradients(probe, region.alive[edge], edge, (row, batch), group))
                for group in groups
            )
            for row, batch in zip(contexts, probe.batches, strict=True)
        ]
    found: Grams = torch.stack(grams).cpu().numpy()  # the one transfer from the device
    return found


def gradients(
    probe: Probe,
    alive: Sequence[int],
    edge: int,
    at: tuple[NDArray[np.int8], Any],
    weights: Sequence[Tensor],
) -> list[list[Tensor]]:
    """Return for each operation the gradient of each weight, zeros where it plays no part."""
    row, batch = at
    found = []
    for operation in alive:
        path = [int(index) for index in row]
        path[edge] = operation
        torch.manual_seed(seed_of(probe.seed, "noise", edge) % 2**63)
        choose(probe.network, named(probe.space, tuple(path)))
        found.append(gradient(probe.loss(batch), weights))
    return found


def gradient(loss: Tensor, weights: Sequence[Tensor]) -> list[Tensor]:
    """Return the gradient of a loss with respect to each weight without touching `.grad`."""
    if not loss.requires_grad:
        return [torch.zeros_like(weight) for weight in weights]
    found = torch.autograd.grad(loss, weights, allow_unused=True)
    return [
        torch.zeros_like(weight) if grad is None else grad
        for weight, grad in zip(weights, found, strict=True)
    ]


def gram(found: Sequence[Sequence[Tensor]]) -> Tensor:
    """Add the inner products tensor by tensor: (K, K) from K lists of equal shapes."""
    total = torch.zeros(len(found), len(found), dtype=torch.float64, device=found[0][0].device)
    for tensors in zip(*found, strict=True):
        rows = torch.stack([tensor.flatten() for tensor in tensors]).double()
        total += rows @ rows.T
    return total


def sum_of(parts: Iterator[Tensor]) -> Tensor:
    """Add tensors of one shape."""
    return torch.stack(list(parts)).sum(dim=0)


def shared_weights(probe: Probe, edge: int) -> list[nn.Parameter]:
    """Return the trained weights outside the operations of an edge.

    An edge that slices weights, of a width or depth, has none of its own: all are shared.
    """
    modules = choosable(probe.network).get(probe.space.edges[edge].name, [])
    own = {id(p) for m in modules if isinstance(m, OneOf) for p in m.parameters()}
    return [p for p in probe.network.parameters() if p.requires_grad and id(p) not in own]


def rooms(weights: Sequence[nn.Parameter], room: int) -> Iterator[list[nn.Parameter]]:
    """Part weights into runs of at most `room` numbers, or of a single larger one."""
    run: list[nn.Parameter] = []
    for weight in weights:
        if run and sum(p.numel() for p in run) + weight.numel() > room:
            yield run
            run = []
        run.append(weight)
    yield run


def contribution_grams(probe: Probe, region: Region) -> dict[int, Grams]:
    """Return the inner products of what operations send upstream, for every edge at once.

    With y = mean over k of o_k(x), the gradient that reaches x is a sum of one term for each
    operation; these terms are compared. One forward and backward pass a batch; only weights before
    the edge are seen. Edges of widths and depths have no such terms and are left out.

    Returns:
        (M, K, K) by index of the edge, for the K operations that are left in the region.
    """
    modules = {
        index: [m for m in choosable(probe.network)[edge.name] if isinstance(m, OneOf)]
        for index, edge in enumerate(probe.space.edges)
    }
    mixed = {index: parts for index, parts in modules.items() if parts}
    found: dict[int, list[Tensor]] = {index: [] for index in mixed}
    with untouched(probe.network):
        probe.network.train()
        for number, batch in enumerate(probe.batches):
            torch.manual_seed(seed_of(probe.seed, "mixture", number) % 2**63)
            for index, sent in contributions(probe, region, mixed, batch).items():
                found[index].append(gram(sent))
    return {index: torch.stack(grams).cpu().numpy() for index, grams in found.items()}


def contributions(
    probe: Probe, region: Region, mixed: dict[int, list[OneOf]], batch: Any
) -> dict[int, list[list[Tensor]]]:
    """Return for each edge and operation the gradients at the inputs of the edge's modules."""
    for index, modules in mixed.items():
        for module in modules:
            module.mix(region.alive[index])
    try:
        loss = probe.loss(batch)
        inputs = {index: [m.inputs for m in modules] for index, modules in mixed.items()}
        flat = [x for parts in inputs.values() for part in parts for x in part]
        sent = iter(gradient(loss, flat))
        rows = {
            index: [[next(sent) for _ in part] for part in parts] for index, parts in inputs.items()
        }
    finally:
        for modules in mixed.values():
            for module in modules:
                module.mix(())
    return {index: [list(row) for row in zip(*parts, strict=True)] for index, parts in rows.items()}
