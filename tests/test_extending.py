"""Parts of the core that are someone else's: the page's stopper, and engines by class path."""

import re
import sys

import optuna
import pytest
import toys

import automl
from automl.engines.choice import make_engine
from automl.errors import AutomlError


def test_the_stopper_of_the_page_stops_what_it_says(root, tmp_path, monkeypatch):
    text = (root / "docs" / "extending.md").read_text(encoding="utf-8")
    (tmp_path / "stopper.py").write_text(re.search(r"```python\n(.*?)```", text, re.DOTALL)[1])
    monkeypatch.syspath_prepend(tmp_path)
    fidelity = {"stop": {"class_path": "stopper.Hopeless", "init_args": {"chance": 2.0}}, "max": 4}
    study = toys.study(
        tmp_path,
        model={"class_path": "automl.zoo.MLP", "init_args": {"width": 4}},
        data={"class_path": "automl.zoo.Digits"},
        plugins={},
        objectives={"val_accuracy": {"goal": "maximize"}},
        space={"model.lr": {"float": [0.001, 0.01]}},
        budget={"trials": 2},
        fidelity=fidelity,
    )
    trials = automl.run(study, here=tmp_path).trials
    sys.modules.pop("stopper")
    assert [trial.state for trial in trials] == ["stopped"] * 2
    assert [max(report.step for report in trial.reports) for trial in trials] == [2, 2]


def test_what_is_no_stopper_is_refused(tmp_path):
    stop = {"class_path": f"{__name__}.Whole", "init_args": {"resources": 1, "address": ""}}
    fidelity = {"max": 4, "stop": stop}
    with pytest.raises(AutomlError, match="Whole has no method 'report'"):
        automl.run(toys.study(tmp_path, fidelity=fidelity), here=toys.beside(tmp_path))


class Random(optuna.samplers.RandomSampler):
    """A sampler of someone else's, whose randomness is in Optuna's generator."""


class Wrong(optuna.samplers.RandomSampler):
    """A sampler that lacks a package."""

    def sample_relative(self, study, trial, search_space):
        raise ModuleNotFoundError("no cmaes", name="cmaes")


class Narrow(optuna.samplers.RandomSampler):
    """A sampler that cannot work on this study."""

    def sample_independent(self, study, trial, param_name, param_distribution):
        raise ValueError("one objective only")


def sampled(folder, made, name):
    search = {"sampler": {"class_path": f"{__name__}.{made.__name__}"}}
    study = toys.study(folder, name=name, search=search, budget={"trials": 3})
    return automl.run(study, here=toys.beside(folder))


def test_a_sampler_of_ones_own_proposes_the_same_under_one_seed(tmp_path):
    first, second = (sampled(tmp_path, Random, name).trials for name in ("a", "b"))
    assert [one.params for one in first] == [one.params for one in second]


def test_a_sampler_that_cannot_propose_is_named(tmp_path):
    with pytest.raises(AutomlError, match=r"search\.sampler: Wrong needs cmaes.*pip install cmaes"):
        sampled(tmp_path, Wrong, "wrong")
    with pytest.raises(AutomlError, match="Narrow cannot propose a point: .*one objective only"):
        sampled(tmp_path, Narrow, "narrow")


class Whole:
    """An engine of someone else's."""

    def __init__(self, resources, address):
        self.address = address

    def capacity(self):
        return 1

    submit = poll = tell = close = capacity


class Half:
    """Lacks the methods of an engine."""

    def __init__(self, resources, address):
        pass


def test_an_engine_by_class_path_is_built_with_its_address(tmp_path):
    engine = {"name": f"{__name__}.Whole", "address": "head:1"}
    assert make_engine(toys.study(tmp_path, engine=engine)).address == "head:1"


def test_a_class_that_is_no_engine_is_refused(tmp_path):
    with pytest.raises(AutomlError, match="is no engine: it has no method 'capacity'"):
        make_engine(toys.study(tmp_path, engine=f"{__name__}.Half"))
