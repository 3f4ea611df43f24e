"""Bring a pruned model's statistics back to the dense model's, without training.

Pruning shrinks and shifts what a layer puts out. Where a BatchNorm follows, its mean and variance
are estimated again. Elsewhere the outputs of a channel, mean m and deviation s, are mapped to the
dense model's m' and s',

    y  ->  g (y - m) + m',    g = s' / s within [0.1, 4],

which folds into the weights (times g) and the bias (b -> g (b - m) + m'). A layer without a bias
keeps none: there g is the ratio of the root mean squares. Layers are repaired in the order in
which they are called, each on the repaired outputs before it, in one pass.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm

from automl_pruning.forward import Inputs, call, still
from automl_pruning.units import CONVOLUTIONS, turned

GAIN = (0.1, 4.0)  # bounds of g: a dead channel is not blown up
MATCHED = (nn.Linear, nn.MultiheadAttention, *CONVOLUTIONS)


@dataclass(frozen=True, slots=True)
class Moments:
    """Mean, standard deviation and root mean square (C,) of each output channel."""

    mean: Tensor
    deviation: Tensor
    size: Tensor


@dataclass(slots=True)
class Pass:
    """What one forward pass saw: outputs' moments, and the maps that repair them."""

    moments: dict[str, Moments] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)
    normalized: set[int] = field(default_factory=set)
    outputs: dict[str, Tensor] = field(default_factory=dict)
    maps: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict)


def dense_moments(model: nn.Module, inputs: Inputs) -> dict[str, Moments]:
    """Return the moments of the outputs that a repair matches: of layers no BatchNorm follows.

    A layer that is called twice in a pass, or that shares its weights, is left out.
    """
    seen = Pass()

    def see(name: str, output: Any) -> None:
        tensor = first(output)
        seen.calls[name] = seen.calls.get(name, 0) + 1
        seen.outputs[name] = tensor  # kept, so that no other tensor gets its identity
        seen.moments[name] = moments(tensor, axis(model.get_submodule(name)))

    handles = [
        module.register_forward_hook(lambda _, __, out, name=name: see(name, out))
        for name, module in matched(model)
    ]
    handles += [
        module.register_forward_pre_hook(lambda _, given: seen.normalized.add(id(given[0])))
        for module in model.modules()
        if isinstance(module, BatchNorm)
    ]
    with hooked(handles), still(model), batch_statistics(model), torch.no_grad():
        call(model, inputs)
    return {
        name: seen.moments[name]
        for name, count in seen.calls.items()
        if count == 1 and id(seen.outputs[name]) not in seen.normalized
    }


def repaired_call(model: nn.Module, inputs: Inputs, dense: Mapping[str, Moments]) -> Tensor:
    """Return the output that the model would have after a repair; the model stays as it is."""
    output, _ = repairing_pass(model, inputs, dense)
    return output


def repair(model: nn.Module, inputs: Inputs, dense: Mapping[str, Moments]) -> None:
    """Repair a pruned model in place; what is zero stays zero.

    Args:
        model: pruned.
        inputs: training samples, at least some hundred.
        dense: what `dense_moments` returned before pruning, for the same inputs.
    """
    _, maps = repairing_pass(model, inputs, dense)
    for name, (gain, shift) in maps.items():
        fold(model.get_submodule(name), gain, shift)
    estimate(model, inputs)


def repairing_pass(
    model: nn.Module, inputs: Inputs, dense: Mapping[str, Moments]
) -> tuple[Tensor, dict[str, tuple[Tensor, Tensor]]]:
    """Run the model, mapping each layer's output as it comes; return output and maps."""
    seen = Pass()

    def mend(name: str, output: Any) -> Any:
        module = model.get_submodule(name)
        tensor, channel = first(output), axis(module)
        gain, shift = match(moments(tensor, channel), dense[name], bias_of(module) is not None)
        seen.maps[name] = (gain, shift)
        mended = tensor * along(gain, channel, tensor) + along(shift, channel, tensor)
        return mended if isinstance(output, Tensor) else (mended, *output[1:])

    handles = [
        module.register_forward_hook(lambda _, __, out, name=name: mend(name, out))
        for name, module in matched(model)
        if name in dense
    ]
    with hooked(handles), still(model), batch_statistics(model), torch.no_grad():
        return call(model, inputs), seen.maps


def estimate(model: nn.Module, inputs: Inputs) -> None:
    """Set the mean and variance of every BatchNorm to those of the inputs."""
    norms = [m for m in model.modules() if isinstance(m, BatchNorm) and m.track_running_stats]
    momenta = [norm.momentum for norm in norms]
    with still(model), torch.no_grad():
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum, norm.training = None, True  # None: the plain mean over all batches
        call(model, inputs)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def match(pruned: Moments, dense: Moments, biased: bool) -> tuple[Tensor, Tensor]:
    """Return the gain and the shift (C,) that map pruned outputs to the dense ones' moments."""
    mine, theirs = (pruned.deviation, dense.deviation) if biased else (pruned.size, dense.size)
    gain = torch.where(mine > 0, theirs / mine.clamp_min(1e-12), torch.ones_like(mine))
    gain = torch.where(mine == theirs, torch.ones_like(gain), gain.clamp(*GAIN))
    shift = dense.mean - gain * pruned.mean if biased else torch.zeros_like(gain)
    return gain, shift


def fold(module: nn.Module, gain: Tensor, shift: Tensor) -> None:
    """Fold y -> gain y + shift into a layer's weight and bias."""
    if isinstance(module, nn.MultiheadAttention):
        module = module.out_proj
    weight, bias = module.get_parameter("weight"), bias_of(module)
    with torch.no_grad():
        weight.mul_(gain if turned(module) else gain.reshape(-1, *[1] * (weight.ndim - 1)))
        if bias is not None:
            bias.mul_(gain).add_(shift)


def moments(output: Tensor, channel: int) -> Moments:
    """Return the moments of each channel of an output."""
    rows = output.detach().float().movedim(channel, 0).flatten(1)
    variance, mean = torch.var_mean(rows, 1, correction=0)
    return Moments(mean, variance.sqrt(), (variance + mean.square()).sqrt())


def matched(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yield the layers whose outputs can be mapped by their own weight, which no other one uses."""
    users: dict[int, int] = {}
    for module in model.modules():
        for parameter in module._parameters.values():  # noqa: SLF001 - shared ones must count twice
            if parameter is not None:
                users[id(parameter)] = users.get(id(parameter), 0) + 1
    for name, module in model.named_modules():
        if isinstance(module, MATCHED) or turned(module):
            owner = module.out_proj if isinstance(module, nn.MultiheadAttention) else module
            own = owner._parameters.values()  # noqa: SLF001 - a parametrized weight is not there
            if "weight" in owner._parameters and all(  # noqa: SLF001 - as above
                users[id(p)] == 1 for p in own if p is not None
            ):
                yield name, module


def bias_of(module: nn.Module) -> nn.Parameter | None:
    """Return the bias of a layer, if it has one."""
    owner = module.out_proj if isinstance(module, nn.MultiheadAttention) else module
    return owner._parameters.get("bias")  # noqa: SLF001 - None where the layer has none


def axis(module: nn.Module) -> int:
    """Return the axis of an output's channels."""
    return 1 if isinstance(module, CONVOLUTIONS) else -1


def first(output: Any) -> Tensor:
    """Return the output of a layer; attention also returns its weights."""
    return output if isinstance(output, Tensor) else output[0]


def along(vector: Tensor, channel: int, like: Tensor) -> Tensor:
    """Shape a vector (C,) so that it broadcasts along the channels of an output."""
    shape = [1] * like.ndim
    shape[channel] = -1
    return vector.reshape(shape).to(like.dtype)


@contextmanager
def hooked(handles: list[Any]) -> Iterator[None]:
    """Remove the hooks at the end."""
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def batch_statistics(model: nn.Module) -> Iterator[None]:
    """Let every BatchNorm use the statistics of its batch, and change none of its own."""
    norms = [m for m in model.modules() if isinstance(m, BatchNorm)]
    tracked = [norm.track_running_stats for norm in norms]
    for norm in norms:
        norm.training, norm.track_running_stats = True, False
    try:
        yield
    finally:
        for norm, was in zip(norms, tracked, strict=True):
            norm.training, norm.track_running_stats = False, was
