"""The rules that share a total among units."""

import numpy as np
import pytest
import torch

from automl_pruning.allocate import (
    Layers,
    keep_counts,
    lamp_scores,
    least_distortion,
    shares,
    top_up,
)
from automl_pruning.curves import Curve
from automl_pruning.units import Unit

RULES = ["rd", "lamp", "erk", "global", "uniform", "uniform_plus"]
SHAPES = [(8, 2, 3, 3), (16, 8, 3, 3), (16, 16), (5, 16)]


def make_layers(seed=0, floor=4, **more):
    generator = torch.Generator().manual_seed(seed)
    units, scores, curves = [], [], []
    for index, shape in enumerate(SHAPES):
        size = int(np.prod(shape))
        positions = float(4 ** (3 - index))
        units.append(Unit(f"u{index}", (f"u{index}",), (), (shape,), size, floor, positions))
        scores.append(torch.randn(size, generator=generator).abs() / (index + 1))
        keep = np.unique(np.geomspace(max(floor, 1), size, 12).astype(int))[::-1]
        curves.append(Curve(keep, (index + 1) * (1 - keep / size) ** 2))
    most = np.array([unit.size for unit in units])
    return Layers(tuple(units), tuple(scores), most, tuple(curves), **more)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("density", [0.013, 0.05, 0.1, 0.5, 0.97, 1.0])
def test_every_rule_keeps_exactly_the_same_total_within_bounds(rule, density):
    layers = make_layers()
    total = layers.total(density)
    keep = keep_counts(layers, rule, total)
    assert keep.sum() == total == round(density * 1632)
    assert (keep >= layers.least).all()
    assert (keep <= layers.most).all()


@pytest.mark.parametrize("rule", RULES)
def test_no_rule_gives_back_what_is_gone(rule):
    before = make_layers()
    most = keep_counts(before, rule, before.total(0.4))
    curves = tuple(Curve(np.array([m, 4]), np.array([0.0, 1.0])) for m in most)
    after = Layers(before.units, before.scores, most, curves)
    keep = keep_counts(after, rule, after.total(0.2))
    assert (keep <= most).all()
    assert keep.sum() == before.total(0.2)


def test_a_density_below_the_floors_is_refused_with_the_least():
    with pytest.raises(ValueError, match=r"density: 0.001 keeps 2 .* the least is 0.009804"):
        make_layers().total(0.001)


def test_uniform_gives_all_units_one_density():
    layers = make_layers()
    keep = keep_counts(layers, "uniform", layers.total(0.25))
    assert np.abs(keep - 0.25 * layers.sizes).max() < 1


def test_uniform_plus_keeps_the_first_unit_and_a_fifth_of_the_last():
    layers = make_layers()
    keep = keep_counts(layers, "uniform_plus", layers.total(0.15))
    assert keep[0] == 144
    assert keep[-1] == 16
    assert abs(keep[1] / 1152 - keep[2] / 256) < 0.005


def test_erk_is_proportional_to_the_sum_of_a_shapes_lengths():
    layers = make_layers()
    keep = keep_counts(layers, "erk", layers.total(0.05))
    sums = np.array([sum(shape) for shape in SHAPES])
    assert np.abs(keep - keep.sum() * sums / sums.sum()).max() < 1


def test_global_keeps_the_largest_scores_of_all():
    layers = make_layers(floor=0)
    keep = keep_counts(layers, "global", 300)
    cut = torch.cat(layers.scores).sort(descending=True).values[299]
    assert keep.tolist() == [int((score >= cut).sum()) for score in layers.scores]


def test_lamp_scores_agree_with_the_definition():
    layers = make_layers()
    score = layers.scores[3].double()
    expected = [(u**2 / score[score >= u].square().sum()).item() for u in score]
    assert lamp_scores(layers)[3].tolist() == pytest.approx(expected)


def test_lamp_keeps_the_largest_lamp_scores():
    layers = make_layers(floor=0)
    keep = keep_counts(layers, "lamp", 300)
    scores = lamp_scores(layers)
    cut = torch.cat(scores).sort(descending=True).values[299]
    assert keep.tolist() == [int((score >= cut).sum()) for score in scores]


def total_distortion(layers, keep):
    return sum(float(c.at(np.array(k))) for c, k in zip(layers.curves, keep, strict=True))


@pytest.mark.parametrize("density", [0.05, 0.2, 0.6])
def test_rd_has_the_least_predicted_distortion_of_all_rules(density):
    layers = make_layers()
    total = layers.total(density)
    found = {rule: total_distortion(layers, keep_counts(layers, rule, total)) for rule in RULES}
    assert found["rd"] <= min(found.values()) * 1.001


def test_a_factor_protects_its_unit():
    layers = make_layers()
    plain = keep_counts(layers, "rd", 300)
    shielded = keep_counts(layers, "rd", 300, np.array([1.0, 50.0, 1.0, 1.0]))
    assert shielded[1] > plain[1]


def test_two_budgets_hold_at_once():
    layers = make_layers()
    positions = np.array([unit.positions for unit in layers.units])
    macs = 0.2 * float((layers.sizes * positions).sum())
    keep = least_distortion(layers, {"weights": 600, "macs": macs})
    assert keep.sum() <= 600
    assert (keep * positions).sum() <= macs
    alone = least_distortion(layers, {"weights": 600})
    assert (alone * positions).sum() > macs


def test_what_two_budgets_leave_over_is_spent_to_the_last_weight_that_fits():
    layers = make_layers()
    positions = np.array([unit.positions for unit in layers.units])
    for macs in (1e9, 9_000.0):
        budgets = {"weights": 600.0, "macs": macs}
        keep = top_up(least_distortion(layers, budgets), layers, budgets)
        left = np.where(keep < layers.most, positions, np.inf)
        assert (keep * positions).sum() <= macs
        assert keep.sum() == 600 or (keep * positions).sum() + left.min() > macs


def test_a_table_of_times_is_a_budget():
    times = tuple(
        Curve(np.array([size, 1]), np.array([float(size), 1.0])) for size in (144, 1152, 256, 80)
    )
    layers = make_layers(times=times)
    keep = least_distortion(layers, {"latency": 500.0})
    assert sum(float(t.at(np.array(k))) for t, k in zip(times, keep, strict=True)) <= 500
    with pytest.raises(ValueError, match="budget: 1 of latency is below the least, "):
        least_distortion(layers, {"latency": 1.0})


def test_shares_fill_bounds_and_share_the_rest():
    found = shares(np.array([1.0, 1.0, 8.0]), np.array([0, 5, 0]), np.array([9, 9, 10]), 18)
    assert found.tolist() == [3, 5, 10]
