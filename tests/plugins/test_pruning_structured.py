"""Channels are really removed, and the knapsack decides which."""

import copy

import pytest
import torch

import automl
from automl.errors import AutomlError
from automl.export import export
from automl.zoo import MLP, ConvNet, Digits, ResNet

pytest.importorskip("torch_pruning", reason="needs the extra automl[channels]")

from automl_pruning.options import Options, proposed
from automl_pruning.rebuild import rebuild
from automl_pruning.report import sections
from automl_pruning.structured import exact_size, find_groups, last_layer, replay, shrink, trace
from automl_pruning.units import LAYERS

STUDY = automl.Study(
    name="channels",
    model={"class_path": "automl.zoo.ConvNet", "init_args": {"width": 4, "depth": 2}},
    data={"class_path": "automl.zoo.Digits", "init_args": {"batch_size": 128}},
    trainer={"max_epochs": 1},
    plugins={"pruning": {"granularity": "channels", "finetune_epochs": 0, "calibration": 64}},
    objectives={
        "val_accuracy": {"goal": "maximize"},
        "density": {"goal": "minimize"},
        "parameters": {"goal": "minimize"},
    },
    space={"pruning.density": {"fixed": 0.4}},
    budget={"trials": 1},
    checkpoints={"keep": "all"},
)
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


@pytest.mark.parametrize("name", list(CASES))
def test_weights_alone_rebuild_the_shrunk_model(name):
    model, x = case(name)
    shrink(model, x, 0.4)
    fresh, _ = case(name)
    rebuild(fresh, model.state_dict())
    torch.testing.assert_close(fresh(x), model(x), rtol=0, atol=0)
    assert str(fresh) == str(model)


def test_weights_of_another_model_rebuild_nothing():
    small, large = ConvNet(width=4, depth=2), ConvNet(width=8, depth=2)
    with pytest.raises(AutomlError, match="is not .* with channels cut out"):
        rebuild(small, large.state_dict())
    with pytest.raises(AutomlError, match="the weights are not of a ConvNet"):
        rebuild(large, {})


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
def test_an_exported_point_of_channels_is_a_small_plain_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ran = automl.run(STUDY, here=tmp_path)
    export(ran.history, "0", tmp_path / "out")
    model, metrics = automl.load(tmp_path / "out"), ran.trials[0].metrics
    assert sum(p.numel() for p in model.parameters()) == metrics["parameters"]
    data = Digits(batch_size=128)
    data.setup("fit")
    batches = list(data.val_dataloader())
    with torch.no_grad():
        hits = sum(int((model(x).argmax(1) == y).sum()) for x, y in batches)
    assert hits / sum(len(y) for _, y in batches) == pytest.approx(metrics["val_accuracy"])
    (section,) = sections(ran.history)
    assert "network.0.0" in {row[1] for row in section.parts[0].rows}


def test_channels_search_nothing_that_they_do_not_read():
    given = proposed(Options(granularity="channels", blocks=2))
    assert set(given) == {"density", "repair", "finetune_epochs", "finetune_rate"}


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
