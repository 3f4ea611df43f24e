"""Laws of mixtures: planted ones are found, and RegMix's own tables are reproduced."""

import numpy as np
import pandas as pd
import pytest
from shared_data import shared

from automl_data_mixing import laws
from automl_data_mixing.course import Course, Setting

SETTING = Setting(("a", "b", "c"), (False, False, True), (9, 9, 9), 4, 320)


def planted(count, seed=0):
    """Return mixtures and the losses that an exponential law gives them."""
    mixtures = np.random.default_rng(seed).dirichlet(np.ones(3), size=count)
    return mixtures, 1.2 + np.exp(mixtures @ np.array([0.3, -0.5, -1.2]))


def test_the_exponential_law_finds_a_law_of_its_form():
    law = laws.exponential(*planted(40))
    mixtures, losses = planted(100, seed=1)
    assert np.abs(law.predict(mixtures) - losses).max() < 0.03  # of a range of 1.3
    assert law.slopes[0] > law.slopes[1] > law.slopes[2]


def test_the_error_of_a_run_left_out_equals_a_fit_without_it():
    mixtures, losses = planted(12)
    values = np.log(losses - 0.5)
    errors = []
    for i in range(12):
        rest = np.arange(12) != i
        # the penalty is per run, and one run fewer is fitted
        slopes, _ = laws.ridge(mixtures[rest], values[rest], 1e-3 * 12 / 11)
        errors.append((0.5 + np.exp(mixtures[i] @ slopes) - losses[i]) ** 2)
    assert laws.left_out(mixtures, losses, 0.5, 1e-3) == pytest.approx(np.mean(errors), rel=1e-6)


@pytest.mark.slow
def test_cross_validation_prefers_the_law_that_made_the_data():
    mixtures, losses = planted(60)
    name, errors = laws.choose(mixtures, losses)
    assert name != "boosted"
    assert errors["boosted"] > errors[name]


def test_rank_correlation_handles_ties_as_pandas_does():
    draw = np.random.default_rng(0)
    first, second = draw.integers(0, 5, 50).astype(float), draw.normal(size=50)
    expected = pd.Series(first).rank().corr(pd.Series(second).rank())
    assert laws.spearman(first, second) == pytest.approx(expected)


def test_the_best_mixture_follows_the_preference():
    tried = laws.candidates(SETTING, 20_000)
    found = [laws.best(tried, (1 - tried) ** 2, SETTING, w) for w in (0.0, 0.5, 1.0)]
    shares = [mixture[2] for mixture in found]
    assert shares[0] < 0.05 < shares[1] < 0.95 < shares[2]
    assert found[0][0] == pytest.approx(0.5, abs=0.05)


def test_a_law_is_fitted_to_each_domain():
    mixtures, losses = planted(30)
    made, names = laws.fitted(mixtures, np.stack([losses, 5 - losses], axis=1))
    assert len(made) == len(names) == 2
    assert np.abs(made[1].predict(mixtures) - (5 - losses)).max() < 0.1


def test_only_courses_with_one_mixture_teach_a_law():
    flat = Course(SETTING, ((0.2, 0.3, 0.5),) * 4, ((1, 1, 1),) * 5, (1,) * 5)
    moving = Course(SETTING, (*flat.weights[:3], (0.5, 0.3, 0.2)), flat.losses, flat.rates)
    mixtures, losses = laws.average([flat, moving])
    assert mixtures.tolist() == [[0.2, 0.3, 0.5]]
    assert losses.shape == (1, 3)


def table(scale):
    """Read mixtures and Pile-CC losses of the runs of one scale."""
    mixtures = pd.read_csv(shared(f"regmix/{scale.replace('@', 'mixture')}.csv"), index_col="index")
    losses = pd.read_csv(shared(f"regmix/{scale.replace('@', 'pile_loss')}.csv"), index_col="index")
    losses = losses["metric/the_pile_pile_cc_val_loss"]
    return mixtures.loc[losses.index].to_numpy(), losses.to_numpy()


@pytest.mark.parametrize("name", ["boosted", "gaussian"])
@pytest.mark.parametrize(("scale", "least"), [("1m", 0.98), ("60m", 0.98), ("1B", 0.95)])
def test_laws_on_the_512_small_runs_rank_the_pile_cc_losses_of_every_scale(name, scale, least):
    law = laws.LAWS[name](*table("train_@_1m"))
    mixtures, losses = table(f"test_@_{scale}")
    assert laws.spearman(law.predict(mixtures), losses) >= least


def test_a_gaussian_process_on_64_small_runs_ranks_almost_as_well_as_trees_on_512():
    mixtures, losses = (part[:64] for part in table("train_@_1m"))
    law = laws.gaussian(mixtures, losses)
    mixtures, losses = table("test_@_60m")
    assert laws.spearman(law.predict(mixtures), losses) >= 0.97
