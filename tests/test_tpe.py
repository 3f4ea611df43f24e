"""TPE in studies that stop trials, beside Optuna's own."""

from functools import partial

import numpy as np
import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.samplers import TPESampler
from optuna.trial import TrialState, create_trial

from automl.tpe import Finishers

SPACE = {"x": FloatDistribution(0, 1)}
BEST = 0.2


def told(sampler, objectives, finished, stopped):
    """Return a study in which trials spread evenly have finished and been stopped."""
    study = optuna.create_study(directions=["minimize"] * objectives, sampler=sampler)
    ends = [(x, TrialState.COMPLETE) for x in np.linspace(0, 1, finished)]
    ends += [(x, TrialState.PRUNED) for x in np.linspace(0, 1, stopped)]
    for index in np.random.default_rng(0).permutation(len(ends)):
        x, state = ends[index]
        values = None
        if state == TrialState.COMPLETE:
            values = [abs(x - BEST)] if objectives == 1 else [abs(x - BEST), abs(x - BEST) + x]
        study.add_trial(
            create_trial(state=state, params={"x": x}, distributions=SPACE, values=values)
        )
    return study


def proposals(kind, objectives, finished, stopped, seeds=range(12), *, multivariate=True):
    samplers = [kind(seed=seed, multivariate=multivariate) for seed in seeds]
    studies = [told(sampler, objectives, finished, stopped) for sampler in samplers]
    return [study.ask(SPACE).params["x"] for study in studies]


@pytest.mark.parametrize("objectives", [1, 2])
@pytest.mark.parametrize("finished", [4, 9, 10, 40, 300])
def test_it_is_that_of_optuna_where_no_trial_is_stopped(objectives, finished):
    ours, optunas = (proposals(one, objectives, finished, 0) for one in (Finishers, TPESampler))
    assert ours == optunas


@pytest.mark.parametrize("objectives", [1, 2])
def test_it_proposes_nearer_to_the_best_of_those_that_finished_when_most_are_stopped(objectives):
    ours, optunas = (
        np.abs(np.array(proposals(one, objectives, 20, 180)) - BEST).mean()
        for one in (Finishers, TPESampler)
    )
    assert ours < 0.5 * optunas


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize(("finished", "random"), [(9, True), (10, False)])
def test_it_draws_at_random_until_ten_finished_however_many_were_stopped(
    finished, random, together
):
    never = partial(TPESampler, n_startup_trials=1000)
    ours, drawn = (
        proposals(one, 2, finished, 90, multivariate=together) for one in (Finishers, never)
    )
    assert (ours == drawn) is random


@pytest.mark.parametrize("objectives", [1, 2])
def test_it_proposes_where_every_trial_was_stopped(objectives):
    assert all(0 <= x <= 1 for x in proposals(Finishers, objectives, 0, 30))


@pytest.mark.parametrize(("objectives", "most"), [(1, 25), (2, 40)])
def test_a_tenth_of_those_that_finished_is_good(objectives, most):
    sampler = Finishers(seed=0)
    study = told(sampler, objectives, 31, 90)
    study.ask(SPACE)
    assert sampler.good(121) == 4
    sampler.finished = 400
    assert sampler.good(490) == most
