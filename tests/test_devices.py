"""Sharing out GPUs, cores and memory, with made-up machines."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl.devices import Slots, most
from automl.errors import AutomlError
from automl.study import Resources

GB = 10**9


@pytest.mark.parametrize(
    ("resources", "gpus", "cpus", "jobs"),
    [
        ({"gpus": 1}, 4, 16, 4),
        ({"gpus": 2}, 4, 16, 2),
        ({"gpus": 0.5}, 4, 16, 8),
        ({"gpus": 0.3}, 1, 16, 3),
        ({"gpus": 1, "cpus": 8}, 4, 16, 2),
        ({"cpus": 2}, 0, 8, 4),
        ({"cpus": 1, "memory": 6 * GB}, 0, 8, 2),
        ({"cpus": 1, "parallel": 3}, 0, 8, 3),
        ({"gpus": 1, "parallel": 64}, 4, 16, 4),
        ({"cpus": 4}, 0, 2, 1),
    ],
)
def test_as_many_jobs_run_as_the_scarcest_device_allows(resources, gpus, cpus, jobs):
    assert most(Resources(**resources), gpus, cpus, 16 * GB) == jobs


def test_a_job_that_does_not_fit_is_refused_with_what_there_is():
    with pytest.raises(AutomlError, match=r"resources.gpus: a trial needs 2.0, this machine has 1"):
        most(Resources(gpus=2), 1, 8, GB)


def test_fractions_fill_one_gpu_before_the_next():
    slots = Slots(Resources(gpus=0.5), [0, 1], 16, GB)
    assert [slots.take(name) for name in "abcd"] == [(0,), (0,), (1,), (1,)]


def test_whole_gpus_are_never_shared():
    slots = Slots(Resources(gpus=2), [0, 1, 2, 3], 16, GB)
    assert (slots.take("a"), slots.take("b")) == ((0, 1), (2, 3))
    with pytest.raises(AutomlError, match="no device is free"):
        slots.take("c")


@given(st.sampled_from([0.25, 0.5, 1, 2]), st.lists(st.integers(0, 7), max_size=60))
def test_no_gpu_is_ever_given_beyond_itself(share, moves):
    slots = Slots(Resources(gpus=share), range(4), 64, GB)
    for move in moves:
        key = str(move)
        if key in slots.held:
            slots.give_back(key)
        elif slots.capacity():
            slots.take(key)
        held = [gpu for slot in slots.held.values() for gpu in slot.gpus]
        assert all(held.count(gpu) * min(share, 1) <= 1 for gpu in range(4))
