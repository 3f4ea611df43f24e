"""Measure what logging gradient norms costs.

Run it with `python tests/benchmarks/bench_lr_refinement_overhead.py`. Each training step of a
transformer is timed with its norms, and the norms alone within it, so that both see the same load
of the machine; medians over the steps. On the CPU it is processor time of one thread.
"""

import argparse
import statistics
import time

import torch

from automl.zoo import TinyGPT
from automl_lr_refinement import logger


def measure(width, layers, batch, steps, device):
    """Median seconds of a step without its norms, and of the norms."""
    context = 64
    model = TinyGPT(width=width, layers=layers, context=context).to(device)
    optimizer = torch.optim.AdamW(model.parameters())
    series = logger.Series()
    seconds = []
    for _ in range(steps):
        tokens = torch.randint(0, 256, (2, batch, context), device=device)
        began = now(device)
        optimizer.zero_grad()
        model.loss((tokens[0], tokens[1])).backward()
        before = now(device)
        series.add(logger.norms(logger.gradients(optimizer)), 1.0, [1e-3])
        after = now(device)
        optimizer.step()
        seconds.append((now(device) - began - (after - before), after - before))
    plain, norms = zip(*seconds[2:], strict=True)  # the first steps allocate
    size = sum(p.numel() for p in model.parameters())
    return size, statistics.median(plain), statistics.median(norms)


def now(device):
    """Seconds, once the device has done its work."""
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def main():
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=7)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    torch.set_num_threads(1)
    print("| parameters | tokens a step | step, ms | norms, ms | share |\n|---|---|---|---|---|")
    for width, layers, batch in ((64, 2, 32), (256, 4, 32), (512, 6, 32)):
        size, plain, norms = measure(width, layers, batch, given.steps, given.device)
        print(
            f"| {size / 1e6:.2f} M | {64 * batch} | {1e3 * plain:.1f} | {1e3 * norms:.2f} "
            f"| {norms / plain:.2%} |"
        )


if __name__ == "__main__":
    main()
