"""The command line as its users type it."""

import json
import resource
import subprocess
import sys

import pytest
import toys

from automl.cli import COMMANDS, code

STUDY = """
name: demo
model: {class_path: toys.Blank}
plugins: {formula: {path: formula.py}}
objectives: {near: {goal: minimize, ref: 1}, far: {goal: minimize, ref: 1}}
space: {model.x: {float: [0, 1]}}
budget: {trials: 4}
search: {sampler: random}
engine: inline
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    toys.beside(tmp_path)
    (tmp_path / "study.yaml").write_text(STUDY)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_run_then_show_then_report(here, capsys):
    assert code(["run", "study.yaml"]) == 0
    assert "report: " in capsys.readouterr().out
    assert (here / "runs" / "demo" / "report.html").stat().st_size > 1000
    assert code(["show", "demo"]) == 0
    assert "near" in capsys.readouterr().out
    for name in ("a.md", "a.json", "a.csv", "a.parquet", "a.html"):
        assert code(["report", "demo", "-o", name]) == 0
        assert (here / name).stat().st_size > 100


def test_json_is_the_only_output_on_request(here, capsys):
    assert code(["run", "study.yaml", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "demo"


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("rnu study.yaml", "automl: there is no command 'rnu'; did you mean 'run'?"),
        ("xyzzy", "automl: there is no command 'xyzzy'; see automl --help"),
        ("run --frsh study.yaml", "automl run: unknown argument '--frsh'; did you mean '--fresh'?"),
        ("run study.yaml b.yaml", "automl run: unknown argument 'b.yaml'; see automl run --help"),
    ],
)
def test_a_word_that_there_is_not_gets_one_line(here, capsys, typed, said):
    assert code(typed.split()) == 2
    assert capsys.readouterr().err.strip() == said


def test_quiet_prints_only_where_the_report_is(here, capsys):
    assert code(["run", "study.yaml", "-q"]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("report: ")
    assert captured.err == ""


def test_a_line_a_trial_goes_to_standard_error_in_a_pipe(here, capsys):
    code(["run", "study.yaml"])
    assert capsys.readouterr().err.count(" done in ") == 4


def test_a_run_that_goes_on_says_so_and_repeats_no_line(here, capsys):
    code(["run", "study.yaml"])
    capsys.readouterr()
    code(["run", "study.yaml", "--set", "budget.trials=6"])
    said = capsys.readouterr().err
    assert said.startswith("goes on after 4 trials\n")
    assert said.count(" done in ") == 2


def test_overrides_reach_the_study(here, capsys):
    code(["run", "study.yaml", "--set", "budget.trials=2", "--json"])
    assert json.loads(capsys.readouterr().out)["states"]["done"] == 2


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["run", "missing.yaml"], "missing.yaml"),
        (["show", "nothing"], "no study 'nothing' has run here"),
        (["run", "study.yaml", "--set", "budget.trails=5"], "did you mean"),
        (["run", "study.yaml", "--set", "plugins.formula.path=none.py"], "no such file"),
        (["run", "study.yaml", "--set", "model.class_path=toys"], "a class with its module"),
        (["run", "study.yaml", "--set", "trainer.max_epoch=2"], "did you mean 'max_epochs'?"),
        (["run", "study.yaml", "--set", "trainer.devices=2"], "is set by the engine"),
        (["run", "study.yaml", "--set", "storage=postgres://h/d"], "postgresql+psycopg://"),
        (["run", "study.yaml", "--set", "storage=mysql://u:p@h/d"], "needs the package 'MySQLdb'"),
        (["plan", "study.yaml", "--proposals", "0"], "above 0, got '0'"),
        (["retrain", "demo", "--point", "0", "--seeds", "-1"], "above 0, got '-1'"),
    ],
)
def test_what_the_user_can_mend_is_exit_code_2_and_a_line(here, capsys, argv, words):
    assert code(argv) == 2
    error = capsys.readouterr().err
    assert words in error
    assert "Traceback" not in error


def test_a_problem_found_late_still_points_at_its_line(here, capsys):
    text = STUDY.replace("model.x:", "model.xx:")
    (here / "study.yaml").write_text(text)
    assert code(["run", "study.yaml"]) == 2
    assert "study.yaml:6:9: Blank takes no 'xx'; did you mean 'x'?" in capsys.readouterr().err


def test_what_a_failure_says_reaches_the_terminal_without_control_characters(here, capsys):
    (here / "formula.py").write_text(
        "import automl\n\n\nclass Formula:\n"
        "    @automl.hookimpl\n    def build(self, job):\n"
        "        raise ValueError('\\x1b[31mred')\n"
    )
    assert code(["run", "study.yaml"]) == 2
    error = capsys.readouterr().err
    assert "trial 0 failed" in error
    assert "\\x1b[31mred" in error
    assert "\x1b" not in error


def test_a_command_is_told_as_a_shell_takes_it(here, capsys, monkeypatch):
    monkeypatch.setattr("automl.commands.run.run", interrupt)
    assert code(["run", "study.yaml", "--set", "space={model.x: {float: [0, 1]}}"]) == 130
    assert "--set 'space={model.x: {float: [0, 1]}}'" in capsys.readouterr().err


def interrupt(*_, **__):
    raise KeyboardInterrupt


def test_a_bug_is_exit_code_3_with_a_traceback(here, capsys, monkeypatch):
    monkeypatch.setattr("automl.commands.run.run", lambda *_, **__: 1 / 0)
    assert code(["run", "study.yaml"]) == 3
    error = capsys.readouterr().err
    assert "ZeroDivisionError" in error
    assert "bug of automl" in error


def trainable(text):
    text = text.replace("toys.Blank", "toys.Line").replace("model.x", "model.lr")
    text = text.replace("plugins: {formula: {path: formula.py}}", "data: {class_path: toys.Pairs}")
    text = text.replace(
        "{near: {goal: minimize, ref: 1}, far: {goal: minimize, ref: 1}}",
        "{val_loss: {goal: minimize}}",
    )
    return text + "trainer: {max_epochs: 2}\n"


def test_plan_shows_the_space_the_first_points_and_one_step(here, capsys):
    (here / "study.yaml").write_text(trainable(STUDY))
    assert code(["plan", "study.yaml", "--json"]) == 0
    planned = json.loads(capsys.readouterr().out)
    assert len(planned["proposals"]) == 3
    assert planned["smoke_metrics"]["val_loss"] > 0
    assert planned["missing"] == ""
    assert not (here / "runs").exists()


def test_plan_shows_the_resolved_study_and_the_space_in_words(here, capsys):
    (here / "study.yaml").write_text(trainable(STUDY).replace("[0, 1]", "[1e-3, 1], log: true"))
    assert code(["plan", "study.yaml"]) == 0
    said = capsys.readouterr().out
    assert "on_failure:\n  oom: learn\n" in said
    assert "float in [0.001, 1.0], log, default 0.1" in said
    assert "  0: model.lr " in said


def test_plan_shows_no_more_points_than_a_grid_has(here, capsys):
    text = trainable(STUDY).replace("{float: [0, 1]}", "{choice: [0.25, 0.75]}")
    (here / "study.yaml").write_text(text)
    assert code(["plan", "study.yaml", "--json", "--set", "search.sampler=grid"]) == 0
    planned = json.loads(capsys.readouterr().out)
    assert [point["model.lr"] for point in planned["proposals"]] == [0.25, 0.75]


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("storage=postgresql+psycopg://nobody@127.0.0.1:1/none", "127.0.0.1"),
        ("search.warm_start=[elsewhere]", "search.warm_start: no study 'elsewhere' has run here"),
        ("fidelity={stop: {class_path: toys.Nope}}", "module 'toys' has no class 'Nope'"),
    ],
)
def test_plan_looks_at_what_a_run_would_open(here, capsys, setting, said):
    (here / "study.yaml").write_text(trainable(STUDY))
    assert code(["plan", "study.yaml", "--set", setting]) == 2
    assert said in capsys.readouterr().err


def test_plan_shows_what_plugins_would_do(here, capsys):
    toys.beside(here, "Preview")
    text = STUDY.replace("toys.Blank", "toys.Line").replace("model.x", "model.lr")
    text = text.replace(
        "plugins:", "data: {class_path: toys.Pairs}\ntrainer: {max_epochs: 1}\nplugins:"
    )
    (here / "study.yaml").write_text(text)
    assert code(["plan", "study.yaml"]) == 0
    assert "What would be done" in capsys.readouterr().out


def test_plan_check_says_that_a_file_is_right(here, capsys):
    assert code(["plan", "study.yaml", "--check"]) == 0
    assert "the study file is right" in capsys.readouterr().out


def test_logs_show_what_a_trial_printed(here, capsys):
    code(["run", "study.yaml", "-q", "--set", "engine=local"])
    capsys.readouterr()
    assert code(["logs", "demo", "0"]) == 0
    assert code(["logs", "demo", "99"]) == 2


def test_plugins_are_listed_with_their_hooks(capsys):
    assert code(["plugins", "-v", "--json"]) == 0
    listed = {one["name"]: one for one in json.loads(capsys.readouterr().out)}
    assert listed["pruning"]["status"] == "ok"
    assert "refine" in listed["pruning"]["hooks"]


def test_the_schema_holds_the_options_of_every_plugin(capsys):
    assert code(["schema"]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in ("pruning", "lr_refinement", "finetune"))


def test_the_doctor_finds_this_machine_fit(here, capsys):
    assert code(["doctor", "--json"]) == 0
    assert all(one["ok"] for one in json.loads(capsys.readouterr().out).values())


def test_completion_is_a_script_for_the_shell(capsys):
    assert code(["completion", "bash"]) == 0
    assert "automl" in capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command, capsys):
    assert code([command, "--help"]) == 0
    assert "usage: automl" in capsys.readouterr().out


def test_no_command_prints_the_help_and_is_a_mistake(capsys):
    assert code([]) == 2


def test_a_reader_that_leaves_early_is_no_error():
    shell = f"{sys.executable} -m automl schema | head -c 1 >/dev/null; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stderr == ""


def test_help_starts_within_a_few_times_what_python_itself_takes():
    def seconds():
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    def best(*argv):
        times = []
        for _ in range(7):
            before = seconds()
            subprocess.run([sys.executable, *argv], capture_output=True, check=True)
            times.append(seconds() - before)
        return min(times)

    assert best("-m", "automl", "--help") < 4 * best("-c", "pass")


def test_a_plugin_that_is_not_installed_is_refused_at_its_line(here, capsys):
    (here / "study.yaml").write_text(STUDY.replace("formula: {path: formula.py}", "prunning: {}"))
    assert code(["run", "study.yaml"]) == 2
    error = capsys.readouterr().err
    assert "study.yaml:4:11: no plugin named 'prunning'; did you mean 'pruning'?" in error


def test_logs_are_json_on_request(here, capsys):
    code(["run", "study.yaml", "-q"])
    capsys.readouterr()
    assert code(["logs", "demo", "0", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["log"] is None  # inline jobs print to the terminal
    assert [one["hook"] for one in said["hooks"]][:2] == ["core.build", "formula.train"]
    assert all(one["seconds"] >= 0 for one in said["hooks"])


@pytest.mark.parametrize("where", [["--port", "99999"], ["--host", "300.1.1.1"]])
def test_an_address_that_cannot_be_served_is_said(here, capsys, where):
    code(["run", "study.yaml", "-q"])
    assert code(["serve", "demo", *where]) == 2
    assert "cannot serve on" in capsys.readouterr().err


def test_logs_show_each_hook_with_its_plugin_and_seconds(here, capsys):
    code(["run", "study.yaml", "-q"])
    capsys.readouterr()
    assert code(["logs", "demo", "0", "--hooks"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines] == [
        "core.build",
        "formula.train",
        "core.measure",
        "formula.measure",
    ]
