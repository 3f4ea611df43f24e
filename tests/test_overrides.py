import pytest
from study_texts import FULL, SMALL, only, problems_of, study_of

from automl import Choice, Fixed, Int


@pytest.mark.parametrize(
    ("override", "check"),
    [
        ("budget.trials=5", lambda study: study.budget.trials == 5),
        ("budget={time: 1h}", lambda study: study.budget.time == 3600),
        ("space.model.lr={fixed: 1e-3}", lambda s: s.space["model.lr"].parameter() == Fixed(1e-3)),
        ("space.model.lr.log=false", lambda s: not s.space["model.lr"].log),
        (
            "space.model.depth={int: [1, 3]}",
            lambda s: s.space["model.depth"].parameter() == Int(1, 3),
        ),
        (
            "space.model.act.choice=[a, b]",
            lambda s: s.space["model.act"].parameter() == Choice(("a", "b")),
        ),
        (
            "space.model.momentum.when.model.optimizer=adamw",
            lambda s: s.space["model.momentum"].when == {"model.optimizer": "adamw"},
        ),
        ("model.init_args.lr=1e-5", lambda study: study.model.init_args == {"lr": 1e-5}),
        ("model.init_args.deep.er=no", lambda study: study.model.init_args["deep"] == {"er": "no"}),
        ("trainer.max_epochs=2", lambda study: study.trainer == {"max_epochs": 2}),
        ("plugins.pruning.repair=false", lambda study: study.plugins["pruning"]["repair"] is False),
        (
            "objectives.val/loss.goal=minimize",
            lambda s: s.objectives["val/loss"].goal == "minimize",
        ),
        ("on_failure.oom.retry=3", lambda study: study.on_failure.oom.retry == 3),
        ("engine.name=ray", lambda study: study.engine.name == "ray"),
        ("forbid.0=model.width > 3", lambda study: study.forbid == ("model.width > 3",)),
        ("data=", lambda study: study.data is None),
        ("fidelity=~", lambda study: study.fidelity is None),
        ("name=a=b".replace("=b", "-b"), lambda study: study.name == "a-b"),
    ],
)
def test_the_command_line_sets_what_the_file_could(tmp_path, override, check):
    assert check(study_of(tmp_path, FULL, override))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("budget.trals=5", "unknown path 'budget.trals'; did you mean 'budget.trials'?"),
        ("trials=5", "unknown path 'trials'; did you mean 'budget.trials'?"),
        ("model.lr=5", "unknown path 'model.lr'; did you mean 'model.init_args.lr'?"),
        ("forbid.7=a", "unknown path 'forbid.7'"),
        ("resources.x=a", "unknown path 'resources.x'; resources has cpus, gpus, memory, parallel"),
        ("budget", "expected path=value, such as budget.trials=5"),
        ("=5", "unknown path ''"),
        ("budget.trials=many", "budget.trials: expected a whole number, got 'many'"),
        ("budget.trials=[", "not YAML: "),
        ("trainer={a: 1, a: 2}", "key 'a' is given twice"),
        ("space.model.lr.float=[1, 0]", "space.model.lr: low must not be above high"),
        (
            "space.model.lr={float: [0, 1], lgo: true}",
            "space.model.lr: unknown key 'lgo'; did you mean 'log'?",
        ),
        ("storage=${env:NOT_SET}", "environment variable NOT_SET is not set"),
        ("search.enqueue=[{model.width: 7}]", "model.width: 7 is not a whole number in [8, 64]"),
    ],
)
def test_the_command_line_is_blamed_for_what_it_sets(tmp_path, override, message):
    head = only(tmp_path, FULL, override)
    assert head.startswith(f"command line: --set {override}: {message}")


def test_problems_of_the_file_and_of_the_command_line_come_together(tmp_path):
    found = problems_of(tmp_path, SMALL + "foo: 1\n", "budget.trials=x")
    assert [one.split(":")[0] for one in found] == ["study.yaml", "command line"]


def test_what_the_command_line_replaces_is_not_looked_at(tmp_path):
    text = SMALL.replace("trials: 3", "trials: many, tmie: 3")
    assert problems_of(tmp_path, text, "budget={trials: 2}") == []
