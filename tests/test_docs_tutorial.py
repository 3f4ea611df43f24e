"""The tutorial's files and commands, as they are written."""

import os
import re
import shlex
import subprocess
import sysconfig
import venv

import pytest

import automl
from automl.cli import code

NAMED = re.compile(r"`([\w.]+\.(?:py|yaml))`[^`]*?\n\n```(?:python|yaml)\n(.*?)```", re.DOTALL)


INSTALLED = "cd automl-halve"  # what follows needs the package to be installed


@pytest.fixture
def typed(root, tmp_path):
    """Write the files of the page to an empty folder, and return the lines that are typed."""
    text = (root / "docs" / "tutorial.md").read_text(encoding="utf-8")
    files = dict(NAMED.findall(text))
    assert list(files) == ["model.py", "wine.yaml", "norm.py", "halve.py", "halved.yaml"]
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    blocks = re.findall(r"```\n(automl .*?)```", text, re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def test_the_tutorial_ends_in_a_report_with_the_new_plugins_section(
    typed, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    commands = [line for line in typed[: typed.index(INSTALLED)] if line.startswith("automl ")]
    assert len(commands) == 8
    for command in commands:
        assert code(shlex.split(command)[1:]) == 0, capsys.readouterr().err
    assert "norm.measure" in (tmp_path / "runs" / "normed" / "report.html").read_text()
    assert "Halved" in (tmp_path / "halved.html").read_text()
    assert (tmp_path / "automl-halve" / "tests" / "test_contract.py").is_file()
    monkeypatch.syspath_prepend(tmp_path)
    assert type(automl.load("best")).__name__ == "Net"


@pytest.fixture
def fresh(tmp_path):
    """Make a virtual environment that has what this one has, and automl as a command."""
    venv.create(tmp_path / "env", with_pip=True)
    here = sysconfig.get_path("purelib")
    made = next((tmp_path / "env").glob("lib/python*/site-packages"))
    (made / "host.pth").write_text(f"import site; site.addsitedir({here!r})\n")
    command = tmp_path / "env" / "bin" / "automl"
    command.write_text(f'#!/bin/sh\nexec {tmp_path}/env/bin/python -m automl "$@"\n')
    command.chmod(0o755)
    return {**os.environ, "PATH": f"{tmp_path}/env/bin:{os.environ['PATH']}"}


@pytest.mark.slow
def test_the_package_of_the_tutorial_installs_and_is_green(typed, fresh, tmp_path):
    begun = typed[typed.index(INSTALLED) - 2 :]
    script = "\n".join(["set -e", *begun])
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=fresh, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "failed" not in done.stdout
    assert "Halved" in (tmp_path / "automl-halve" / "halve.html").read_text()


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
