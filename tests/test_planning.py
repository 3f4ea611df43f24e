"""The space of a study: what its file says over what its plugins propose."""

import pytest
import toys

from automl.errors import StudyError
from automl.planning import plan
from automl.settings import put, read, settle
from automl.space import Choice, Fixed, Float, Int
from automl.studyfile import dump, of
from automl.studyfile import read as read_file

PLUGIN = """
import automl
from pydantic import BaseModel, ConfigDict


class Inner(BaseModel):
    lr: float = 0.1


class Options(BaseModel):
    model_config = ConfigDict(extra="forbid")
    rate: float = 0.5
    how: str = "a"
    inner: Inner = Inner()
    weights: dict[str, float] = {}


class Mine:
    Options = Options

    def __init__(self, options):
        self.options = options

    @automl.hookimpl
    def space(self):
        return {
            "how": automl.Choice(("a", "b")),
            "rate": automl.Float(0, 2, when={"how": ("a",)}),
        }
"""


def planned(folder, defaults=None, **changes):
    (folder / "mine.py").write_text(PLUGIN)
    given = {"plugins": {"mine": {"path": "mine.py"}}, "space": {}}
    return plan(of(toys.study(folder, **given | changes), folder), defaults)


def test_a_plugins_proposal_is_searched_with_its_condition(tmp_path):
    space = planned(tmp_path).space
    assert space["mine.how"].options == ("a", "b")
    assert space["mine.rate"].when == {"mine.how": ("a",)}


def test_the_default_of_a_proposal_is_the_options_own(tmp_path):
    assert planned(tmp_path).space.default() == {"mine.how": "a", "mine.rate": 0.5}


def test_the_file_narrows_widens_and_fixes_what_is_proposed(tmp_path):
    space = planned(
        tmp_path,
        space={
            "mine.how": {"fixed": "a"},
            "mine.rate": {"float": [-5, 5]},
            "mine.inner.lr": {"float": [0, 1]},
        },
    ).space
    assert isinstance(space["mine.how"], Fixed)
    assert (space["mine.rate"].low, space["mine.rate"].when) == (-5, {})
    assert isinstance(space["mine.inner.lr"], Float)


def test_a_proposal_whose_condition_a_narrower_space_never_meets_is_not_searched(tmp_path):
    narrow = planned(tmp_path, space={"mine.how": {"choice": ["b", "c"]}})
    assert list(narrow.space) == ["mine.how"]
    file = tmp_path / "resolved.yaml"
    file.write_text(dump(narrow.resolved()))
    assert list(read_file(file).study.space) == ["mine.how"]


def test_a_condition_of_a_proposal_names_values_that_a_narrower_space_has(tmp_path):
    changed = PLUGIN.replace('{"how": ("a",)}', '{"how": ("a", "b")}')
    (tmp_path / "other.py").write_text(changed)
    plugins = {"mine": {"path": "other.py"}}
    space = planned(tmp_path, plugins=plugins, space={"mine.how": {"choice": ["b", "c"]}}).space
    assert space["mine.rate"].when == {"mine.how": ("b",)}


def test_an_option_that_the_study_sets_is_not_searched(tmp_path):
    options = {"path": "mine.py", "how": "b"}
    space = planned(tmp_path, plugins={"mine": options}, space={"model.x": {"float": [0, 1]}}).space
    assert list(space) == ["model.x"]


def test_an_option_that_holds_a_mapping_is_reached_by_further_dots(tmp_path):
    space = planned(tmp_path, space={"mine.weights.block1": {"float": [0, 1]}}).space
    assert "mine.weights.block1" in space


@pytest.mark.parametrize(
    ("space", "words"),
    [
        ({"mine.rat": {"float": [0, 1]}}, "'mine.rat' reaches nothing; did you mean 'mine.rate'?"),
        ({"mine.inner.lrr": {"float": [0, 1]}}, "'mine.inner.lrr' reaches nothing"),
    ],
)
def test_a_path_that_reaches_no_option_is_refused(tmp_path, space, words):
    with pytest.raises(StudyError) as caught:
        planned(tmp_path, space=space)
    assert words in str(caught.value)


def test_a_wrong_option_is_refused_at_its_line(tmp_path):
    (tmp_path / "mine.py").write_text(PLUGIN)
    (tmp_path / "s.yaml").write_text(
        "name: s\nmodel: {class_path: toys.Blank}\nobjectives: {a: {goal: minimize}}\n"
        "budget: {trials: 1}\nplugins:\n  mine:\n    path: mine.py\n    rat: 3\n"
    )
    with pytest.raises(StudyError, match=r"s.yaml:8:5: plugin mine: .*'rat'.*did you mean 'rate'"):
        plan(read_file(tmp_path / "s.yaml"))


def test_defaults_of_the_class_become_those_of_the_space(tmp_path):
    space = planned(tmp_path, {"model.n": 3}, space={"model.n": {"int": [1, 9]}}).space
    assert space["model.n"].default == 3


def test_a_default_outside_the_range_is_not_taken(tmp_path):
    space = planned(tmp_path, {"model.n": 30}, space={"model.n": {"int": [1, 9]}}).space
    assert space["model.n"] == Int(1, 9)


def test_a_rule_about_an_unknown_parameter_is_refused(tmp_path):
    with pytest.raises(StudyError, match=r"forbid: 'mine.rat' is not in the space"):
        planned(tmp_path, forbid=("mine.rat > 1",))


def test_the_resolved_study_holds_the_whole_space(tmp_path):
    resolved = planned(tmp_path).resolved()
    assert [spec.parameter() for spec in resolved.space.values()] == [
        Choice(("a", "b"), "a"),
        Float(0, 2, default=0.5, when={"mine.how": ("a",)}),
    ]


def test_parameters_go_where_their_paths_point_and_nothing_else_changes(tmp_path):
    inner = {"class_path": "x.Y", "init_args": {"size": 1, "kept": 2}}
    study = toys.study(
        tmp_path, model={"class_path": "a.B", "init_args": {"inner": inner, "lr": 1.0}}
    )
    settings = settle(study, {"model.inner.size": 5, "model.lr": 0.1, "trainer.max_epochs": 3})
    assert settings.model["inner"]["init_args"] == {"size": 5, "kept": 2}
    assert (settings.model["lr"], settings.trainer["max_epochs"]) == (0.1, 3)
    assert study.model.init_args["inner"]["init_args"]["size"] == 1


def test_reading_finds_what_putting_wrote():
    tree = put({"a": {"class_path": "x.Y"}}, ["a", "b", "c"], 3)
    assert read(tree, ["a", "b", "c"]) == 3
    assert tree["a"] == {"class_path": "x.Y", "init_args": {"b": {"c": 3}}}
    assert read(tree, ["a", "z"]) is None
