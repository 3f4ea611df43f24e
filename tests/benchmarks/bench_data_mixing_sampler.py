"""CPU time of the sampler for a batch: python tests/benchmarks/bench_data_mixing_sampler.py."""

import sys
import time

import numpy as np

from automl_data_mixing.sampler import Sampler, Stock

BATCHES = 300


def milliseconds(domains: int, batch_size: int) -> tuple[float, float]:
    """Return median and 90th percentile of the time of one batch with uneven weights."""
    sampler = Sampler(Stock(tuple(range(1_000, 1_000 + domains)), batch_size))
    sampler.set_weights(np.arange(1, domains + 1))
    times = []
    for _ in range(BATCHES):
        began = time.process_time()
        sampler.next()
        times.append(1_000 * (time.process_time() - began))
    return float(np.median(times)), float(np.quantile(times, 0.9))


def main() -> None:
    """Print the table of the docs."""
    sys.stdout.write("domains  batch  median ms  p90 ms\n")
    for domains, batch_size in ((4, 64), (52, 64), (52, 1_024)):
        median, p90 = milliseconds(domains, batch_size)
        sys.stdout.write(f"{domains:>7}  {batch_size:>5}  {median:>9.2f}  {p90:>6.2f}\n")


if __name__ == "__main__":
    main()
