"""What a model costs: parameters, multiply-accumulates, bytes, latency and memory.

- `parameters`: numbers that are trained or frozen; a shared one counts once.
- `macs`: multiply-accumulates of one sample in the forward pass; half of the floating-point
  operations that torch counts in matrix products, convolutions and attention. What works element
  by element counts nothing, as do kernels that torch has no formula for (bilinear maps, quantized
  layers).
- `size_mb`: bytes of the state dict in units of 10^6; a shared tensor counts once.
- `latency_ms`: median time of one forward pass over the example, with its quartiles' distance as
  `latency_iqr_ms`; nothing else is measured on the machine meanwhile.
- `peak_memory_mb`: most bytes in use during one forward pass in units of 10^6. On a GPU: what
  torch's allocator reports. On the CPU: weights, inputs and every tensor alive at once, counted
  operation by operation; the scratch space of kernels is not seen.

All of them see the model as it predicts: in evaluation mode, without gradients.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.benchmark import Timer
from torch.utils.flop_counter import FlopCounterMode

from automl.measuring import LiveBytes, machine_lock, seen_tensors

MEGA = 10**6
NAMES = ("parameters", "macs", "size_mb", "latency_ms", "peak_memory_mb")
STATIC = ("parameters", "macs", "size_mb")  # the same before and after training


@dataclass(frozen=True, slots=True)
class Latency:
    """How long a forward pass takes, and under which circumstances.

    Attributes:
        median_ms: of the runs.
        iqr_ms: distance between the quartiles of the runs.
        runs: how many were timed, after the warm-up.
        batch: samples in one pass.
        device: name of the device.
        dtype: of the weights.
        threads: of the CPU.
        load: of the machine over the last minute, as processes that want to run.
    """

    median_ms: float
    iqr_ms: float
    runs: int
    batch: int
    device: str
    dtype: str
    threads: int
    load: float


@dataclass(frozen=True, slots=True)
class Costs:
    """Costs by name, and the circumstances of the latency if it was measured."""

    values: Mapping[str, float]
    latency: Latency | None = None


def measure_costs(
    model: nn.Module, example: Any, names: Iterable[str], device: str = "cpu"
) -> dict[str, float]:
    """Return the costs of a model by name; `latency_ms` brings `latency_iqr_ms` along.

    Args:
        model: left as it was, on its device and in its mode.
        example: what the model is called with: a tensor, or a tuple or dict of arguments, the
            first axis of the first tensor counting the samples.
        names: some of `NAMES`.
        device: where to measure, `cpu` or `cuda`.
    """
    return dict(measure(model, example, names, device).values)


def measure(model: nn.Module, example: Any, names: Iterable[str], device: str = "cpu") -> Costs:
    """Return the costs of a model and the circumstances; arguments as for `measure_costs`."""
    wanted = list(names)
    if unknown := [name for name in wanted if name not in NAMES]:
        raise ValueError(f"costs: unknown cost {unknown[0]!r}; there are {', '.join(NAMES)}")
    values: dict[str, float] = {}
    timed: Latency | None = None
    with predicting(model, device):
        inputs = moved(example, device)
        simple: dict[str, Callable[[], float]] = {
            "parameters": lambda: parameters(model),
            "macs": lambda: macs(model, inputs),
            "size_mb": lambda: size_mb(model),
            "peak_memory_mb": lambda: peak_memory_mb(model, inputs),
        }
        for name in wanted:
            if name == "latency_ms":
                timed = latency(model, inputs)
                values |= {"latency_ms": timed.median_ms, "latency_iqr_ms": timed.iqr_ms}
            else:
                values[name] = simple[name]()
    return Costs(values, timed)


def parameters(model: nn.Module) -> int:
    """Count the numbers that a model learns; those shared between layers once."""
    return sum(parameter.numel() for parameter in model.parameters())


def macs(model: nn.Module, example: Any) -> float:
    """Count the multiply-accumulates of one sample.

    Args:
        model: in evaluation mode, beside the example.
        example: a batch; its operations are divided by its samples.
    """
    with ExitStack() as stack:
        stack.enter_context(torch.no_grad())
        for context in countable():
            stack.enter_context(context)
        counter = stack.enter_context(FlopCounterMode(display=False))
        call(model, example)
    return float(counter.get_total_flops()) / 2 / batch_size(example)


def countable() -> Iterator[Any]:
    """Choose kernels whose operations torch counts: fused ones hide theirs on the CPU."""
    yield sdpa_kernel(SDPBackend.MATH)
    yield switched(torch.backends.mha.get_fastpath_enabled, torch.backends.mha.set_fastpath_enabled)
    yield switched(torch._C._get_mkldnn_enabled, torch._C._set_mkldnn_enabled)  # noqa: SLF001 - the public context manager warns of its own deprecation
    yield torch.backends.cudnn.flags(enabled=False)


@contextmanager
def switched(read: Callable[[], bool], write: Callable[[bool], None]) -> Iterator[None]:
    """Turn a switch of torch off for a while."""
    before = read()
    write(False)
    try:
        yield
    finally:
        write(before)


def size_mb(model: nn.Module) -> float:
    """Add up the bytes of a state dict, in units of 10^6."""
    tensors = {(t.data_ptr(), t.shape, t.dtype): t for t in seen_tensors(model.state_dict())}
    return sum(t.numel() * t.element_size() for t in tensors.values()) / MEGA


def latency(model: nn.Module, example: Any, *, warm_up: int = 5, seconds: float = 0.3) -> Latency:
    """Time the forward pass over a batch.

    Args:
        model: in evaluation mode, beside the example.
        example: a batch.
        warm_up: passes before the first that counts.
        seconds: how long to repeat; at least once.
    """
    with machine_lock("latency"), torch.inference_mode():
        for _ in range(warm_up):
            call(model, example)
        threads = torch.get_num_threads()
        run = {"call": call, "model": model, "example": example}
        timer = Timer("call(model, example)", globals=run, num_threads=threads)
        timed = timer.blocked_autorange(min_run_time=seconds)
    first = first_tensor(model, example)
    cuda = first.device.type == "cuda"
    return Latency(
        median_ms=timed.median * 1e3,
        iqr_ms=timed.iqr * 1e3,
        runs=len(timed.times) * timed.number_per_run,
        batch=batch_size(example),
        device=torch.cuda.get_device_name(first.device) if cuda else str(first.device),
        dtype=str(first.dtype).removeprefix("torch."),
        threads=threads,
        load=os.getloadavg()[0],
    )


def peak_memory_mb(model: nn.Module, example: Any) -> float:
    """Return the most bytes in use during a forward pass, in units of 10^6.

    Args:
        model: in evaluation mode, beside the example.
        example: a batch.
    """
    device = first_tensor(model, example).device
    with torch.no_grad():
        if device.type == "cuda":
            torch.cuda.synchronize(device)
            torch.cuda.reset_peak_memory_stats(device)
            call(model, example)
            torch.cuda.synchronize(device)
            return int(torch.cuda.max_memory_allocated(device)) / MEGA
        live = LiveBytes([model.state_dict(), list(model.parameters()), example])
        with live:
            call(model, example)
        return live.peak / MEGA


def call(model: nn.Module, example: Any) -> Any:
    """Call a model with an example: a tensor, or a tuple or dict of arguments."""
    match example:
        case dict():
            return model(**example)
        case tuple() | list():
            return model(*example)
        case _:
            return model(example)


def batch_size(example: Any) -> int:
    """Return the number of samples of an example: the first axis of its first tensor."""
    first = next(seen_tensors(example), None)
    return len(first) if first is not None and first.ndim else 1


def first_tensor(model: nn.Module, example: Any) -> Tensor:
    """Return a tensor that says on which device and with which numbers a model works."""
    weights = next(model.parameters(), None)
    found = weights if weights is not None else next(seen_tensors(example), None)
    return torch.empty(0) if found is None else found


def moved(example: Any, device: str) -> Any:
    """Return an example on a device."""
    match example:
        case Tensor():
            return example.to(device)
        case dict():
            return {name: moved(part, device) for name, part in example.items()}
        case tuple() | list():
            return tuple(moved(part, device) for part in example)
        case _:
            return example


@contextmanager
def predicting(model: nn.Module, device: str) -> Iterator[None]:
    """Put a model on a device and in evaluation mode for a while."""
    modes = [(module, module.training) for module in model.modules()]
    home = first_tensor(model, None).device
    model.to(device).eval()
    try:
        yield
    finally:
        model.to(home)
        for module, training in modes:
            module.training = training
