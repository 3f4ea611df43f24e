"""Whose point each trial takes: the default, the study's list, its plugins' starts, the sampler."""

import pytest
import toys

from automl.asking import Asker, starts
from automl.errors import PluginError
from automl.optimizer import Optimizer
from automl.planning import plan
from automl.studyfile import of

PLUGIN = """
import automl
from pydantic import BaseModel


class Options(BaseModel):
    rate: float = 0.5
    how: str = "a"


class Mine:
    Options = Options

    def __init__(self, options):
        self.options = options

    @automl.hookimpl
    def space(self):
        return {"how": automl.Choice(("a", "b")), "rate": automl.Float(0, 2)}

    @automl.hookimpl
    def starts(self, space):
        return BODY
"""


def planned(folder, body, **changes):
    (folder / "mine.py").write_text(PLUGIN.replace("BODY", body))
    given = {"plugins": {"mine": {"path": "mine.py"}}, "space": {}}
    return plan(of(toys.study(folder, **given | changes), folder))


def test_plugins_name_points_after_those_that_the_study_enqueues(tmp_path):
    search = {"sampler": "random", "enqueue": [{"mine.rate": 1.5}]}
    made = planned(tmp_path, "[{'how': 'b'}]", search=search)
    asker = Asker(made, Optimizer(f"sqlite:///{tmp_path / 'study.db'}", made.study, made.space))
    points = [asker.ask(number).params for number in range(3)]
    assert points[1:] == [{"mine.how": "a", "mine.rate": 1.5}, {"mine.how": "b", "mine.rate": 0.5}]
    origins = [asker.origin(number) for number in range(4)]
    assert origins == ["default", "enqueued", "enqueued", "random"]


def test_a_start_that_the_space_does_not_hold_or_that_was_there_is_left_out(tmp_path):
    body = "({'rate': rate} for rate in (0.5, 1.0, 1.0, 1.9))"
    narrow = planned(tmp_path, body, space={"mine.rate": {"float": [0, 1.5]}})
    assert [point["mine.rate"] for point in starts(narrow)] == [1.0]


def test_what_a_study_fixes_stays_in_every_start(tmp_path):
    fixed = planned(tmp_path, "[{'how': 'b', 'rate': 1.0}]", space={"mine.how": {"fixed": "a"}})
    assert list(starts(fixed)) == []
    plugins = {"mine": {"path": "mine.py", "how": "a"}}
    given = planned(tmp_path, "[{'how': 'b', 'rate': 1.0}]", plugins=plugins)
    assert list(starts(given)) == [{"mine.rate": 1.0}]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("[3]", "must return mappings from starts, got 3"),
        ("[{'ratte': 1.0}]", "begins with 'ratte', which is none of its options"),
        ("(1 / 0 for _ in range(1))", "failed in starts: ZeroDivisionError"),
    ],
)
def test_starts_that_cannot_be_are_blamed_on_their_plugin(tmp_path, body, words):
    with pytest.raises(PluginError, match=words):
        list(starts(planned(tmp_path, body)))
