"""Real speed on a CPU: linear maps in compressed rows, used only where they are measured faster.

A mask by itself makes nothing faster: a dense product multiplies its zeros too. Here each linear
map of a pruned model is timed on the inputs that it gets, dense and with its weight in compressed
sparse rows, and is replaced if that is faster. The times at other densities are a table of costs
for the knapsack. Convolutions have no sparse kernel on a CPU and stay dense.
"""

import copy
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from automl_pruning.criteria import order
from automl_pruning.curves import Curve
from automl_pruning.forward import Inputs, call, still
from automl_pruning.units import Unit

WARM_UP, RUNS = 3, 15
DENSITIES = (0.5, 0.3, 0.2, 0.1, 0.05, 0.02)  # of the table; between them times are interpolated


@dataclass(frozen=True, slots=True)
class Timing:
    """Median milliseconds of one linear map on its own inputs, dense and in compressed rows."""

    name: str
    density: float
    dense_ms: float
    sparse_ms: float

    @property
    def faster(self) -> bool:
        """Whether compressed rows are faster."""
        return self.sparse_ms < self.dense_ms


class SparseLinear(nn.Module):
    """A linear map whose weight is kept in compressed sparse rows.

    Args:
        linear: the dense one, with zeros in its weight.
    """

    weight: Tensor

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
            weight = linear.weight.detach().to_sparse_csr()
        self.register_buffer("weight", weight)
        self.bias = linear.bias

    def forward(self, inputs: Tensor) -> Tensor:
        """Take (..., in) to (..., out)."""
        rows = inputs.reshape(-1, self.in_features)
        outputs = (self.weight @ rows.T).T
        outputs = outputs if self.bias is None else outputs + self.bias
        return outputs.reshape(*inputs.shape[:-1], self.out_features)


def sparse_copy(model: nn.Module, inputs: Inputs) -> tuple[nn.Module, list[Timing]]:
    """Return a copy for prediction on a CPU, and what was measured for each linear map.

    Args:
        model: pruned, on the CPU; left as it is.
        inputs: a batch as it will come: the number of samples decides what is faster.
    """
    copied = copy.deepcopy(model).eval()
    timings = []
    for name, given in linear_inputs(copied, inputs).items():
        linear = copied.get_submodule(name)
        if isinstance(linear, nn.Linear):
            timings.append(compare(name, linear, given))
            if timings[-1].faster:
                copied.set_submodule(name, SparseLinear(linear))
    return copied, timings


def compare(name: str, linear: nn.Linear, inputs: Tensor) -> Timing:
    """Time one linear map dense and in compressed rows."""
    density = float(torch.count_nonzero(linear.weight)) / linear.weight.numel()
    sparse = SparseLinear(linear)
    return Timing(
        name,
        density,
        milliseconds(lambda: linear(inputs)),
        milliseconds(lambda: sparse(inputs)),
    )


def milliseconds(run: Callable[[], Any], runs: int = RUNS) -> float:
    """Return the median time of a call, after a warm-up."""
    times = []
    with torch.inference_mode():
        for index in range(WARM_UP + runs):
            start = time.perf_counter()
            run()
            if index >= WARM_UP:
                times.append(1000 * (time.perf_counter() - start))
    return median(times)


def linear_inputs(model: nn.Module, inputs: Inputs) -> dict[str, Tensor]:
    """Return what each linear map is called with."""
    seen: dict[str, Tensor] = {}

    def see(name: str, given: tuple[Tensor, ...]) -> None:
        seen[name] = given[0].detach()

    handles = [
        module.register_forward_pre_hook(lambda _, given, name=name: see(name, given))
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear)
    ]
    try:
        with still(model), torch.no_grad():
            call(model, inputs)
    finally:
        for handle in handles:
            handle.remove()
    return seen


def time_table(
    model: nn.Module, units: Sequence[Unit], scores: Sequence[Tensor], inputs: Inputs
) -> tuple[Curve, ...]:
    """Return nanoseconds by number of weights, for each unit: the faster of dense and sparse.

    Args:
        model: dense, on the CPU; left as it is.
        units: L of them.
        scores: L vectors (size,) of importances.
        inputs: a batch as it will come.

    Returns:
        L curves; zero where a unit is no linear map, or one that is used without being called, as
        PyTorch's attention does: no budget of time buys anything there.

    Raises:
        ValueError: that is so of every unit.
    """
    given = linear_inputs(model, inputs)
    table = tuple(
        unit_times(model, unit, score, given) for unit, score in zip(units, scores, strict=True)
    )
    if not any(curve.distortion.any() for curve in table):
        raise ValueError(
            f"latency: none of {len(units)} units is a linear map that has a sparse kernel; leave "
            "latency out, or cut out channels"
        )
    return table


def unit_times(model: nn.Module, unit: Unit, score: Tensor, given: Mapping[str, Tensor]) -> Curve:
    """Return the times of one unit."""
    linear, rows = model.get_submodule(unit.modules[0]), given.get(unit.modules[0])
    if len(unit.modules) > 1 or not isinstance(linear, nn.Linear) or rows is None:
        return Curve(np.array([unit.size, 0]), np.zeros(2))
    places = order(score).reshape(linear.weight.shape)
    dense = milliseconds(lambda: linear(rows))
    keeps, times = [unit.size], [dense]
    for density in DENSITIES:
        keep = max(unit.floor, round(density * unit.size))
        thinned = copy.deepcopy(linear)
        with torch.no_grad():
            thinned.weight.mul_(places < keep)
        sparse = SparseLinear(thinned)
        keeps.append(keep)
        times.append(min(times[-1], milliseconds(partial(sparse, rows))))
    return Curve(np.array(keeps), 1e6 * np.array(times))
