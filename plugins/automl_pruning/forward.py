"""Run a user's model on a batch of any common shape, without a trace left in it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from inspect import Parameter, signature
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

Inputs: TypeAlias = Tensor | dict[str, Tensor]


def inputs_of(batch: Any) -> Inputs:
    """Return what of a batch goes into `forward`: the first of a pair, tensors by name, or all."""
    if isinstance(batch, Tensor):
        return batch
    if isinstance(batch, Mapping):
        return {name: value for name, value in batch.items() if isinstance(value, Tensor)}
    if isinstance(batch, list | tuple) and batch:
        return inputs_of(batch[0])
    raise ValueError(
        f"calibration: a batch is a {type(batch).__name__}; "
        "it must be a tensor, tensors by name, or a pair that begins with one of these"
    )


def call(model: nn.Module, inputs: Inputs) -> Tensor:
    """Return the model's output; of several, the first or the one named `logits`."""
    if isinstance(inputs, Tensor):
        return output_of(model(inputs))
    accepted = signature(model.forward).parameters.values()
    if any(parameter.kind is Parameter.VAR_KEYWORD for parameter in accepted):
        return output_of(model(**inputs))
    wanted = {parameter.name for parameter in accepted}
    return output_of(model(**{name: v for name, v in inputs.items() if name in wanted}))


def output_of(output: Any) -> Tensor:
    """Return the tensor that a model's output is about."""
    if isinstance(output, Tensor):
        return output
    if isinstance(logits := getattr(output, "logits", None), Tensor):
        return logits
    if isinstance(output, Mapping):
        return output_of(output.get("logits", next(iter(output.values()))))
    if isinstance(output, list | tuple) and output:
        return output_of(output[0])
    raise ValueError(
        f"forward: returned a {type(output).__name__}; it must return a tensor, or a tuple or "
        "mapping with one"
    )


def stack(batches: list[Inputs], count: int) -> Inputs:
    """Join the inputs of batches to one of `count` samples, or fewer if there are no more."""
    first = batches[0]
    if isinstance(first, Tensor):
        return torch.cat([b for b in batches if isinstance(b, Tensor)])[:count].detach().clone()
    return {
        name: torch.cat([b[name] for b in batches if isinstance(b, dict)])[:count].detach().clone()
        for name in first
    }


def samples(inputs: Inputs) -> int:
    """Return the number of samples."""
    return len(inputs if isinstance(inputs, Tensor) else next(iter(inputs.values())))


def part(inputs: Inputs, start: int, stop: int) -> Inputs:
    """Return some of the samples."""
    if isinstance(inputs, Tensor):
        return inputs[start:stop]
    return {name: value[start:stop] for name, value in inputs.items()}


def to(inputs: Inputs, device: torch.device) -> Inputs:
    """Move inputs to a device."""
    if isinstance(inputs, Tensor):
        return inputs.to(device)
    return {name: value.to(device) for name, value in inputs.items()}


@contextmanager
def still(model: nn.Module) -> Iterator[None]:
    """Put a model into evaluation, and each of its modules back as it was.

    The fused attention that PyTorch takes in evaluation is off: it skips the modules inside.
    """
    modes = [(module, module.training) for module in model.modules()]
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    model.eval()
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
        for module, mode in modes:
            module.training = mode
