import subprocess
import sys

import pytest
from study_texts import FULL, SMALL, file_of, only, problems_of, study_of

from automl import Float, StudyError
from automl.studyfile import check, dump, of, read


def test_a_study_is_read_whole(tmp_path):
    study = study_of(tmp_path, FULL)
    assert study.model.init_args == {"lr": 0.003}
    assert study.objectives["parameters"].ref == 200_000
    assert study.budget.time == 1800
    assert study.space["model.momentum"].parameter() == Float(
        0, 0.99, when={"model.optimizer": "sgd"}
    )
    assert study.on_failure.crash.retry == 2


def test_a_small_study_needs_no_more_than_that(tmp_path):
    study = study_of(tmp_path, SMALL)
    assert study.data is None
    assert study.search.sampler == "auto"


def test_the_form_of_a_refusal(tmp_path):
    assert problems_of(tmp_path, SMALL + "smapler: {name: nsga}\n") == [
        (
            "study.yaml:6:1: unknown key 'smapler'; did you mean 'search'?\n"
            "    6 | smapler: {name: nsga}\n"
            "      | ^"
        )
    ]


@pytest.mark.parametrize(
    ("line", "head"),
    [
        ("smapler: tpe", "6:1: unknown key 'smapler'; did you mean 'search.sampler'?"),
        ("fidelty: {min: 1}", "6:1: unknown key 'fidelty'; did you mean 'fidelity'?"),
        ("epochs: 5", "6:1: unknown key 'epochs'"),
        ("search: {seed: -1}", "6:16: search.seed: must be at least 0, got -1"),
        (
            "search: {seed: '1'}",
            "6:16: search.seed: expected a whole number, got '1'; remove the quotes",
        ),
        (
            "search: {sampler: 3}",
            "6:19: search.sampler: expected a text or a mapping, got 3; write it like",
        ),
        ("search: {sampler: tpee}", "6:10: no sampler is named 'tpee'; did you mean 'tpe'?"),
        ("search: {warm_start: a}", "6:22: search.warm_start: expected a list, got 'a'"),
        ("trainer: [1]", "6:10: trainer: expected a mapping, got [1]"),
        ("plugins: {1: {}}", "6:11: plugins.1: a key must be a text; quote it"),
        ("plugins: {model: {}}", "6:11: no plugin can be named 'model'"),
        ("plugins: {a-b: {}}", "6:11: 'a-b' is not a plugin's name"),
        ("plugins: {a: {path: 3}}", "6:15: expected the path of a file, got 3"),
        ("plugins: {a: {path: ./a.py}}", "6:21: no such file: './a.py'"),
        ("engine: {nme: ray}", "6:10: engine: unknown key 'nme'; did you mean 'name'?"),
        ("engine: 3", "6:9: engine: expected a text or a mapping, got 3"),
        (
            "on_failure: {oom: lern}",
            "6:19: on_failure.oom: expected 'learn', 'skip' or 'stop' or a mapping",
        ),
        ("on_failure: {oom: {retry: 0}}", "6:27: on_failure.oom.retry: must be at least 1, got 0"),
        (
            "on_failure: {oom: {rety: 1}}",
            "6:20: on_failure.oom: unknown key 'rety'; did you mean 'retry'?",
        ),
        (
            "resources: {parallel: 0.5}",
            "6:23: resources.parallel: expected a whole number or 'auto', got 0.5",
        ),
        ("resources: {memory: 8 gigs}", "6:21: resources.memory: expected a size such as 8GB"),
        ("fidelity: {min: 9, max: 3}", "6:12: min 9 is above max 3"),
        (
            "fidelity: {max: 9, brackets: 5}",
            "6:20: 5 brackets; with 2 rungs below max 9 there are at most 3",
        ),
        ("fidelity: {eta: .nan}", "6:17: fidelity.eta: expected a finite number, got nan"),
        ("constraints: {a: {mx: 3}}", "6:19: constraints.a: unknown key 'mx'; did you mean 'max'?"),
        ("constraints: {a: {max: yes}}", "6:24: constraints.a.max: expected a number, got 'yes'"),
        (
            "data:\n  clas_path: a.B",
            "7:3: data: unknown key 'clas_path'; did you mean 'class_path'?",
        ),
        (
            "storage: study.db",
            "6:1: expected auto or a URL such as sqlite:///study.db, got 'study.db'",
        ),
        ("storage: 'pg://u:${env:NOT_SET}@h'", "6:10: environment variable NOT_SET is not set"),
        ("storage: '${evn:A}'", "6:10: '${evn:A}' is not understood; write ${env:NAME}"),
        ("forbid: ['model.lr >']", "6:10: forbid.0: not an expression: 'model.lr >'"),
        (
            "forbid: [model.rl > 1]",
            "6:10: no parameter is named 'model.rl'; did you mean 'model.lr'?",
        ),
        ("forbid: [\"model.lr > 'a'\"]", "6:10: rule \"model.lr > 'a'\" cannot be computed at"),
        ("search: {enqueue: [{model.lr: 3}]}", "6:21: model.lr: 3 is not in [0.0001, 0.1]"),
        ("search: {enqueue: [{model.rl: 3}]}", "6:21: no parameter is named 'model.rl'"),
        ("version: 2", "6:10: version: expected 1, got 2"),
        ("folder: 3", "6:9: folder: expected a text, got 3"),
    ],
)
def test_a_slip_is_one_problem_with_its_place_and_a_way_out(tmp_path, line, head):
    assert only(tmp_path, SMALL + line + "\n").startswith(f"study.yaml:{head}")


def test_every_problem_is_told_in_one_pass_in_the_order_of_the_file(tmp_path):
    text = """\
name: a b
model: {class_path: 3, class_path: x.Y}
objectives: {val_accuracy: {goal: maximise}}
space:
  model.lr: {float: [1, 0]}
  model.width: {int: [8, 64], when: {model.optimiser: sgd}}
  model.optimizer: {choice: [sgd, adamw]}
forbid: [model.with > 3, model.depth > 3]
search: {enqueue: [{model.lr: 9, model.width: 9000}]}
bugdet: {trials: 3}
fidelity: {min: 2, max: 1}
storage: ${env:NOT_SET}
"""
    heads = [problem.splitlines()[0].split(":", 3)[1:] for problem in problems_of(tmp_path, text)]
    assert [(f"{line}:{column}", message) for line, column, message in heads] == [
        ("1:7", heads[0][2]),
        ("2:21", " model.class_path: expected a text, got 3"),
        ("2:24", " key 'class_path' is given twice (first on line 2)"),
        ("3:35", heads[3][2]),
        ("5:13", " space.model.lr: low must not be above high, got low=1.0 and high=0.0"),
        ("6:38", " no parameter is named 'model.optimiser'; did you mean 'model.optimizer'?"),
        ("8:10", " forbid.0: not an expression: 'model.with > 3'"),
        ("9:34", " model.width: 9000 is not a whole number in [8, 64]"),
        ("10:1", " unknown key 'bugdet'; did you mean 'budget'?"),
        ("11:12", " min 2 is above max 1"),
        ("12:10", " environment variable NOT_SET is not set"),
    ]


def test_a_missing_key_is_named_with_what_it_is_for(tmp_path):
    found = problems_of(tmp_path, "# a comment\nname: small\n")
    assert [problem.splitlines()[0] for problem in found] == [
        "study.yaml:2:1: missing key 'model': the LightningModule",
        "study.yaml:2:1: missing key 'objectives': metrics to optimize",
        "study.yaml:2:1: missing key 'budget': when to stop",
        "study.yaml:2:1: nothing to search: give a parameter, or a plugin that proposes some",
    ]


def test_a_misspelt_key_is_not_missing_too(tmp_path):
    assert only(tmp_path, SMALL.replace("budget", "bugdet")).endswith("did you mean 'budget'?")


def test_many_problems_are_cut(tmp_path):
    found = problems_of(tmp_path, SMALL + "".join(f"key{i}: 1\n" for i in range(300)))
    assert len(found) == 101
    assert found[-1] == "study.yaml: these are the first 100 problems; there are more"


def test_an_empty_file_and_one_that_is_no_mapping_say_what_a_study_has(tmp_path):
    assert only(tmp_path, "") == (
        "study.yaml: the file is empty; a study has name, model, objectives, space and budget"
    )
    assert only(tmp_path, "- a\n").startswith(
        "study.yaml:1:1: expected keys, got ['a']; a study has"
    )


def test_paths_are_relative_to_the_file(tmp_path, monkeypatch):
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "study.yaml").write_text(SMALL)
    monkeypatch.chdir(tmp_path)
    file = read("below/study.yaml")
    assert file.here == tmp_path / "below"
    assert file.path == tmp_path / "below" / "study.yaml"


def test_a_plugin_in_a_file_is_looked_for_beside_the_study(tmp_path):
    (tmp_path / "mine.py").touch()
    study = study_of(tmp_path, SMALL + "plugins: {mine: {path: ./mine.py}}\n")
    assert study.plugins == {"mine": {"path": "./mine.py"}}


def test_later_checks_point_into_the_file(tmp_path):
    file = file_of(tmp_path, FULL, "budget.trials=9")
    problem = file.problem(("space", "model.width"), "reaches nothing")
    assert (problem.line, problem.column, problem.path) == (15, 3, "space.model.width")
    problem = file.problem(("model", "init_args", "lr", "deeper"), "wrong", value=True)
    assert (problem.line, problem.column) == (3, 57)
    assert file.problem(("budget", "trials"), "wrong").file == "command line"
    assert file.problem(("nowhere",), "wrong").line == 1


def test_secrets_stay_out_of_the_study(tmp_path, monkeypatch):
    monkeypatch.setenv("DB_PASSWORD", "s3cret")
    study = study_of(tmp_path, SMALL + "storage: 'pg://u:${env:DB_PASSWORD}@h/db'\n")
    assert study.storage == "pg://u:${env:DB_PASSWORD}@h/db"
    assert "s3cret" not in dump(study) + repr(study)


def test_a_study_made_in_python_is_checked_too(tmp_path):
    study = study_of(tmp_path, SMALL)
    assert of(study, tmp_path).here == tmp_path
    wrong = study.model_copy(update={"forbid": ("model.rl > 1",)})
    assert check(wrong) == [
        (("forbid", 0), "no parameter is named 'model.rl'; did you mean 'model.lr'?")
    ]
    with pytest.raises(StudyError, match=r"forbid\.0: no parameter is named 'model.rl'"):
        of(wrong)


def test_reading_a_study_imports_nothing_heavy(tmp_path):
    (tmp_path / "study.yaml").write_text(FULL)
    code = (
        "import sys, automl.studyfile; automl.studyfile.read(sys.argv[1]);"
        "heavy = {'torch', 'optuna', 'numpy', 'pandas', 'lightning', 'sqlalchemy', 'sklearn'};"
        "print(sorted(heavy & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "study.yaml"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[]\n"
