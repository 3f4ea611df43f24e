"""Cost measures against closed forms."""

import multiprocessing
import time

import pytest
import torch
from torch import nn

from automl import costs, zoo
from automl.measuring import LiveBytes, machine_lock


class Attend(nn.Module):
    """Fused attention of a sequence to itself, without weights."""

    def forward(self, x):
        return nn.functional.scaled_dot_product_attention(x, x, x)


class Pair(nn.Module):
    """A model of two arguments, one of which shares its weights with the other."""

    def __init__(self):
        super().__init__()
        self.left = nn.Linear(4, 3, bias=False)
        self.right = nn.Linear(4, 3, bias=False)
        self.right.weight = self.left.weight

    def forward(self, left, right):
        return self.left(left) + self.right(right)


B, T, D, H = 3, 5, 8, 6  # batch, length, width, hidden
PRODUCTS = [
    (nn.Linear(D, H), (B, D), D * H),
    (nn.Linear(D, H), (B, T, D), T * D * H),
    (nn.Conv2d(4, 8, 3, padding=1), (B, 4, 6, 7), 42 * 4 * 8 * 9),
    (nn.Conv2d(4, 8, 3, stride=2), (B, 4, 7, 7), 9 * 4 * 8 * 9),
    (nn.Conv2d(4, 8, 3, groups=4), (B, 4, 6, 6), 16 * 8 * 9),
    (nn.Conv1d(4, 8, 3), (B, 4, 6), 4 * 4 * 8 * 3),
    (nn.ConvTranspose2d(4, 8, 3, stride=2), (B, 4, 6, 6), 36 * 4 * 8 * 9),
    (nn.LSTM(D, H, batch_first=True), (B, T, D), 4 * H * (D + H) * T),
    (nn.GRU(D, H, batch_first=True), (B, T, D), 3 * H * (D + H) * T),
    (Attend(), (B, 2, T, D), 2 * 2 * T * T * D),
    (
        nn.TransformerEncoderLayer(D, 2, 16, batch_first=True),
        (B, T, D),
        T * (4 * D * D + 2 * D * 16) + 2 * T * T * D,
    ),
]


@pytest.mark.parametrize(("model", "shape", "expected"), PRODUCTS)
def test_macs_of_one_sample_equal_the_closed_form(model, shape, expected):
    assert costs.measure_costs(model, torch.randn(shape), ["macs"]) == {"macs": expected}


def test_macs_of_a_vision_transformer_equal_the_closed_form():
    width, depth, patches = 32, 3, 64
    model = zoo.ViT(width=width, depth=depth, heads=4)
    block = patches * 12 * width**2 + 2 * patches**2 * width
    expected = patches * 3 * 16 * width + depth * block + 10 * width
    assert costs.measure_costs(model, model.example_input_array, ["macs"])["macs"] == expected


def test_macs_of_a_residual_network_equal_the_closed_form():
    sides = [(3, 16, 32, 9), *[(16, 16, 32, 9)] * 6]
    for inputs, side in ((16, 16), (32, 8)):
        outputs = 2 * inputs
        sides += [(inputs, outputs, side, 9), (inputs, outputs, side, 1)]
        sides += [(outputs, outputs, side, 9)] * 5
    expected = sum(i * o * side**2 * kernel for i, o, side, kernel in sides) + 64 * 10
    model = zoo.ResNet()
    assert costs.macs(model.eval(), model.example_input_array) == expected


def test_counting_leaves_the_switches_of_torch_as_they_were():
    switches = (torch.backends.mha.get_fastpath_enabled, torch._C._get_mkldnn_enabled)
    before = [switch() for switch in switches]
    with pytest.raises(RuntimeError, match="shapes"):
        costs.measure_costs(nn.Linear(3, 2), torch.zeros(1, 4), ["macs"])
    assert [switch() for switch in switches] == before


def test_shared_weights_count_once():
    example = (torch.zeros(2, 4), torch.zeros(2, 4))
    measured = costs.measure_costs(Pair(), example, ["parameters", "size_mb", "macs"])
    assert measured == {"parameters": 12, "size_mb": 12 * 4 / 1e6, "macs": 2 * 12}


def test_size_counts_buffers_and_the_bytes_of_each_type():
    model = nn.Sequential(nn.Linear(4, 3).half(), nn.BatchNorm1d(3))
    expected = 15 * 2 + 4 * 3 * 4 + 8  # half weights; four float vectors; one counter of 8 bytes
    assert costs.size_mb(model) == pytest.approx(expected / 1e6)


@pytest.mark.parametrize("form", ["tuple", "dict"])
def test_an_example_may_be_several_arguments(form):
    tensors = {"left": torch.zeros(2, 4), "right": torch.zeros(2, 4)}
    example = tensors if form == "dict" else tuple(tensors.values())
    assert costs.measure_costs(Pair(), example, ["macs"]) == {"macs": 24}


def test_peak_memory_is_weights_input_and_the_two_largest_neighbours():
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
    weights = 4 * (8 * 16 + 16 + 16 * 4 + 4)
    inputs, hidden = 4 * 10 * 8, 4 * 10 * 16
    measured = costs.measure_costs(model, torch.zeros(10, 8), ["peak_memory_mb"])
    assert measured["peak_memory_mb"] == pytest.approx((weights + inputs + 2 * hidden) / 1e6)


def test_what_is_let_go_does_not_count():
    with LiveBytes([]) as live:
        for _ in range(5):
            torch.zeros(1000)
        kept = torch.zeros(10)
        view = kept[:5]
    assert live.peak == 4000
    assert live.now == 40
    assert len(view) == 5


def test_latency_comes_with_its_circumstances():
    model = zoo.ConvNet(width=4)
    found = costs.measure(model, torch.zeros(7, 1, 8, 8), ["latency_ms"])
    timed = found.latency
    assert found.values == {"latency_ms": timed.median_ms, "latency_iqr_ms": timed.iqr_ms}
    assert (timed.batch, timed.device, timed.dtype) == (7, "cpu", "float32")
    assert timed.threads == torch.get_num_threads()
    assert timed.median_ms > 0
    assert timed.runs > 0


def test_latency_sees_which_of_two_networks_is_larger():
    small, large = nn.Linear(8, 8), nn.Sequential(*[nn.Linear(512, 512) for _ in range(8)])
    times = [
        costs.latency(
            model, torch.zeros(64, model.state_dict().popitem()[1].shape[0]), seconds=0.05
        )
        for model in (small, large)
    ]
    assert times[0].median_ms < times[1].median_ms


def test_measuring_leaves_modes_and_weights_as_they_were():
    model = nn.Sequential(nn.BatchNorm1d(4), nn.Dropout(), nn.Linear(4, 2))
    model.train()
    model[0].eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    costs.measure_costs(model, torch.randn(3, 4), costs.NAMES)
    assert [module.training for module in model] == [False, True, True]
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_an_unknown_cost_is_refused_with_those_that_there_are():
    with pytest.raises(ValueError, match=r"unknown cost 'flops'; there are parameters, macs"):
        costs.measure_costs(nn.Linear(1, 1), torch.zeros(1, 1), ["flops"])


def hold(name, started):
    with machine_lock(name):
        started.set()
        time.sleep(60)


def test_the_machine_lock_waits_for_another_process_and_ends_with_it():
    context = multiprocessing.get_context("spawn")
    started = context.Event()
    name = f"test-{time.monotonic_ns()}"
    holder = context.Process(target=hold, args=(name, started))
    holder.start()
    assert started.wait(60)
    waiter = context.Process(target=hold, args=(name, taken := context.Event()))
    waiter.start()
    assert not taken.wait(1)
    holder.kill()
    assert taken.wait(60)
    waiter.kill()
    holder.join()
    waiter.join()


@pytest.mark.gpu
def test_peak_memory_of_a_gpu_holds_at_least_the_weights():
    model = nn.Linear(1000, 1000)
    found = costs.measure_costs(model, torch.zeros(1, 1000), costs.NAMES, "cuda")
    assert found["peak_memory_mb"] >= found["size_mb"]
    assert next(model.parameters()).device.type == "cpu"
