"""Broken plugins: each gives one clear message with its name, and hurts nothing else."""

import json

import pytest

from automl.archive import open_study
from automl.cli import code

STUDY = """
name: demo
model: {class_path: toys.Blank}
plugins: {mine: {path: mine.py}}
objectives: {x: {goal: minimize}}
space: {model.x: {float: [0, 1]}}
budget: {trials: 2, trial_time: 3}
search: {sampler: random}
on_failure: {crash: skip, timeout: skip}
"""
HEAD = "import automl\nimport time\n\n\nclass Mine:\n    @automl.hookimpl\n"
TRAINED = "    @automl.hookimpl\n    def train(self, job):\n        return True\n\n"
WHOLE = "    @automl.hookimpl\n    def measure(self, job):\n        return {'x': job.model.x}\n"


def hook(signature, body):
    return f"{HEAD}    def {signature}:\n        {body}\n\n{WHOLE}"


EARLY = {
    "syntax error": ("def f(:", "cannot be imported: SyntaxError"),
    "import error": ("import no_such_module", "cannot be imported: ModuleNotFoundError"),
    "exits when imported": ("raise SystemExit(3)", "cannot be imported: SystemExit: 3"),
    "wrong hook name": (
        hook("trian(self, job)", "pass"),
        "has a wrong hook: there is none called 'trian'; did you mean 'train'?",
    ),
    "wrong signature": (
        hook("train(self, job, extra)", "pass"),
        "has a wrong hook: train asks for 'extra', but only job is passed; take it out",
    ),
    "a space that raises": (hook("space(self)", "1 / 0"), "failed in space: ZeroDivisionError"),
    "a space that exits": (hook("space(self)", "raise SystemExit"), "failed in space: SystemExit"),
}
LATE = {
    "wrong return type": (
        hook("refine(self, job)", "return 3") + TRAINED,
        "must yield points from refine",
    ),
    "wrong answer of train": (hook("train(self, job)", "return 'yes'"), "must return True or None"),
    "raises in build": (hook("build(self, job)", "1 / 0"), "in plugin mine (mine.py), hook build"),
    "raises in train": (hook("train(self, job)", "1 / 0"), "in plugin mine (mine.py), hook train"),
    "raises in refine": (
        hook("refine(self, job)", "yield 1 / 0") + TRAINED,
        "in plugin mine (mine.py), hook refine",
    ),
    "raises in prepare": (hook("prepare(self, job)", "1 / 0"), "hook prepare"),
    "exits": (
        hook("train(self, job)", "raise SystemExit(1)"),
        "SystemExit: 1 (in plugin mine (mine.py), hook train)",
    ),
    "an infinite loop": (
        hook("train(self, job)", "while True: time.sleep(0.01)"),
        "took longer than 3.0 s (in plugin mine (mine.py), hook train)",
    ),
    "is killed while it prepares": (
        hook("prepare(self, job)", "import os; os.kill(os.getpid(), 9)"),
        "SIGKILL (in plugin mine (mine.py), hook prepare)",
    ),
    "dies": (
        hook("train(self, job)", "import os; os.kill(os.getpid(), 9)"),
        "SIGKILL (in plugin mine (mine.py), hook train)",
    ),
}


def ran(folder, monkeypatch, text, *more):
    (folder / "mine.py").write_text(text)
    (folder / "study.yaml").write_text(STUDY)
    monkeypatch.chdir(folder)
    return code(["run", "study.yaml", "-q", *more])


@pytest.mark.parametrize(("text", "words"), EARLY.values(), ids=EARLY)
def test_a_plugin_that_is_broken_when_loaded_is_named(tmp_path, monkeypatch, capsys, text, words):
    assert ran(tmp_path, monkeypatch, text, "--set", "engine=inline") == 2
    error = capsys.readouterr().err
    assert "plugin mine (mine.py)" in error
    assert words in error
    assert not (tmp_path / "runs").exists()


ASKED = {
    "starts that raise": (hook("starts(self, space)", "1 / 0"), "in starts: ZeroDivisionError"),
    "a grace that raises": (hook("grace(self, study)", "1 / 0"), "in grace: ZeroDivisionError"),
    "a grace of nothing": (hook("grace(self, study)", "pass"), "return a number from grace, got"),
}


@pytest.mark.parametrize(("text", "words"), ASKED.values(), ids=ASKED)
def test_a_plugin_that_breaks_when_the_driver_asks_it_is_named(
    tmp_path, monkeypatch, capsys, text, words
):
    given = ("engine=inline", "budget.trial_time=null", "fidelity.max=4")
    sets = [word for one in given for word in ("--set", one)]
    assert ran(tmp_path, monkeypatch, text, *sets) == 2
    error = capsys.readouterr().err
    assert "plugin mine (mine.py)" in error
    assert words in error


def test_what_a_plugin_prints_in_the_driver_is_not_the_drivers_answer(
    tmp_path, monkeypatch, capsys
):
    loud = "print('loaded')\n" + hook("space(self)", "print('asked'); return {}") + TRAINED
    told = "    @automl.hookimpl\n    def report(self, history):\n        print('told')\n"
    given = ("--json", "--set", "engine=inline", "--set", "budget.trial_time=null")
    assert ran(tmp_path, monkeypatch, loud + told, *given) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["name"] == "demo"
    assert captured.err.split()[:2] == ["loaded", "asked"]
    assert "told" in captured.err


@pytest.mark.slow
@pytest.mark.parametrize(("text", "words"), LATE.values(), ids=LATE)
def test_a_plugin_that_breaks_in_a_trial_is_named(tmp_path, monkeypatch, capsys, text, words):
    assert ran(tmp_path, monkeypatch, text) == 2
    error = capsys.readouterr().err
    assert words in error
    assert "Traceback" not in error


@pytest.mark.slow
def test_a_plugin_that_eats_memory_is_stopped_and_named(tmp_path, monkeypatch, capsys):
    eat = "job.held = [bytearray(10**7) for _ in range(100_000) if time.sleep(0.002) is None]"
    memory = ["--set", "resources.memory=1GB", "--set", "budget.trial_time=60"]
    assert ran(tmp_path, monkeypatch, hook("train(self, job)", eat), *memory) == 2
    error = capsys.readouterr().err
    assert "memory" in error
    assert "(in plugin mine (mine.py), hook train)" in error


@pytest.mark.slow
def test_a_plugin_that_prints_megabytes_fills_its_own_log_only(tmp_path, monkeypatch, capsys):
    loud = hook("train(self, job)", "print('x' * 5_000_000); return True")
    assert ran(tmp_path, monkeypatch, loud) == 0
    captured = capsys.readouterr()
    assert len(captured.out) + len(captured.err) < 1000
    assert (tmp_path / "runs" / "demo" / "trials" / "00000" / "log.txt").stat().st_size > 5_000_000


CHANGES = """import os, random, signal, sys, numpy, torch
        found = [torch.get_default_dtype(), os.getcwd(), signal.getsignal(signal.SIGTERM)]
        found += ["MINE" in os.environ, "/" in sys.path]
        (job.folder / "found.txt").write_text(repr(found))
        torch.set_default_dtype(torch.float64)
        os.chdir("/")
        os.environ["MINE"] = "1"
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        sys.path.append("/")
        [seed(1) for seed in (random.seed, numpy.random.seed, torch.manual_seed)]
        return True"""


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["inline", "local"])
def test_a_plugin_that_changes_global_state_changes_no_other_trial(tmp_path, monkeypatch, engine):
    for name, body in (("calm", "return True"), ("loud", CHANGES)):
        given = ("--set", f"engine={engine}", "--set", f"name={name}")
        assert ran(tmp_path, monkeypatch, hook("train(self, job)", body), *given) == 0
    first, second = sorted(tmp_path.glob("runs/loud/trials/*/found.txt"))
    assert first.read_text() == second.read_text()
    assert proposed("calm") == proposed("loud")


def proposed(name):
    return [trial.params for trial in open_study(name).record.trials()]
