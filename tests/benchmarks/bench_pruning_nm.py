"""Time 2:4 sparsity on the CPU: two weights of every four are zero, in a linear map.

    python tests/benchmarks/bench_pruning_nm.py

Prints median milliseconds, dense and in compressed rows, and whether torch's kernels for 2:4 run.
"""

import torch
from torch import nn

from automl_pruning.speed import compare

SHAPES = ((256, 256, 64), (1024, 1024, 256), (1024, 4096, 16), (4096, 1024, 1))


def two_of_four(weight):
    """Zero the two smallest of every four weights of a row."""
    fours = weight.reshape(-1, 4)
    smallest = fours.abs().topk(2, dim=1, largest=False).indices
    return fours.scatter(1, smallest, 0.0).reshape(weight.shape)


def semi_structured(linear, inputs):
    """Say what torch's own format for 2:4 gives here."""
    half = linear.weight.detach().half()
    try:
        torch.sparse.to_sparse_semi_structured(half) @ inputs.half().T
    except (RuntimeError, NotImplementedError) as error:
        return "refused: " + str(error).splitlines()[0]
    return "runs"


def main():
    torch.manual_seed(0)
    torch.set_num_threads(1)
    print("| in | out | samples | dense | compressed rows | torch's 2:4 |")
    print("|---|---|---|---|---|---|")
    for inner, out, samples in SHAPES:
        linear, inputs = nn.Linear(inner, out), torch.randn(samples, inner)
        with torch.no_grad():
            linear.weight.copy_(two_of_four(linear.weight))
        found = compare("linear", linear, inputs)
        cells = f"{found.dense_ms:.2f} ms | {found.sparse_ms:.2f} ms"
        print(f"| {inner} | {out} | {samples} | {cells} | {semi_structured(linear, inputs)} |")


if __name__ == "__main__":
    main()
