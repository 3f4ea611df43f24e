"""Ranking, calibration and promotion: closed forms, scipy, and the tables of NAS-Bench-201."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from shared_data import shared

from automl_nas.estimate import blended, calibrated, fitted, joined, noise, one_hot, ranks, scale_of
from automl_nas.promotion import Pool, Rounds, is_random, promote, promoted
from automl_nas.ranking import expected_best, kendall_tau, ranking
from automl_nas.region import whole
from automl_nas.report import verdict_of
from automl_nas.space import Cell, Chain

NAMES = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")


@pytest.mark.parametrize("seed", range(6))
def test_tau_equals_scipy_with_and_without_ties(seed):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=300), rng.integers(0, 5 + 50 * seed, size=300)
    assert kendall_tau(x, y) == pytest.approx(stats.kendalltau(x, y).statistic)
    assert kendall_tau(y, y) == pytest.approx(1)
    assert kendall_tau(y, -y) == pytest.approx(-1)


def test_tau_of_a_constant_is_not_a_number():
    assert np.isnan(kendall_tau([1, 1, 1], [1, 2, 3]))
    with pytest.raises(ValueError, match="one length"):
        kendall_tau([1, 2], [1, 2, 3])


def test_regret_is_what_the_first_choice_is_worse_than_the_best():
    found = ranking([0.1, 0.9, 0.5, 0.4], [10, 30, 70, 50])
    assert found.regret == 40
    assert found.tau == pytest.approx(stats.kendalltau([1, 4, 3, 2], [1, 2, 4, 3]).statistic)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_the_expected_best_of_some_equals_enumeration(count):
    values = [3.0, 1.0, 4.0, 1.0, 5.0]
    best = [max(some) for some in combinations(values, count)]
    assert expected_best(values, count) == pytest.approx(np.mean(best))
    with pytest.raises(ValueError, match="count"):
        expected_best(values, 6)


@pytest.mark.parametrize("free", [0, 2])
def test_left_out_predictions_equal_refitting_without_each(free):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(12, 5)), rng.normal(size=12)
    model = fitted(x, y, free, penalty=0.7)
    for left in range(12):
        rest = np.arange(12) != left
        again = fitted(x[rest], y[rest], free, penalty=0.7)
        # the ridge of the rest is centered on the rest: the closed form keeps the common center
        assert again.predict(x[left]) == pytest.approx(model.left_out[left], rel=1e-6)


def test_a_feature_without_penalty_is_fitted_by_least_squares_when_the_others_are_shrunk_away():
    rng = np.random.default_rng(1)
    plain, score = rng.normal(size=(20, 3)), rng.normal(size=20)
    y = 2 * score + 5 + 0.1 * rng.normal(size=20)
    model = fitted(joined(plain, score), y, free=1, penalty=1e9)
    line = stats.linregress(score, y)
    assert model.weights[:3] == pytest.approx(0, abs=1e-6)
    assert model.weights[3] == pytest.approx(line.slope, rel=1e-6)


def test_ranks_and_their_scale_are_inverse():
    values = np.random.default_rng(2).normal(size=30)
    assert scale_of(values)(ranks(values)) == pytest.approx(values)
    assert scale_of(values)(2.0) > values.max()
    assert ranks([3, 3, 1]).tolist() == pytest.approx([2 / 3, 2 / 3, 1 / 6])


def test_a_supernet_that_knows_nothing_is_dropped_and_one_that_knows_is_kept():
    rng = np.random.default_rng(3)
    truth = rng.permutation(np.arange(40.0))
    some = truth[:10]
    assert not calibrated(ranks(some)[:, None], rng.normal(size=10), some).kept
    known = calibrated(rng.normal(size=(40, 4)), truth + rng.normal(size=40), truth)
    assert known.kept
    assert known.taus["supernet"] > 0.8 > known.taus["operations"]
    assert verdict_of(known).startswith("The supernets' estimate is used")


def test_a_report_says_where_no_estimate_can_be_trusted():
    rng = np.random.default_rng(1)
    found = calibrated(rng.normal(size=(12, 4)), rng.normal(size=12), rng.normal(size=12))
    assert verdict_of(found).startswith("No estimate orders these trainings clearly better")


def test_a_blend_predicts_the_mean_of_its_models_with_shares_by_the_number_of_trainings():
    rng = np.random.default_rng(4)
    plain, score, y = rng.normal(size=(60, 3)), rng.normal(size=60), rng.normal(size=60)
    full, simple = fitted(joined(plain, score), y, free=1), fitted(score[:, None], y, free=1)
    found = blended(full, simple).predict(joined(plain, score))
    parts = full.predict(joined(plain, score)), simple.predict(score[:, None])
    assert found == pytest.approx(0.75 * parts[0] + 0.25 * parts[1])


def test_the_noise_of_tau_is_that_of_random_series():
    rng = np.random.default_rng(5)
    drawn = [kendall_tau(rng.random(12), rng.random(12)) for _ in range(2000)]
    assert noise(12) == pytest.approx(np.std(drawn), rel=0.05)


def test_too_few_trainings_are_refused():
    with pytest.raises(ValueError, match="at least 3"):
        calibrated(np.eye(2), np.zeros(2), [1, 2])


def test_indicators_have_one_operation_an_edge():
    space = Chain(layers=2, widths=(4, 8))
    found = one_hot(space, whole(space).architectures())
    assert found.shape == (32, 10)
    assert (found.sum(axis=1) == 3).all()
    assert len(np.unique(found, axis=0)) == 32


@pytest.mark.parametrize("share", [0.0, 0.1, 0.25, 1.0])
def test_the_random_arm_has_its_share(share):
    assert sum(is_random(number, share) for number in range(100)) == pytest.approx(100 * share)


def test_promotion_takes_the_best_estimates_and_one_of_each_form():
    forms = ["a", "a", "b", "c", "d"]
    pool = Pool(np.zeros((5, 1)), np.zeros(5), np.zeros((5, 0)), forms)
    values = np.array([5.0, 4, 3, 2, 1])
    assert promoted(pool, values, [], 3, np.random.default_rng(0)) == [0, 2, 3]
    assert promoted(pool, values, [1], 9, np.random.default_rng(0)) == [2, 3, 4]


def test_promotion_with_costs_stays_on_the_convex_front():
    values = np.array([0.0, 0.6, 1.0, 0.5, 0.9])
    costs = np.array([[0.0], [0.2], [1.0], [0.9], [1.1]])
    pool = Pool(np.zeros((5, 1)), np.zeros(5), costs, list("abcde"))
    found = {promoted(pool, values, [], 1, np.random.default_rng(s))[0] for s in range(60)}
    assert found == {0, 1, 2}


@pytest.fixture(scope="module")
def table():
    """Return the truth, both supernets' estimates, indicators and canonical forms."""
    frame = pd.read_parquet(shared("nasbench201.parquet"))
    cells = frame[frame.columns[:6]].map(NAMES.index).to_numpy()
    space = Cell(operations=("none", "skip", "conv1", "conv3", "avg3"))
    forms = [space.canonical(tuple(cell)) for cell in cells]
    estimates = {name: frame[name].to_numpy() for name in ("one_shot", "few_shot")}
    convs = (cells == 3).sum(axis=1) + 0.5 * (cells == 2).sum(axis=1)
    return frame["cifar10"].to_numpy(), estimates | {"convs": convs}, one_hot(space, cells), forms


@pytest.mark.parametrize(
    ("name", "tau", "top"), [("one_shot", 0.485, -0.23), ("few_shot", 0.551, -0.08)]
)
def test_published_supernets_rank_the_table_fairly_and_its_top_not_at_all(table, name, tau, top):
    truth, estimates, _, _ = table
    best = np.argsort(-truth)[: len(truth) // 10]
    assert kendall_tau(estimates[name][::4], truth[::4]) == pytest.approx(tau, abs=0.015)
    assert kendall_tau(estimates[name][best], truth[best]) == pytest.approx(top, abs=0.02)


def test_counting_convolutions_ranks_the_table_better_than_the_supernets(table):
    truth, estimates, _, _ = table
    assert kendall_tau(estimates["convs"][::4], truth[::4]) == pytest.approx(0.614, abs=0.015)


@pytest.mark.parametrize(("name", "rank"), [("one_shot", 6654), ("few_shot", 2089)])
def test_the_supernets_first_choices_are_far_from_the_best(table, name, rank):
    truth, estimates, _, _ = table
    first = truth[estimates[name] == estimates[name].max()]  # several cells share the first place
    places = [(truth > one).sum() + 1 for one in first]
    assert min(places) <= rank <= max(places)
    assert min(places) > len(truth) // 25


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (None, (93.13, 93.39, 93.60)),
        ("one_shot", (92.91, 93.10, 93.19)),
        ("few_shot", (93.37, 93.47, 93.65)),
        ("convs", (93.82, 94.02, 94.19)),
    ],
)
def test_filtering_by_a_score_gives_the_best_of_the_table_as_far_as_it_ranks(table, name, expected):
    truth, estimates, _, _ = table
    for count, value in zip((10, 20, 50), expected, strict=True):
        found = []
        for seed in range(120):
            drawn = np.random.default_rng(seed).choice(len(truth), 20 * count, replace=False)
            score = np.arange(len(drawn)) if name is None else estimates[name][drawn]
            found.append(truth[drawn[np.argsort(-score, kind="stable")[:count]]].max())
        assert np.mean(found) == pytest.approx(value, abs=0.12)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (None, (0.362, 0.534, 0.599)),
        ("one_shot", (0.486, 0.629, 0.671)),
        ("few_shot", (0.509, 0.639, 0.666)),
    ],
)
def test_calibration_ranks_the_table(table, name, expected):
    truth, estimates, plain, _ = table
    seen = np.arange(0, len(truth), 16)
    for count, tau in zip((20, 50, 100), expected, strict=True):
        found = []
        for seed in range(16):
            some = np.random.default_rng(seed).choice(len(truth), count, replace=False)
            features = plain if name is None else joined(plain, estimates[name])
            model = fitted(features[some], ranks(truth[some]), free=name is not None)
            found.append(kendall_tau(model.predict(features[seen]), truth[seen]))
        assert np.mean(found) == pytest.approx(tau, abs=0.06)


def test_a_regression_of_ranks_orders_the_table_better_than_one_of_values(table):
    truth, _, plain, _ = table
    seen = np.arange(0, len(truth), 16)
    some = [np.random.default_rng(seed).choice(len(truth), 100, replace=False) for seed in range(6)]
    by_rank = [fitted(plain[i], ranks(truth[i])).predict(plain[seen]) for i in some]
    by_value = [fitted(plain[i], truth[i]).predict(plain[seen]) for i in some]
    taus = [np.mean([kendall_tau(one, truth[seen]) for one in by]) for by in (by_rank, by_value)]
    assert taus[0] > taus[1] + 0.1


def test_promotion_in_rounds_finds_the_optimum_of_the_table_in_a_hundred_trainings(table):
    truth, estimates, plain, forms = table
    pool = Pool(plain, estimates["few_shot"], np.zeros((len(truth), 0)), forms)
    rounds = Rounds(start=10, batch=5, total=100, random=0.1)
    found = [
        list(promote(pool, lambda i: truth[i], rounds, np.random.default_rng(seed)).values())
        for seed in range(8)
    ]
    assert all(len(one) == 100 for one in found)
    best = np.max(found, axis=1)
    assert best.mean() > truth.max() - 0.05
    assert np.mean(best == truth.max()) >= 0.75
