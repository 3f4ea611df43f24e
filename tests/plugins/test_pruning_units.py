"""Which weights are pruned with one rate, and in which order they go."""

import pytest
import torch
from torch import nn

from automl_pruning.criteria import importances, order
from automl_pruning.units import find_units


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(6, 6) for _ in range(3))
        self.out_proj = nn.Linear(6, 6)

    def forward(self, x):
        return self.out_proj(self.q_proj(x) + self.k_proj(x) * self.v_proj(x))


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(11, 4)
        self.body = nn.Linear(4, 4)
        self.head = nn.Linear(4, 11, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, tokens):
        return self.head(self.body(self.embed(tokens)))


def names(model, **options):
    return [unit.name for unit in find_units(model, **options)]


def test_convolutions_and_linear_maps_are_units_and_nothing_else():
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3, groups=8), nn.Linear(8, 2)
    )
    assert names(model) == ["0", "3"]


def test_a_pattern_leaves_units_alone():
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    assert names(model, exclude=["^1$"]) == ["0"]
    with pytest.raises(ValueError, match="nothing to prune among 2 units"):
        find_units(model, exclude=["."])


def test_the_three_projections_of_an_attention_are_one_unit():
    units = find_units(nn.Sequential(Attention()))
    assert [unit.name for unit in units] == ["0.qkv", "0.out_proj"]
    assert units[0].weights == ("0.q_proj.weight", "0.k_proj.weight", "0.v_proj.weight")
    assert units[0].size == 108


def test_torchs_own_attention_is_two_units():
    units = find_units(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True))
    assert [unit.name for unit in units] == [
        "self_attn.in_proj",
        "self_attn.out_proj",
        "linear1",
        "linear2",
    ]


def test_tied_weights_are_one_unit_and_count_once():
    units = find_units(Tied())
    assert [(unit.name, unit.size) for unit in units] == [("body", 16), ("head", 44)]
    assert units[1].weights == ("embed.weight",)


def test_multiply_accumulates_follow_the_output_positions():
    model = nn.Sequential(nn.Conv2d(1, 2, 3, stride=2), nn.Flatten(2), nn.Linear(9, 5))
    first, last = find_units(model, torch.zeros(7, 1, 7, 7))
    assert first.size * first.positions == 2 * 9 * 9  # 9 weights for each of 2 x 3 x 3 outputs
    assert last.size * last.positions == 2 * 45  # 45 weights for each of 2 rows


def test_multiply_accumulates_of_torchs_own_attention_count_every_token():
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    units = find_units(layer, torch.zeros(4, 5, 8))
    assert [unit.positions for unit in units] == [5.0] * 4


def test_a_floor_keeps_a_weight_for_each_output():
    (unit,) = find_units(nn.Linear(10, 20))
    assert unit.floor == 20


def test_the_order_puts_large_scores_first_and_ties_by_index():
    assert order(torch.tensor([1.0, 3.0, 1.0, 2.0])).tolist() == [2, 0, 3, 1]


def test_activation_scores_multiply_weights_by_the_norm_of_their_inputs():
    model = nn.Sequential(nn.Linear(3, 2))
    x = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    (score,) = importances(model, find_units(model), "activation", x)
    expected = model[0].weight.detach().abs() * x.norm(dim=0)
    torch.testing.assert_close(score, expected.flatten())


@pytest.mark.parametrize("groups", [1, 2])
def test_activation_scores_of_a_convolution_use_the_channel_it_reads(groups):
    model = nn.Sequential(nn.Conv2d(4, 6, 1, groups=groups, bias=False))
    x = torch.randn(5, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    (score,) = importances(model, find_units(model), "activation", x)
    norms = x.square().sum((0, 2, 3)).sqrt().reshape(groups, -1)
    rows = norms.repeat_interleave(6 // groups, dim=0)
    weight = model[0].weight.detach().abs().reshape(6, -1)
    torch.testing.assert_close(score.reshape(6, -1), weight * rows)


def test_fisher_scores_of_a_softmax_approach_the_closed_form():
    model = nn.Sequential(nn.Linear(2, 2, bias=False))
    nn.init.zeros_(model[0].weight)
    with torch.no_grad():
        model[0].weight[0, 0] = 1e-9
    x = torch.ones(64, 2)
    (score,) = importances(model, find_units(model), "fisher", x)
    assert score[0].item() == pytest.approx(1e-9 * 0.5)  # variance of a fair class is a quarter


def test_unused_weights_have_no_fisher_score_and_cause_no_error():
    model = nn.ModuleDict({"used": nn.Linear(2, 3), "spare": nn.Linear(2, 2)})
    model.forward = model["used"].forward
    scores = importances(model, find_units(model), "fisher", torch.ones(3, 2))
    assert scores[1].abs().sum() == 0
