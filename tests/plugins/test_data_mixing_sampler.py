"""The mixture sampler: exact counts, exact epochs, exact resume, from a tiny state."""

import hashlib
import os
import signal
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automl_data_mixing.sampler import Sampler, Stock, domains_of, ranks
from automl_data_mixing.shuffle import shuffled, uniform

STOCK = Stock((700, 30, 4_000), 64, seed=5)


def stream(sampler, batches):
    """Hash the domains and rows of so many batches, one digest a batch."""
    drawn = [sampler.next() for _ in range(batches)]
    return [hashlib.sha256(d.tobytes() + r.tobytes()).hexdigest() for d, r in drawn]


@given(st.integers(1, 3_000), st.integers(0, 2**63))
@settings(deadline=None, max_examples=60)
def test_a_shuffle_is_a_permutation_of_any_size(size, key):
    places = np.arange(size, dtype=np.uint64)
    found = shuffled(places, np.full(size, size, np.uint64), np.full(size, key, np.uint64))
    assert sorted(found.tolist()) == list(range(size))


def test_a_shuffle_sends_every_place_everywhere_equally_often():
    keys = np.arange(20_000, dtype=np.uint64)
    found = shuffled(np.full(20_000, 3, np.uint64), np.full(20_000, 7, np.uint64), keys)
    counts = np.bincount(found.astype(int), minlength=7)
    expected = 20_000 / 7
    assert ((counts - expected) ** 2 / expected).sum() < 22.5  # chi-square, 6 degrees, p = 0.001


def test_neighbours_do_not_stay_neighbours():
    size = 5_000
    found = shuffled(
        np.arange(size, dtype=np.uint64), np.full(size, size, np.uint64), np.zeros(size, np.uint64)
    ).astype(int)
    assert abs(np.corrcoef(found[:-1], found[1:])[0, 1]) < 0.05


def test_uniform_numbers_have_the_moments_of_the_uniform_law():
    numbers = uniform(3, np.arange(100_000))
    assert abs(numbers.mean() - 0.5) < 0.005
    assert abs(numbers.var() - 1 / 12) < 0.002


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.integers(1, 200), st.integers(0, 99))
@settings(deadline=None, max_examples=100)
def test_counts_differ_from_their_share_by_less_than_one(weights, size, batch):
    if sum(weights) < 1e-6:
        return
    share = np.array(weights) / sum(weights)
    counts = np.bincount(domains_of(0, batch, size, share), minlength=len(weights))
    assert np.abs(counts - size * share).max() < 1 + 1e-9


def test_the_order_inside_a_batch_is_random():
    first = [domains_of(0, b, 10, np.array([0.5, 0.5]))[0] for b in range(2_000)]
    assert 0.45 < np.mean(first) < 0.55


def test_composition_varies_far_less_than_independent_draws_would():
    share = np.array([0.1, 0.9])
    counts = [int((domains_of(0, b, 64, share) == 0).sum()) for b in range(500)]
    assert np.var(counts) < 0.05 * 64 * 0.1 * 0.9


def test_a_weight_of_zero_is_never_drawn():
    sampler = Sampler(Stock((10, 10, 10, 10), 32))
    sampler.set_weights([0.0, 0.5, 0.5, 0.0])
    assert {int(d) for _ in range(200) for d in sampler.next()[0]} == {1, 2}


def test_ranks_count_the_earlier_slots_of_the_same_domain():
    assert ranks(np.array([1, 0, 1, 1, 0], np.int16)).tolist() == [0, 0, 1, 2, 1]


def test_every_row_comes_once_an_epoch_through_re_weightings():
    stock = Stock((50, 20), 8, seed=1)
    sampler, seen = Sampler(stock), [[], []]
    for batch in range(100):
        sampler.set_weights([1 + batch % 3, 1 + batch % 5])
        for domain, row in zip(*sampler.next(), strict=True):
            seen[domain].append(int(row))
    for size, rows in zip(stock.sizes, seen, strict=True):
        whole = [rows[i : i + size] for i in range(0, len(rows) - size + 1, size)]
        assert len(whole) >= 3
        assert all(sorted(epoch) == list(range(size)) for epoch in whole)
        assert whole[0] != whole[1]


def test_another_seed_gives_another_order():
    assert stream(Sampler(STOCK), 1) != stream(Sampler(Stock(STOCK.sizes, 64, seed=6)), 1)


def test_a_resumed_run_goes_on_exactly_through_a_re_weighting():
    whole = Sampler(STOCK)
    whole.set_weights([0.2, 0.0, 0.8], from_batch=100)
    expected = stream(whole, 200)
    first = Sampler(STOCK)
    first.set_weights([0.2, 0.0, 0.8], from_batch=100)
    head = stream(first, 77)
    second = Sampler(STOCK)
    second.load_state_dict(first.state_dict())
    assert head + stream(second, 123) == expected


def test_weights_hold_from_the_batch_that_they_name():
    sampler = Sampler(STOCK)
    sampler.set_weights([1, 0, 0])
    sampler.set_weights([0, 0, 1], from_batch=3)
    assert [set(sampler.next()[0].tolist()) for _ in range(5)] == [{0}] * 3 + [{2}] * 2


def test_weights_cannot_change_the_past():
    sampler = Sampler(STOCK)
    stream(sampler, 2)
    with pytest.raises(ValueError, match="batch 1 is over, the next is 2"):
        sampler.set_weights([1, 1, 1], from_batch=1)


@pytest.mark.parametrize("weights", [[0, 0, 0], [1, -1, 1], [1, float("nan"), 1]])
def test_a_mixture_that_is_none_is_refused(weights):
    with pytest.raises(ValueError, match="weights: must be finite"):
        Sampler(STOCK).set_weights(weights)


def test_the_state_of_52_domains_is_below_a_kilobyte():
    sampler = Sampler(Stock((10**8,) * 52, 1024))
    sampler.set_weights(np.arange(52))
    sampler.set_weights(np.arange(52)[::-1], from_batch=40)
    stream(sampler, 3)
    assert len(sampler.state_dict()["place"]) < 1_000


@pytest.mark.parametrize(
    "other", [Stock((700, 30, 4_001), 64, seed=5), Stock(STOCK.sizes, 32, seed=5)]
)
def test_a_state_of_other_data_is_refused(other):
    with pytest.raises(ValueError, match="belongs to other domains"):
        Sampler(other).load_state_dict(Sampler(STOCK).state_dict())


def test_a_domain_that_is_used_up_gives_its_share_to_the_others():
    sampler = Sampler(Stock((100, 10), 10, epochs=(np.inf, 2)))
    sampler.set_weights([0.5, 0.5])
    counts = Counter(int(d) for _ in range(30) for d in sampler.next()[0])
    assert counts == {0: 280, 1: 20}


def test_a_run_stops_when_everything_is_used_up():
    sampler = Sampler(Stock((16,), 8, epochs=(1,)))
    stream(sampler, 2)
    with pytest.raises(ValueError, match="batch 2: every domain with a weight is used up"):
        sampler.next()


CHILD = """
import hashlib, os, pathlib, sys, torch
from automl_data_mixing.sampler import Sampler, Stock
folder = pathlib.Path(sys.argv[1]); end = int(sys.argv[2])
sampler = Sampler(Stock((700, 30, 4_000), 64, seed=5))
state = folder / "state.pt"
if state.exists():
    sampler.load_state_dict(torch.load(state, weights_only=True))
while sampler.place.batch < 120:
    batch = sampler.place.batch
    if batch % 10 == 0:
        sampler.set_weights([1 + batch % 7, batch % 3, 2])
    domains, rows = sampler.next()
    digest = hashlib.sha256(domains.tobytes() + rows.tobytes()).hexdigest()
    with (folder / "log").open("a") as log:
        log.write(f"{batch} {digest}\\n")
    if batch % 7 == 0:
        torch.save(sampler.state_dict(), folder / "new.pt")
        os.replace(folder / "new.pt", state)
    if batch == end:
        os.kill(os.getpid(), 9)
"""


@pytest.mark.slow
def test_a_killed_process_goes_on_with_the_same_rows(tmp_path):
    logs = []
    for name, ends in {"whole": [999], "killed": [33, 34, 71, 999]}.items():
        folder = tmp_path / name
        folder.mkdir()
        codes = [run_child(folder, end) for end in ends]
        assert codes == [-signal.SIGKILL] * (len(ends) - 1) + [0]
        logs.append(set((folder / "log").read_text().splitlines()))
    assert len(logs[0]) == 120
    assert logs[0] == logs[1]


def run_child(folder, end):
    """Draw batches in a process that kills itself at batch `end`; returns its exit code."""
    command = [sys.executable, "-c", CHILD, str(folder), str(end)]
    return subprocess.run(command, check=False, env=dict(os.environ)).returncode
