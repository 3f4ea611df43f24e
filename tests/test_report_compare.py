"""Several studies by one reference, against counting."""

import io

import histories
import numpy as np
import pytest
from chromium import browser
from rich.console import Console

from automl import pareto
from automl.report import compare as c

GOALS = ("maximize", "minimize")


@pytest.fixture(scope="module")
def pair():
    return histories.made(20), histories.made(20, seed=7, name="other")


@pytest.fixture(scope="module")
def found(pair):
    return c.compare(pair)


def dominates(a, b):
    return a[0] >= b[0] and a[1] <= b[1] and a != b


def test_every_study_is_measured_by_the_reference_that_all_give(found):
    for study in found.studies:
        values = [p.values for p in study.facts.points]
        expected = pareto.hypervolume(values, [0.1, 200_000], GOALS)
        assert study.facts.hypervolume == pytest.approx(expected)


def test_the_joint_front_has_the_points_that_no_study_dominates(found):
    every = [p.values for study in found.studies for p in study.facts.front]
    for study in found.studies:
        kept = [p for p in study.facts.front if not any(dominates(q, p.values) for q in every)]
        assert study.shared == len(kept)


def test_coverage_is_the_share_of_a_front_that_another_dominates(found):
    mine, other = (study.facts.front for study in found.studies)
    beaten = [q for q in other if any(dominates(p.values, q.values) for p in mine)]
    assert found.studies[0].beats == (0, pytest.approx(len(beaten) / len(other)))


def test_json_has_the_numbers_of_the_page(found):
    said = c.numbers(found)
    assert said["joint_front"] == found.shared
    assert said["reference"] == {"val_accuracy": 0.1, "parameters": 200_000}
    for row, study in zip(said["table"], found.studies, strict=True):
        assert row["hypervolume"] == study.facts.hypervolume
        assert row["of_joint_front"] == study.shared
        assert row["dominates"] == list(study.beats)
        assert row["best"]["parameters"] == study.facts.objectives[1].best


def test_references_that_differ_are_replaced_by_one_beyond_all_fronts(pair):
    refs = {"val_accuracy": {"goal": "maximize", "ref": 0.5}, "parameters": {"goal": "minimize"}}
    other = histories.history(
        histories.study(2, objectives={n: dict(o) for n, o in refs.items()}),
        pair[1].space,
        pair[1].trials,
    )
    mixed = c.compare([pair[0], other])
    used = np.array([o.ref for o in mixed.studies[0].facts.objectives])
    worst = np.array([p.values for s in mixed.studies for p in s.facts.front])
    assert (used[0] < worst[:, 0]).all()
    assert (used[1] > worst[:, 1]).all()
    assert len(mixed.notes) == 2


def test_studies_with_other_objectives_do_not_compare(pair):
    with pytest.raises(ValueError, match="studies compare in the same objectives"):
        c.compare([pair[0], histories.made(5, 3)])


def test_studies_without_a_result_compare():
    found = c.compare([histories.empty(), histories.made(5), histories.all_failed()])
    assert [study.shared > 0 for study in found.studies] == [False, True, False]


def test_the_terminal_shows_each_study(found):
    console = Console(file=io.StringIO(), width=140)
    c.show(found, console)
    assert "digits-front" in console.file.getvalue()
    assert "other" in console.file.getvalue()


@pytest.mark.parametrize("dark", [False, True])
def test_the_page_draws_each_front_without_an_error(found, tmp_path, dark):
    path = tmp_path / "compare.html"
    path.write_text(c.render(found), encoding="utf-8")
    with browser() as page:
        page.open(path.as_uri(), dark=dark)
        assert page.errors == []
        drawn = page.run("document.querySelectorAll('#fronts circle').length")
    assert drawn == sum(len(study.facts.front) for study in found.studies)


def test_hostile_studies_compare_as_text(tmp_path):
    path = tmp_path / "compare.html"
    path.write_text(c.render(c.compare([histories.hostile()] * 2)), encoding="utf-8")
    assert "s3cr3t" not in path.read_text()
    with browser() as page:
        page.open(path.as_uri())
        assert page.errors == []
        assert page.run("document.querySelectorAll('img').length") == 0
