"""The tutorial's files and commands, as they are written."""

import re
import shlex

import pytest

import automl
from automl.cli import code

NAMED = re.compile(r"`([\w.]+\.(?:py|yaml))`[^`]*?\n\n```(?:python|yaml)\n(.*?)```", re.DOTALL)
TYPED = re.compile(r"^automl .*$", re.MULTILINE)


@pytest.fixture
def text(root):
    return (root / "docs" / "tutorial.md").read_text(encoding="utf-8")


def test_the_tutorial_ends_in_a_report_with_the_new_plugins_section(
    text, tmp_path, monkeypatch, capsys
):
    files = dict(NAMED.findall(text))
    assert list(files) == ["model.py", "wine.yaml", "halve.py", "halved.yaml"]
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```\n(automl .*?)```", text, re.DOTALL)
    commands = [line for block in blocks for line in TYPED.findall(block)]
    assert len(commands) == 7
    for command in commands:
        assert code(shlex.split(command)[1:]) == 0, capsys.readouterr().err
    assert "Halved" in (tmp_path / "halved.html").read_text()
    assert (tmp_path / "automl-halve" / "tests" / "test_contract.py").is_file()
    monkeypatch.syspath_prepend(tmp_path)
    assert type(automl.load("best")).__name__ == "Net"


def test_the_readme_names_the_command_that_ci_runs(root):
    readme = (root / "README.md").read_text(encoding="utf-8")
    ci = (root / ".ci" / "run").read_text(encoding="utf-8")
    commands = re.findall(r"^python3 -m venv .*$", readme, re.MULTILINE)
    assert len(commands) == 2
    assert commands[1] in ci


def test_every_page_that_is_linked_is_there(root):
    for page in (root / "README.md", *(root / "docs").rglob("*.md")):
        for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name} links {link}"
