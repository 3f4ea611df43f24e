"""The linear maps of transformers keep their weights turned, and are pruned as all others are."""

import pytest
import torch
from torch import nn

from automl_pruning.criteria import importances
from automl_pruning.masks import apply, make_masks
from automl_pruning.repair import dense_moments, repair
from automl_pruning.units import find_units

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.fixture
def pair():
    """The same two layers twice: as transformers keeps them, and as PyTorch does."""
    reason = "transformers is not installed"
    maps = pytest.importorskip("transformers.pytorch_utils", reason=reason)
    torch.manual_seed(0)
    turned = nn.Sequential(maps.Conv1D(24, 10), nn.ReLU(), maps.Conv1D(6, 24))
    plain = nn.Sequential(nn.Linear(10, 24), nn.ReLU(), nn.Linear(24, 6))
    for ours, theirs in zip(plain, turned, strict=True):
        if isinstance(ours, nn.Linear):
            ours.weight.data, ours.bias.data = (
                theirs.weight.data.T.clone(),
                theirs.bias.data.clone(),
            )
    return turned, plain


X = torch.randn(32, 7, 10, generator=torch.Generator().manual_seed(1))


def test_turned_weights_are_units_with_the_same_floors_and_uses(pair):
    turned, plain = (find_units(model, X) for model in pair)
    assert [(u.name, u.size, u.floor, u.positions) for u in turned] == [
        (u.name, u.size, u.floor, u.positions) for u in plain
    ]


def test_turned_weights_have_the_same_importances(pair):
    for criterion in ("activation", "fisher"):
        scores = [importances(one, find_units(one, X), criterion, X) for one in pair]
        for unit, ours, theirs in zip(find_units(pair[1]), *scores, strict=True):
            outputs, inputs = unit.shapes[0]
            torch.testing.assert_close(ours.reshape(inputs, outputs).T.reshape(-1), theirs)


def test_turned_weights_are_repaired_to_the_same_outputs(pair):
    outputs = []
    for model in pair:
        units, dense = find_units(model, X), dense_moments(model, X)
        scores = importances(model, units, "magnitude", X)
        apply(model, make_masks(units, scores, [60, 40]))
        repair(model, X, dense)
        outputs.append(model(X))
    torch.testing.assert_close(*outputs)
