"""The public surface changes only with a line in the list of changes."""

import re

import automl


def test_the_public_names_are_those_that_the_changelog_lists(root):
    text = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    lists = re.findall(r"### Public names\n\n(.*?)(?:\n\n|\Z)", text, re.DOTALL)
    assert set(re.findall(r"`(\w+)`", lists[0])) == set(automl.__all__)


def test_the_fields_of_a_job_are_part_of_the_contract():
    expected = {"study", "params", "seed", "device", "folder", "shared", "model", "data", "trainer"}
    assert expected <= set(automl.Job.__annotations__)
