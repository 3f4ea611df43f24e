"""Building classes by name, and the words for those that cannot be built."""

import pytest
import torch

from automl.errors import AutomlError, StudyError
from automl.instantiate import build, find_class, problems


class Inner:
    def __init__(self, size: int = 1):
        self.size = size


class Base:
    def __init__(self, depth: int = 2):
        self.depth = depth


class Outer(Base):
    def __init__(self, inner: Inner, shape: tuple[int, ...] = (1,), rate: float = 0.1, **rest):
        super().__init__(**rest)
        self.inner, self.shape, self.rate = inner, shape, rate


HERE = f"{__name__}.Outer"
INNER = {"class_path": f"{__name__}.Inner", "init_args": {"size": 5}}


def said(init_args):
    return [message for _, message in problems(HERE, init_args)]


def test_nested_components_are_built_first():
    assert build(HERE, {"inner": INNER}).inner.size == 5


def test_arguments_reach_the_bases_through_keywords():
    assert build(HERE, {"inner": INNER, "depth": 7}).depth == 7


def test_a_list_becomes_a_tuple_where_one_is_expected():
    assert build(HERE, {"inner": INNER, "shape": [1, 2]}).shape == (1, 2)


def test_a_class_of_a_package_is_found():
    assert find_class("torch.nn.Linear") is torch.nn.Linear


@pytest.mark.parametrize(
    ("init_args", "message"),
    [
        ({"inner": INNER, "deph": 3}, "Outer takes no 'deph'; did you mean 'depth'?"),
        ({"inner": INNER, "rate": "0.1"}, "expected float, got '0.1'"),
        ({"inner": INNER, "depth": 1.5}, "expected int, got 1.5: input should be a valid integer"),
        ({}, "Outer needs 'inner'"),
    ],
)
def test_a_wrong_argument_is_said_with_what_is_expected(init_args, message):
    assert any(text.startswith(message) for text in said(init_args))


def test_a_problem_of_a_nested_component_has_its_path():
    inner = {"class_path": f"{__name__}.Inner", "init_args": {"sise": 5}}
    found = list(problems(HERE, {"inner": inner}))
    assert found[0][0] == ("init_args", "inner", "init_args", "sise")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("Plain", "needs a module"),
        ("no.such.Module", "cannot import"),
        ("torch.nn.Linera", "did you mean 'Linear'"),
        ("os.system", "no class 'system'"),
    ],
)
def test_a_class_that_is_not_there_is_said(path, message):
    with pytest.raises(AutomlError, match=message):
        find_class(path)


def test_building_refuses_with_all_problems_at_once():
    with pytest.raises(StudyError) as caught:
        build(HERE, {"inner": INNER, "deph": 3, "rate": "x"})
    assert len(caught.value.problems) == 2
