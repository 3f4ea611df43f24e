import copy
import pickle

import pytest
from pydantic import ValidationError

from automl import Choice, Fixed, Float, Int, Study
from automl.fields import octets, seconds
from automl.spec import KINDS, ParameterSpec

SMALL = {
    "name": "small",
    "model": {"class_path": "module.Class"},
    "objectives": {"accuracy": {"goal": "maximize"}},
    "budget": {"trials": 1},
}


def made(**parts):
    return Study.model_validate(SMALL | parts)


@pytest.mark.parametrize(
    ("text", "value"),
    [("90s", 90), ("30m", 1800), ("1h30m", 5400), ("1.5h", 5400), ("2d 1h", 176400)],
)
def test_times_have_units(text, value):
    assert seconds(text) == value
    assert made(budget={"time": text}).budget.time == value


@pytest.mark.parametrize("text", ["", "m", "3x", "1h30", "-1h", "1 h m", "1e3s"])
def test_what_is_not_a_time_is_refused(text):
    with pytest.raises(ValueError, match="expected a time such as 90, 30m or 1h30m"):
        seconds(text)


@pytest.mark.parametrize(
    ("text", "value"), [("8GB", 8e9), ("512MiB", 2**29), ("1.5 kB", 1500), ("7B", 7)]
)
def test_sizes_have_units(text, value):
    assert octets(text) == value
    assert made(resources={"memory": text}).resources.memory == value


@pytest.mark.parametrize("text", ["", "8", "8gb", "GB", "8 X", "-1GB"])
def test_what_is_not_a_size_is_refused(text):
    with pytest.raises(ValueError, match="expected a size such as 8GB or 512MiB"):
        octets(text)


@pytest.mark.parametrize("name", ["a", "digits-front", "A.1_b", "x" * 64])
def test_a_name_may_become_a_folder(name):
    assert str(made(name=name).home) == f"runs/{name}"


@pytest.mark.parametrize("name", ["", ".", "..", "-a", "a/b", "a b", "x" * 65, "é", "a\n"])
def test_a_name_that_may_not_become_a_folder_is_refused(name):
    with pytest.raises(ValidationError, match="expected 1 to 64 letters, digits"):
        made(name=name)


@pytest.mark.parametrize(
    "parameter",
    [
        Float(0, 1, step=0.25, default=0.5),
        Float(1e-4, 1, log=True, when={"model.b": ("x", "y")}),
        Int(1, 9, step=2),
        Choice(("sgd", None, 1, True, [2]), default=1),
        Fixed(None),
        Fixed({"a": [1]}, when={"model.b": "x"}),
    ],
)
def test_a_parameter_of_python_is_the_one_that_a_file_writes(parameter):
    study = made(space={"model.a": parameter})
    assert study.space["model.a"].parameter() == parameter
    again = Study.model_validate(study.model_dump(by_alias=True))
    assert again == study
    assert repr(again.space["model.a"].parameter()) == repr(parameter)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({}, "give one of float, int, choice, fixed, got none"),
        ({"log": True}, "give one of float, int, choice, fixed, got none"),
        ({"float": [0, 1], "int": [0, 1]}, "got float and int"),
        ({"choice": [1], "log": True}, "log and step belong to float and int, not to choice"),
        ({"fixed": 1, "step": 2}, "log and step belong to float and int, not to fixed"),
        ({"fixed": 1, "default": 2}, "a fixed parameter has no default"),
        ({"int": [0, 9], "step": 0.5}, "the step of an int is a whole number, got 0.5"),
        ({"float": None}, "float needs a value, got nothing"),
        ({"choice": [1, float("nan")]}, "expected a finite number, got nan"),
        ({"fixed": {"a": [float("inf")]}}, "expected a finite number, got inf"),
    ],
)
def test_a_parameter_that_makes_no_sense_is_refused(written, message):
    with pytest.raises(ValidationError, match=message):
        ParameterSpec.model_validate(written)


def test_every_kind_of_parameter_is_a_field():
    written = {"float": [0, 1], "int": [0, 1], "choice": [0], "fixed": 0}
    assert set(written) == set(KINDS)
    assert all(ParameterSpec.model_validate({kind: written[kind]}) for kind in KINDS)


def test_a_study_is_frozen_pickles_and_compares_by_value():
    study = made(space={"model.a": Float(0, 1)}, trainer={"max_epochs": 3})
    assert pickle.loads(pickle.dumps(study)) == study
    assert copy.deepcopy(study) == study
    assert study != made(space={"model.a": Float(0, 2)}, trainer={"max_epochs": 3})
    with pytest.raises(ValidationError, match="frozen"):
        study.name = "other"


def test_a_plugin_without_options_may_be_left_empty():
    assert made(plugins={"nas": None}).plugins == {"nas": {}}


def test_the_goals_follow_the_objectives():
    objectives = {"a": {"goal": "minimize"}, "b": {"goal": "maximize"}}
    assert made(objectives=objectives).goals == ("minimize", "maximize")


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"budget": {}}, "a budget needs trials, time or gpu_hours"),
        ({"budget": {"trial_time": "3m"}}, "a budget needs trials, time or gpu_hours"),
        ({"constraints": {"a": {}}}, "a constraint needs max, min or both"),
        ({"constraints": {"a": {"min": 2, "max": 1}}}, "min 2.0 is above max 1.0"),
        ({"resources": {"gpus": 1.5}}, "gpus above 1 must be whole, got 1.5"),
        ({"resources": {"parallel": 0}}, "parallel must be at least 1, got 0"),
    ],
)
def test_parts_that_contradict_themselves_are_refused(parts, message):
    with pytest.raises(ValidationError, match=message):
        made(**parts)
