"""Distortion curves, the repair of statistics, and how well curves add up."""

import copy

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import nn

from automl_pruning import curves, masks
from automl_pruning.additivity import Additivity, additivity, rank_correlation
from automl_pruning.allocate import Layers
from automl_pruning.criteria import importances
from automl_pruning.repair import dense_moments, repair, repaired_call
from automl_pruning.units import find_units


class Convolutional(nn.Sequential):
    def __init__(self):
        super().__init__(
            nn.Conv2d(2, 8, 3, padding=1, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 12, 3, padding=1, bias=False),
            nn.BatchNorm2d(12),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(12 * 16, 5),
        )


class Transformer(nn.Sequential):
    def __init__(self):
        layers = [nn.TransformerEncoderLayer(8, 2, 16, batch_first=True) for _ in range(2)]
        super().__init__(*layers, nn.Flatten(), nn.Linear(24, 4))


def perceptron():
    return nn.Sequential(nn.Linear(6, 20), nn.GELU(), nn.Linear(20, 9), nn.GELU(), nn.Linear(9, 4))


INPUTS = {Convolutional: (64, 2, 4, 4), Transformer: (64, 3, 8), perceptron: (64, 6)}


def prepared(make, metric="mse", *, repaired=True, points=8):
    torch.manual_seed(0)
    model, x = make(), torch.randn(INPUTS[make])
    with torch.no_grad():
        for norm in model.modules():
            if isinstance(norm, nn.BatchNorm2d):
                norm.running_mean.normal_(0, 0.1)
    units = find_units(model, x)
    scores = importances(model, units, "magnitude", x)
    eye = curves.probe(model, x, repair=repaired)
    return model, units, scores, eye, curves.measure(model, units, scores, eye, points)[metric]


def state(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize("repaired", [True, False])
@pytest.mark.parametrize("metric", ["mse", "kl", "max"])
@pytest.mark.parametrize("make", list(INPUTS))
def test_curves_start_at_zero_and_rise(make, metric, repaired):
    *_, eye, found = prepared(make, metric, repaired=repaired)
    model = prepared(make, metric, repaired=repaired)[0]
    assert eye.distortion(model)[metric] == 0
    for curve in found:
        assert curve.distortion[0] == 0
        assert (np.diff(curve.keep) < 0).all()
        assert (np.diff(curve.distortion) >= 0).all()
        assert curve.distortion[-1] > 0


@pytest.mark.parametrize("make", list(INPUTS))
def test_measuring_leaves_the_model_as_it_was_bit_by_bit(make):
    model, units, scores, eye, found = prepared(make)
    model.train()
    before = state(model)
    curves.measure(model, units, scores, eye)
    additivity(model, layers(units, scores, found), eye, count=3)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(module.training for module in model.modules())
    assert not any(module._forward_hooks for module in model.modules())


def layers(units, scores, found):
    most = np.array([unit.size for unit in units])
    return Layers(units, tuple(scores), most, tuple(found))


def test_a_point_of_a_curve_is_the_distortion_of_that_mask():
    model, units, scores, eye, found = prepared(perceptron, repaired=False)
    keep = [unit.size for unit in units]
    keep[1] = int(found[1].keep[3])
    pruned = copy.deepcopy(model)
    masks.apply(pruned, masks.make_masks(units, scores, keep))
    real = (model(eye.inputs) - pruned(eye.inputs)).square().mean().item()
    assert found[1].distortion[3] <= real * 1.0001
    assert real == pytest.approx(found[1].distortion[3], rel=0.2)


def test_curves_of_a_pruned_model_start_at_what_it_has():
    model, units, scores, eye, _ = prepared(perceptron)
    masks.apply(model, masks.make_masks(units, scores, [60, 90, 18]))
    again = curves.measure(model, units, scores, eye, 5)["kl"]
    assert [int(curve.keep[0]) for curve in again] == [60, 90, 18]


def test_a_curve_between_points_is_linear():
    curve = curves.Curve(np.array([100, 50, 10]), np.array([0.0, 1.0, 3.0]))
    assert curve.at(np.array([75, 30])).tolist() == [0.5, 2.0]


def test_an_envelope_is_finite_and_takes_the_better_mask_of_fewer_weights():
    found = curves.envelope(np.array([0.0, 3.0, 2.0, np.inf]))
    assert found.tolist() == [0.0, 2.0, 2.0, 30.0]


def test_distances_agree_with_their_definitions():
    dense, pruned = torch.randn(2, 7, 5, generator=torch.Generator().manual_seed(1)).double()
    errors = (dense - pruned).square().mean(1)
    kl = nn.functional.kl_div(
        pruned.log_softmax(1), dense.log_softmax(1), log_target=True, reduction="batchmean"
    )
    assert curves.distance(dense, pruned, "mse") == pytest.approx(errors.mean().item())
    assert curves.distance(dense, pruned, "max") == pytest.approx(errors.max().item())
    assert curves.distance(dense, pruned, "kl") == pytest.approx(kl.item())
    assert curves.distance(dense, pruned * np.nan, "mse") == np.inf


def test_curves_come_back_from_a_file(tmp_path):
    model, units, scores, eye, _ = prepared(perceptron)
    found = curves.measure(model, units, scores, eye, 5)
    curves.save(tmp_path / "deep" / "curves.npz", found)
    again = curves.load(tmp_path / "deep" / "curves.npz")
    assert list(again) == ["mse", "kl", "max"]
    for metric, first in found.items():
        for curve, copied in zip(first, again[metric], strict=True):
            assert np.array_equal(curve.keep, copied.keep)
            assert np.array_equal(curve.distortion, copied.distortion)


def test_a_fingerprint_changes_with_weights_inputs_and_settings():
    model, *_, eye, _ = prepared(Convolutional)
    x = eye.inputs
    first = curves.fingerprint(model, x, "mse")
    assert first == curves.fingerprint(copy.deepcopy(model), x.clone(), "mse")
    assert first != curves.fingerprint(model, x, "kl")
    assert first != curves.fingerprint(model, x + 1, "mse")
    model[1].running_mean[0] += 1e-3
    assert first != curves.fingerprint(model, x, "mse")


@pytest.mark.parametrize("make", [Convolutional, perceptron, Transformer])
def test_a_repair_in_place_gives_the_output_that_was_promised(make):
    model, units, scores, eye, _ = prepared(make)
    masks.apply(model, masks.make_masks(units, scores, [u.size // 4 for u in units]))
    zeros = {name: value == 0 for name, value in model.named_parameters()}
    promised = repaired_call(model, eye.inputs, dict(eye.dense))
    repair(model, eye.inputs, dict(eye.dense))
    model.eval()
    torch.testing.assert_close(model(eye.inputs), promised, rtol=0.02, atol=0.02)
    for unit in units:
        for name in unit.weights:
            assert torch.equal(zeros[name], model.get_parameter(name) == 0)


def test_a_repair_matches_mean_and_deviation_of_every_output_channel():
    model, units, scores, eye, _ = prepared(perceptron)
    masks.apply(model, masks.make_masks(units, scores, [u.size // 2 for u in units]))
    dense = dict(eye.dense)
    repair(model, eye.inputs, dense)
    for name, found in dense_moments(model, eye.inputs).items():
        torch.testing.assert_close(found.mean, dense[name].mean, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(found.deviation, dense[name].deviation, rtol=1e-4, atol=1e-5)


def test_repairing_a_dense_model_changes_nothing_but_its_normalizations():
    model, *_, eye, _ = prepared(perceptron)
    before = state(model)
    repair(model, eye.inputs, dict(eye.dense))
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_shared_layers_are_not_repaired():
    shared = nn.Linear(5, 5)
    model = nn.Sequential(shared, nn.ReLU(), shared, nn.Linear(5, 2))
    assert list(dense_moments(model, torch.randn(9, 5))) == ["3"]


def test_layers_before_a_normalization_are_left_to_it():
    model, x = Convolutional(), torch.randn(INPUTS[Convolutional])
    assert list(dense_moments(model, x)) == ["7"]


def test_repaired_curves_add_up_at_gentle_densities():
    model, units, scores, eye, found = prepared(Convolutional, points=16)
    result = additivity(model, layers(units, scores, found), eye, count=24)
    gentle = result.densities > 0.3
    assert rank_correlation(result.predicted[gentle], result.real[gentle]) > 0.9


def test_the_diagnostic_warns_below_its_threshold():
    model, units, scores, eye, found = prepared(perceptron)
    result = additivity(model, layers(units, scores, found), eye, count=12)
    backwards = type(result)(result.densities, -result.predicted, result.real)
    assert result.warning() is None
    assert "rank correlation of -" in backwards.warning()


def test_the_diagnostic_names_the_densities_at_which_sums_fail_though_all_together_hold():
    densities = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.09, 0.08, 0.07, 0.06, 0.05])
    predicted = np.arange(11.0)
    real = np.array([*range(6), 10.0, 9.0, 8.0, 7.0, 6.0])
    said = Additivity(densities, predicted, real).warning()
    assert "at densities 0 to 0.1 (-1.00 over 5 allocations);" in said


def test_the_rank_correlation_is_spearmans():
    a, b = np.round(np.random.default_rng(0).random((2, 30)), 1)
    assert rank_correlation(a, b) == pytest.approx(spearmanr(a, b).statistic)
    assert rank_correlation(a, np.ones(30)) == 0
