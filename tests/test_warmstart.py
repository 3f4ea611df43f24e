"""Starting a study with what earlier ones found."""

import optuna
import pytest
import toys

import automl
from automl.errors import AutomlError


def run(folder, **changes):
    return automl.run(toys.study(toys.beside(folder), **changes), here=folder)


def taught(result):
    name = result.history.study.name
    study = optuna.load_study(study_name=name, storage=f"sqlite:///{result.folder}/study.db")
    return [t for t in study.trials if "automl:warm_start" in t.user_attrs]


@pytest.fixture
def earlier(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return run(tmp_path, name="earlier", budget={"trials": 8})


def later(folder, **changes):
    search = {"sampler": "tpe", "warm_start": ("earlier",)}
    return run(folder, **{"name": "later", "search": search, "budget": {"trials": 2}} | changes)


def test_the_trials_of_an_earlier_study_teach_a_new_one(earlier, tmp_path):
    found = taught(later(tmp_path))
    assert [t.params for t in found] == [dict(t.params) for t in earlier.trials]


def test_they_are_no_trials_of_the_new_study(earlier, tmp_path):
    assert len(later(tmp_path).trials) == 2


def test_of_an_overlapping_space_only_the_points_inside_teach(earlier, tmp_path):
    inside = [t for t in earlier.trials if t.params["model.x"] <= 0.6]
    found = taught(later(tmp_path, space={"model.x": {"float": [0, 0.6]}}))
    assert len(found) == len(inside) < len(earlier.trials)


def test_a_parameter_that_the_earlier_study_did_not_search_is_at_its_default(earlier, tmp_path):
    space = {"model.x": {"float": [0, 1]}, "model.n": {"int": [1, 9]}}
    assert {t.params["model.n"] for t in taught(later(tmp_path, space=space))} == {3}


def test_what_was_refused_is_refused_again(earlier, tmp_path):
    for _ in range(2):
        with pytest.raises(AutomlError, match="no point of 'earlier' fits this study"):
            later(tmp_path, space={"model.x": {"float": [5, 6]}})


def test_a_source_that_is_named_later_teaches_from_then_on(earlier, tmp_path):
    later(tmp_path, search={"sampler": "tpe"})
    assert len(taught(later(tmp_path, budget={"trials": 3}))) == 8


def test_going_on_does_not_need_what_has_taught(earlier, tmp_path):
    later(tmp_path)
    earlier.folder.rename(tmp_path / "elsewhere")
    assert len(taught(later(tmp_path, budget={"trials": 3}))) == 8


def test_going_on_with_a_study_does_not_teach_it_twice(earlier, tmp_path):
    later(tmp_path)
    assert len(taught(later(tmp_path, budget={"trials": 3}))) == 8
