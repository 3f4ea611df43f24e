"""Channels are really removed, and the knapsack decides which."""

import copy

import pytest
import torch

from automl.zoo import MLP, ConvNet, ResNet

pytest.importorskip("torch_pruning", reason="needs the extra automl[channels]")

from automl_pruning.structured import exact_size, find_groups, last_layer, replay, shrink, trace
from automl_pruning.units import LAYERS

CASES = {
    "conv": (lambda: ConvNet(width=8, depth=3), (32, 1, 8, 8)),
    "residual": (lambda: ResNet(width=8, blocks=1, channels=1, size=8), (32, 1, 8, 8)),
    "perceptron": (lambda: MLP(inputs=6, classes=3), (32, 6)),
}


def case(name):
    torch.manual_seed(0)
    make, shape = CASES[name]
    return make().eval(), torch.randn(shape)


def weights(model):
    return sum(m.weight.numel() for m in model.modules() if isinstance(m, LAYERS))


@pytest.mark.parametrize("share", [0.6, 0.3])
@pytest.mark.parametrize("name", list(CASES))
def test_a_shrunk_model_runs_and_is_as_small_as_asked(name, share):
    model, x = case(name)
    dense, shape = weights(model), model(x).shape
    history = shrink(model, x, share)
    assert weights(model) <= share * dense
    assert weights(model) > 0.4 * share * dense
    assert model(x).shape == shape
    assert history


@pytest.mark.parametrize("name", list(CASES))
def test_the_size_that_the_knapsack_counts_is_the_real_one(name):
    model, x = case(name)
    groups = find_groups(trace(model, x), model, {last_layer(model, x)})
    assert exact_size(model, groups, [0] * len(groups)) == weights(model)
    small = copy.deepcopy(model)
    shrink(small, x, 0.5)
    widths = {n: m.weight.shape[0] for n, m in small.named_modules() if isinstance(m, LAYERS)}
    removed = [model.get_submodule(g.name).weight.shape[0] - widths[g.name] for g in groups]
    assert exact_size(model, groups, removed) == weights(small)


def test_a_history_gives_a_fresh_model_the_shapes_of_the_shrunk_one():
    model, x = case("residual")
    history = shrink(model, x, 0.4)
    fresh, _ = case("residual")
    replay(fresh, x, history)
    fresh.load_state_dict(model.state_dict())
    torch.testing.assert_close(fresh(x), model(x))


def test_useless_channels_go_first_and_change_nothing():
    model, x = case("conv")
    groups = find_groups(trace(model, x), model, {last_layer(model, x)})
    with torch.no_grad():
        for group in groups:
            for name, idxs in group.readers:
                half = idxs[: len(idxs) // 2].ravel()
                model.get_submodule(name).weight[:, half] = 0
    before = model(x)
    dense = weights(model)
    shrink(model, x, 0.35)
    assert weights(model) <= 0.35 * dense
    torch.testing.assert_close(model(x), before, rtol=1e-3, atol=1e-4)


def test_a_share_below_the_least_widths_is_refused_with_the_least():
    model, x = case("conv")
    with pytest.raises(ValueError, match=r"share of 0\.001 is below the least, 0\.0"):
        shrink(model, x, 0.001)
