"""Sparse copies compute the same, and are sparse only where that was measured faster."""

import numpy as np
import pytest
import torch
from torch import nn

from automl_pruning.allocate import Layers, least_distortion
from automl_pruning.criteria import importances
from automl_pruning.curves import Curve
from automl_pruning.masks import apply, make_masks
from automl_pruning.speed import SparseLinear, sparse_copy, time_table
from automl_pruning.units import find_units


def perceptron():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(256, 512), nn.ReLU(), nn.Linear(512, 8, bias=False))


def pruned(share):
    model = perceptron()
    units = find_units(model)
    scores = importances(model, units, "magnitude", torch.zeros(0))
    apply(model, make_masks(units, scores, [round(share * unit.size) for unit in units]))
    return model, units, scores


def test_compressed_rows_compute_what_the_dense_map_does():
    model, *_ = pruned(0.1)
    x = torch.randn(3, 5, 256)
    torch.testing.assert_close(SparseLinear(model[0])(x), model[0](x), rtol=1e-4, atol=1e-5)


def test_a_sparse_copy_predicts_the_same_and_leaves_the_model_alone():
    model, *_ = pruned(0.02)
    x = torch.randn(64, 256)
    before = [type(module) for module in model.modules()]
    copied, timings = sparse_copy(model, x)
    torch.testing.assert_close(copied(x), model.eval()(x), rtol=1e-4, atol=1e-4)
    assert [type(module) for module in model.modules()] == before
    assert [timing.name for timing in timings] == ["0", "2"]


def test_a_map_is_replaced_exactly_where_it_was_measured_faster():
    model, *_ = pruned(0.02)
    copied, timings = sparse_copy(model, torch.randn(64, 256))
    for timing in timings:
        replaced = isinstance(copied.get_submodule(timing.name), SparseLinear)
        assert replaced == (timing.sparse_ms < timing.dense_ms)


def test_a_table_of_times_never_rises_as_weights_go():
    model, units, scores = pruned(1.0)
    table = time_table(model, units, scores, torch.randn(64, 256))
    for curve, unit in zip(table, units, strict=True):
        assert curve.keep[0] == unit.size
        assert (np.diff(curve.distortion) <= 0).all()


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.MultiheadAttention(16, 2, batch_first=True)

    def forward(self, x):
        return self.inner(x, x, x, need_weights=False)[0]


def test_a_linear_map_that_is_never_called_costs_no_time_that_could_be_saved():
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(8, 16), Attention(), nn.Linear(16, 4)), torch.randn(4, 3, 8)
    units = find_units(model)
    table = time_table(model, units, importances(model, units, "magnitude", x), x)
    timed = {
        unit.name: bool(curve.distortion.any()) for unit, curve in zip(units, table, strict=True)
    }
    assert timed == {"0": True, "1.inner.in_proj": False, "1.inner.out_proj": False, "2": True}


def test_a_model_without_linear_maps_has_no_time_to_save():
    model, x = nn.Conv2d(1, 4, 3), torch.randn(2, 1, 8, 8)
    units = find_units(model)
    with pytest.raises(ValueError, match="latency: none of 1 units is a linear map"):
        time_table(model, units, importances(model, units, "magnitude", x), x)


def test_an_allocation_within_a_budget_of_measured_time_exists():
    model, units, scores = pruned(1.0)
    table = time_table(model, units, scores, torch.randn(64, 256))
    most = np.array([unit.size for unit in units])
    curves = tuple(Curve(np.array([u.size, u.floor]), np.array([0.0, 1.0])) for u in units)
    layers = Layers(units, tuple(scores), most, curves, table)
    least = sum(float(t.at(np.array(n))) for t, n in zip(table, layers.least, strict=True))
    dense = sum(float(t.at(np.array(n))) for t, n in zip(table, most, strict=True))
    budget = (least + dense) / 2
    keep = least_distortion(layers, {"latency": budget})
    spent = sum(float(t.at(np.array(n))) for t, n in zip(table, keep, strict=True))
    assert spent <= budget
