"""Batches and outputs of any common shape."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from automl.zoo import TinyGPT
from automl_pruning.allocate import Layers, keep_counts
from automl_pruning.criteria import importances
from automl_pruning.curves import measure, probe
from automl_pruning.forward import call, inputs_of, output_of, part, samples, stack
from automl_pruning.units import find_units

X = torch.arange(12.0).reshape(6, 2)


class ByName(nn.Module):
    def forward(self, x, mask=None):
        return {"logits": x * mask, "loss": x.sum()}


@pytest.mark.parametrize("batch", [X, (X, torch.zeros(6)), [X, 3], ((X, 1), 2)])
def test_inputs_are_the_first_of_a_pair(batch):
    assert torch.equal(inputs_of(batch), X)


def test_inputs_by_name_go_to_the_arguments_that_forward_has():
    batch = {"x": X, "mask": torch.ones(6, 1), "labels": torch.zeros(6), "text": ["a"]}
    inputs = inputs_of(batch)
    assert set(inputs) == {"x", "mask", "labels"}
    assert torch.equal(call(ByName(), inputs), X)


@pytest.mark.parametrize("output", [X, (X, None), {"logits": X}, SimpleNamespace(logits=X), [X]])
def test_the_output_is_the_tensor_that_an_output_is_about(output):
    assert output_of(output) is X


@pytest.mark.parametrize("wrong", [3, "text", ()])
def test_what_holds_no_tensor_is_refused(wrong):
    with pytest.raises(ValueError, match="calibration: a batch is a"):
        inputs_of(wrong)
    with pytest.raises(ValueError, match="forward: returned a"):
        output_of(wrong)


def test_batches_are_joined_and_cut():
    joined = stack([{"x": X}, {"x": X}], 8)
    assert samples(joined) == 8
    assert torch.equal(part(joined, 6, 8)["x"], X[:2])


def test_a_language_model_is_measured_and_shared_out():
    torch.manual_seed(0)
    model = TinyGPT(width=16, layers=1, heads=2, context=16)
    tokens = torch.randint(0, 200, (4, 16))
    units = find_units(model, tokens)
    scores = importances(model, units, "activation", tokens)
    curves = measure(model, units, scores, probe(model, tokens, repair=True), 4)
    most = torch.tensor([unit.size for unit in units]).numpy()
    layers = Layers(units, tuple(scores), most, curves["kl"])
    assert keep_counts(layers, "rd", layers.total(0.3)).sum() == layers.total(0.3)
