"""The page of hooks says what the code does."""

import inspect
import re
from pathlib import Path

import pytest

from automl import hooks, plugins
from automl.job import Job


@pytest.fixture
def page(root):
    return (root / "docs" / "hooks.md").read_text(encoding="utf-8")


def test_every_hook_is_documented_with_its_arguments(page):
    for name in plugins.hook_names():
        arguments = ", ".join(inspect.signature(getattr(hooks, name)).parameters)
        assert f"| `{name}({arguments})` |" in page


def test_what_a_job_offers_is_documented(page):
    public = {name for name in vars(Job) if not name.startswith("_")} | set(Job.__annotations__)
    named = set(re.findall(r"`job\.(\w+)", page))
    assert named <= public
    assert public - named <= {"study", "line", "workshop", "metrics", "logged"}


@pytest.mark.parametrize("name", sorted(plugins.find()))
def test_the_hooks_of_each_built_in_plugin_are_listed(name, page):
    kind = plugins.kind(name, Path())
    hooks_of = [f"`{one}`" for one in plugins.hook_names() if hasattr(kind.make, one)]
    assert f"| `{name}` | {', '.join(hooks_of)} |" in page
