"""The built-in plugins, and those that `automl plugin new` makes, keep the contract."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import automl
from automl.cli import code
from automl.testing import contract
from automl.testing.contract import (
    CHECKS,
    Subject,
    a_training_that_breaks_is_called_what_it_is,
)

ROOT = Path(__file__).resolve().parents[1]
STUDIES = {
    "pruning": "pruning.yaml",
    "lr_refinement": "lr_refinement-smoke.yaml",
    "nas": "nas-smoke.yaml",
    "data_mixing": "data_mixing-smoke.yaml",
    "reward_weights": "reward_weights.yaml",
}
STATIC = CHECKS[:4]
RUNNING = CHECKS[4:]


@pytest.mark.parametrize("check", STATIC, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", STUDIES)
def test_a_built_in_plugin_keeps_the_contract(name, check, tmp_path):
    check(Subject(name, ROOT / "studies" / STUDIES[name]), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("check", RUNNING, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", STUDIES)
def test_a_running_built_in_plugin_keeps_the_contract(name, check, tmp_path):
    check(Subject(name, ROOT / "studies" / STUDIES[name]), tmp_path)


@pytest.fixture
def fresh(tmp_path, monkeypatch):
    """Make a new plugin of each stage and let it be found as an installed one would be."""

    def make(stage):
        assert code(["plugin", "new", "mine", "--stage", stage, "-o", str(tmp_path)]) == 0
        folder = tmp_path / "automl-mine"
        monkeypatch.syspath_prepend(folder)
        study = (folder / "study.yaml").read_text()
        path = f"mine: {{path: {folder}/automl_mine/__init__.py}}"
        (folder / "study.yaml").write_text(study.replace("mine: {}", path))
        return Subject("mine", folder / "study.yaml")

    return make


@pytest.mark.parametrize("stage", ["build", "train", "refine"])
@pytest.mark.parametrize("check", CHECKS[:3], ids=lambda check: check.__name__)
def test_a_new_plugin_keeps_the_contract(stage, check, fresh, tmp_path):
    check(fresh(stage), tmp_path / "check")


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["build", "train", "refine"])
@pytest.mark.parametrize("check", RUNNING, ids=lambda check: check.__name__)
def test_a_new_plugin_that_runs_keeps_the_contract(stage, check, fresh, tmp_path):
    check(fresh(stage), tmp_path / "check")


def test_a_new_plugin_says_which_api_it_speaks(fresh):
    assert fresh("build").kind().make.api == automl.API


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("my-build", "try my_build"),
        ("class", "try class_plugin"),
        ("model", "is the head of a path"),
        ("pruning", "is installed, by automl"),
    ],
)
def test_a_name_that_no_new_plugin_can_have_is_refused(name, words, tmp_path, capsys):
    assert code(["plugin", "new", name, "-o", str(tmp_path)]) == 2
    assert words in capsys.readouterr().err


HIDES = """import automl


class Hides:
    @automl.hookimpl
    def train(self, job):
        try:
            job.fit()
        except Exception:
            job.log(val_accuracy=0.0)
        return True
"""


@pytest.mark.slow
def test_a_plugin_that_hides_a_failure_breaks_the_contract(tmp_path):
    (tmp_path / "hides.py").write_text(HIDES)
    (tmp_path / "study.yaml").write_text(
        "name: hides\nmodel: {class_path: automl.zoo.MLP}\ndata: {class_path: automl.zoo.Digits}\n"
        "trainer: {max_epochs: 1}\nplugins: {hides: {path: hides.py}}\n"
        "objectives: {val_accuracy: {goal: maximize}}\nspace: {model.width: {int: [2, 4]}}\n"
        "budget: {trials: 1}\n"
    )
    with pytest.raises(AssertionError, match="training ended as oom, and is told as done"):
        a_training_that_breaks_is_called_what_it_is(
            Subject("hides", tmp_path / "study.yaml"), tmp_path / "check"
        )


def test_three_lines_turn_the_contract_on():
    made = contract("pruning", ROOT / "studies" / "pruning.yaml")
    assert [mark.name for mark in made.pytestmark] == ["parametrize"]


def test_a_check_that_fails_says_what_is_wrong(tmp_path, capsys):
    (tmp_path / "bad.py").write_text(
        "import automl\nfrom pydantic import BaseModel\n\n\nclass Options(BaseModel):\n"
        "    rate: float = 0.5\n\n\nclass Bad:\n    Options = Options\n\n"
        "    def __init__(self, options): pass\n\n"
        "    @automl.hookimpl\n    def train(self, job): return True\n"
    )
    (tmp_path / "study.yaml").write_text(
        "name: bad\nmodel: {class_path: toys.Blank}\nplugins: {bad: {path: bad.py}}\n"
        "objectives: {x: {goal: minimize}}\nspace: {model.x: {float: [0, 1]}}\n"
        "budget: {trials: 1}\n"
    )
    subject = Subject("bad", tmp_path / "study.yaml")
    with pytest.raises(AssertionError, match='give the model extra="forbid"'):
        CHECKS[0](subject, tmp_path)
    with pytest.raises(AssertionError, match="option rate has no description"):
        CHECKS[1](subject, tmp_path)


@pytest.mark.slow
def test_a_foreign_distribution_is_installed_and_used_by_a_study(tmp_path):
    assert code(["plugin", "new", "foreign", "-o", str(tmp_path)]) == 0
    folder = tmp_path / "automl-foreign"
    target = tmp_path / "site"
    install = ["-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--target"]
    if (
        shutil.which("hatchling") is None
        and subprocess.run(
            [sys.executable, "-c", "import hatchling"], capture_output=True, check=False
        ).returncode
    ):
        install.remove("--no-build-isolation")
    subprocess.run([sys.executable, *install, str(target), str(folder)], check=True)
    environment = {"PYTHONPATH": f"{target}:{ROOT}:{ROOT / 'plugins'}", "PATH": "/usr/bin:/bin"}
    for command in (["plugins", "-v"], ["run", "study.yaml"], ["report", "foreign-demo"]):
        done = subprocess.run(
            [sys.executable, "-m", "automl", *command],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    assert "Rounding" in (folder / "runs" / "foreign-demo" / "report.html").read_text()


def test_a_check_wants_a_study_that_names_the_plugin(capsys):
    given = {"no_such.yaml": "no such file", str(ROOT / "studies" / "pruning.yaml"): "'nas'; give"}
    for study, words in given.items():
        assert code(["plugin", "check", "nas", study]) == 2
        captured = capsys.readouterr()
        assert words in captured.err
        assert not captured.out
