"""Proposals: repeatable after any cut, never forbidden, for every sampler."""

import optuna
import pytest
import toys

from automl.distributions import decode, distribution, encode
from automl.errors import AutomlError
from automl.optimizer import Optimizer, violations
from automl.planning import plan
from automl.samplers import NAMES, choose, make
from automl.space import Choice, Fixed, Float, Int, Space
from automl.studyfile import of

SPACE = {
    "model.x": {"float": [0, 1], "step": 0.25},
    "model.n": {"int": [1, 4]},
    "model.choice": {"choice": ["a", "b"]},
}


def optimizer(folder, sampler, **changes):
    given = {"space": SPACE, "search": {"sampler": sampler, "seed": 3}, "plugins": {}} | changes
    file = of(toys.study(folder, **given), folder)
    return Optimizer(f"sqlite:///{folder}/study.db", file.study, plan(file).space)


def metrics_of(params):
    return {"near": abs(params["model.x"] - 0.3), "far": params["model.n"] / 4}


def propose(one, numbers):
    found = []
    for number in numbers:
        proposal = one.ask(number)
        found.append(proposal.params)
        one.tell_done(proposal.optuna, metrics_of(proposal.params))
    return found


@pytest.mark.parametrize("sampler", [name for name in NAMES if name != "gp"])
def test_a_cut_and_resumed_search_proposes_what_the_uncut_one_does(tmp_path, sampler):
    (tmp_path / "whole").mkdir()
    (tmp_path / "cut").mkdir()
    whole = propose(optimizer(tmp_path / "whole", sampler), range(14))
    first = propose(optimizer(tmp_path / "cut", sampler), range(12))
    rest = propose(optimizer(tmp_path / "cut", sampler), range(12, 14))
    assert first + rest == whole


@pytest.mark.slow
def test_a_cut_and_resumed_gaussian_process_proposes_what_the_uncut_one_does(tmp_path):
    test_a_cut_and_resumed_search_proposes_what_the_uncut_one_does(tmp_path, "gp")


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "random", "qmc"])
def test_no_sampler_proposes_what_is_forbidden(tmp_path, sampler):
    one = optimizer(tmp_path, sampler, forbid=("model.x > 0.3 and model.choice == 'a'",))
    for params in propose(one, range(14)):
        assert not (params["model.x"] > 0.3 and params["model.choice"] == "a")


def test_a_space_that_is_forbidden_everywhere_is_an_error(tmp_path):
    one = optimizer(tmp_path, "random", forbid=("model.x >= 0",))
    with pytest.raises(Exception, match="proposals in a row were forbidden"):
        one.ask(0)


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "gp", "random"])
def test_every_sampler_goes_on_after_stopped_and_failed_trials(tmp_path, sampler):
    one = optimizer(tmp_path, sampler)
    for number in range(15):
        proposal = one.ask(number)
        match number % 3:
            case 0:
                one.tell_done(proposal.optuna, metrics_of(proposal.params))
            case 1:
                one.tell_stopped(proposal.optuna)
            case _:
                one.tell_failed(proposal.optuna, learn=True)
    assert len(one.optuna.trials) == 15


def test_a_conditional_parameter_is_proposed_only_while_its_condition_holds(tmp_path):
    space = SPACE | {"model.x": {"float": [0, 1], "when": {"model.choice": "b"}}}
    one = optimizer(tmp_path, "random", space=space)
    for number in range(10):
        params = one.ask(number).params
        assert ("model.x" in params) == (params["model.choice"] == "b")


def test_a_given_point_is_taken_as_it_is(tmp_path):
    given = {"model.x": 0.25, "model.n": 2, "model.choice": "b"}
    assert optimizer(tmp_path, "tpe").ask(0, given).params == given


def test_telling_twice_does_no_harm(tmp_path):
    one = optimizer(tmp_path, "tpe", constraints={"near": {"max": 0.2}})
    proposal = one.ask(0)
    one.tell_done(proposal.optuna, {"near": 0.1, "far": 0.1})
    one.tell_done(proposal.optuna, {"near": 0.1, "far": 0.1})
    assert [trial.state for trial in one.optuna.trials] == [optuna.trial.TrialState.COMPLETE]


def test_a_violated_constraint_is_positive_by_as_much_as_it_is_violated(tmp_path):
    study = toys.study(tmp_path, constraints={"near": {"max": 0.2, "min": 0.1}})
    assert violations(study, {"near": 0.5}) == pytest.approx({"near max": 0.3, "near min": -0.4})


def test_lists_and_mappings_as_options_come_back_as_they_were():
    choice = Choice(([64, 64], {"a": 1}, None, 1, 1.5, "1", True))
    for option in choice.options:
        assert decode(choice, encode(option)) == option
    assert len(distribution(choice).choices) == 7


@pytest.mark.parametrize(
    ("space", "trials", "name"),
    [
        ({"a": Float(0, 1), "b": Int(1, 3)}, 40, "gp"),
        ({"a": Float(0, 1), "b": Choice(("x", "y"))}, 40, "tpe"),
        ({"a": Float(0, 1)}, 1000, "tpe"),
        ({"a": Float(0, 1)}, 5000, "nsga2"),
        ({f"a{index}": Float(0, 1) for index in range(11)}, 40, "tpe"),
        ({"c": Choice((1, 2)), "a": Float(0, 1, when={"c": (1,)})}, 40, "tpe"),
        ({"a": Float(0, 1), "b": Fixed("x")}, 40, "gp"),
    ],
)
def test_auto_chooses_by_the_space_and_the_budget(tmp_path, space, trials, name):
    assert choose(toys.study(tmp_path, budget={"trials": trials}), Space(space)) == name


@pytest.mark.parametrize(("stop", "name"), [("asha", "tpe"), ("off", "gp")])
def test_auto_leaves_a_study_that_stops_trials_to_tpe(tmp_path, stop, name):
    study = toys.study(tmp_path, budget={"trials": 40}, fidelity={"max": 9, "stop": stop})
    assert choose(study, Space({"a": Float(0, 1)})) == name


@pytest.mark.parametrize(("count", "together"), [(10, 10), (11, 0)])
def test_tpe_proposes_ten_numbers_together_and_more_of_them_each_alone(tmp_path, count, together):
    space = Space({f"a{index}": Float(0, 1) for index in range(count)})
    _, sampler = make(toys.study(tmp_path, search={"sampler": "tpe"}), space)
    study = optuna.create_study(directions=["minimize"] * 2, sampler=sampler)
    study.add_trial(
        optuna.trial.create_trial(
            values=[0, 0],
            params=dict.fromkeys(space, 0.5),
            distributions={name: distribution(space[name]) for name in space},
        )
    )
    found = sampler.infer_relative_search_space(study, study.trials[0])
    assert len(found) == together


def test_tpe_of_a_study_counts_who_finished_or_failed_and_not_who_was_stopped(tmp_path):
    one = optimizer(tmp_path, "tpe")
    propose(one, range(12))
    for number in range(12, 30):
        one.tell_stopped(one.ask(number).optuna)
    for number in range(30, 33):
        one.tell_failed(one.ask(number).optuna, learn=True)
    one.ask(33)
    assert one.sampler.inner.finished == 12 + 3


def test_a_sampler_by_class_path_is_used(tmp_path):
    component = {"class_path": "optuna.samplers.RandomSampler"}
    assert optimizer(tmp_path, component).name == "optuna.samplers.RandomSampler"


def test_an_unknown_sampler_is_refused_with_the_nearest_name(tmp_path):
    with pytest.raises(Exception, match=r"did you mean 'nsga2'"):
        optimizer(tmp_path, "nsag2")


def test_a_grid_proposes_each_point_once_and_ends(tmp_path):
    one = optimizer(tmp_path, "grid")
    found = []
    while one.left():
        found += propose(one, [len(found)])
    every = {(x, n, c) for x in (0, 0.25, 0.5, 0.75, 1) for n in (1, 2, 3, 4) for c in ("a", "b")}
    assert len(found) == len(every)
    assert {(p["model.x"], p["model.n"], p["model.choice"]) for p in found} == every


def test_a_grid_leaves_out_what_is_forbidden_and_what_has_no_effect(tmp_path):
    space = {
        "model.x": {"float": [0, 0.3], "step": 0.1},
        "model.choice": {"choice": ["a", "b"]},
        "model.n": {"int": [1, 2], "when": {"model.choice": "b"}},
    }
    one = optimizer(
        tmp_path, "grid", space=space, forbid=("model.x > 0.25 and model.choice == 'a'",)
    )
    found = []
    while one.left():
        found.append(one.ask(len(found)).params)
    assert len(found) == 3 + 4 * 2
    assert len({frozenset(params.items()) for params in found}) == len(found)


def test_a_grid_tries_again_only_what_was_never_tried(tmp_path):
    one = optimizer(tmp_path, "grid")
    failed, dropped = one.ask(0), one.ask(1)
    one.tell_failed(failed.optuna, learn=False)
    one.tell_untried(dropped.optuna)
    rest = propose(one, range(2, 41))
    assert not one.left()
    assert dropped.params in rest
    assert failed.params not in rest


def test_a_point_that_the_study_names_is_not_on_the_grid_again(tmp_path):
    one = optimizer(tmp_path, "grid")
    given = one.ask(0, one.space.default())
    one.tell_done(given.optuna, metrics_of(given.params))
    assert given.params not in propose(one, range(1, 40))
    assert not one.left()


@pytest.mark.parametrize("x", [{"float": [0, 1]}, {"float": [0, 1], "step": 1e-7}])
def test_a_grid_without_steps_or_without_end_is_refused(tmp_path, x):
    with pytest.raises(AutomlError, match="step"):
        optimizer(tmp_path, "grid", space={"model.x": x})
