import pytest
from study_texts import FULL, SMALL, only, problems_of


@pytest.mark.parametrize(
    ("spec", "head"),
    [
        (
            "0.1",
            "4:19: space.model.lr: expected a mapping, got 0.1; write it like {float: [0.0001",
        ),
        ("{flaot: [0, 1]}", "4:20: space.model.lr: unknown key 'flaot'; did you mean 'float'?"),
        (
            "{float: [1, 0]}",
            "4:19: space.model.lr: low must not be above high, got low=1.0 and high=0.0",
        ),
        (
            "{float: [0, 1], log: true}",
            "4:19: space.model.lr: a log scale needs low > 0, got low=0.0",
        ),
        (
            "{float: [0, 1], log: yes}",
            "4:40: space.model.lr.log: expected true or false, got 'yes'; write true",
        ),
        ("{float: [1]}", "4:27: space.model.lr.float: too short; write it like [0.0001, 0.1]"),
        (
            "{float: [1, 2, 3]}",
            "4:27: space.model.lr.float: needs at most 2 entries, got [1, 2, 3]",
        ),
        ("{float: 3}", "4:27: space.model.lr.float: expected a list, got 3"),
        ("{float: [.nan, 1]}", "4:28: space.model.lr.float.0: expected a finite number, got nan"),
        ("{float: [0, .inf]}", "4:31: space.model.lr.float.1: expected a finite number, got inf"),
        ("{float: [0, 1e999]}", "4:31: space.model.lr.float.1: expected a finite number, got inf"),
        (
            "{float: [0, '1']}",
            "4:31: space.model.lr.float.1: expected a number, got '1'; remove the quotes",
        ),
        ("{int: [0, 1.5]}", "4:29: space.model.lr.int.1: expected a whole number, got 1.5"),
        ("{int: [true, 2]}", "4:26: space.model.lr.int.0: expected a whole number, got true"),
        ("{choice: []}", "4:19: space.model.lr: a choice needs at least one option"),
        ("{choice: [a, a]}", '4:19: space.model.lr: option "a" is given twice'),
        ("{choice: [a, .nan]}", "4:32: space.model.lr.choice.1: expected a finite number, got nan"),
        ("{}", "4:19: space.model.lr: give one of float, int, choice, fixed, got none"),
        ("{int: [0, 1], when: {model.x: 1}}", "4:40: no parameter is named 'model.x'"),
        (
            "{int: [0, 1], when: {model.lr: 1}}",
            "4:33: conditions go in a circle: model.lr -> model.lr",
        ),
    ],
)
def test_a_slip_in_the_space_is_one_problem(tmp_path, spec, head):
    text = SMALL.replace("{float: [1e-4, 1e-1], log: true}", spec)
    assert only(tmp_path, text).startswith(f"study.yaml:{head}")


@pytest.mark.parametrize("goal", ["maximize", "minimize"])
def test_an_example_of_what_to_write_keeps_what_was_written(tmp_path, goal):
    said = only(tmp_path, SMALL.replace("{goal: maximize}", goal))
    assert f"expected a mapping, got '{goal}'; write it like {{goal: '{goal}'}}" in said


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("modl.lr", "'modl.lr' reaches nothing: no 'modl' here; did you mean 'model'?"),
        ("nas.depth", "'nas.depth' reaches nothing: no 'nas' here; known: model, data, trainer"),
        ("data.size", "'data.size' reaches nothing: the study has no data"),
        ("model", "'model' is not a path such as 'model.width'"),
        ("model..lr", "'model..lr' is not a path"),
    ],
)
def test_a_parameter_that_reaches_nothing_is_a_problem(tmp_path, name, head):
    assert f"4:9: {head}" in only(tmp_path, SMALL.replace("model.lr", name))


def test_a_condition_needs_a_value_that_the_other_can_have(tmp_path):
    text = FULL.replace("when: {model.optimizer: sgd}", "when: {model.optimizer: [sgd, sgdd]}")
    assert "model.optimizer is never 'sgdd'; did you mean 'sgd'?" in only(tmp_path, text)
    text = FULL.replace("when: {model.optimizer: sgd}", "when: {model.width: 100}")
    assert "model.width is never 100; it is a whole number in [8, 64]" in only(tmp_path, text)


def test_what_a_plugin_may_propose_is_not_called_unknown(tmp_path):
    text = FULL.replace("model.optimizer: sgd}}", "pruning.kind: a}}")
    text = text.replace("enqueue: []", "enqueue: [{pruning.kind: a}]")
    assert problems_of(tmp_path, text.replace("model.width > 48", "pruning.kind == 'b'")) == []


def test_a_point_that_is_enqueued_must_not_be_forbidden(tmp_path):
    text = FULL.replace("enqueue: []", "enqueue: [{model.width: 50, model.optimizer: sgd}]")
    assert "21:60: this point is forbidden by" in only(tmp_path, text)


@pytest.mark.parametrize(
    ("goal", "bound", "ok"),
    [
        ("maximize", "max: 0.4", False),
        ("maximize", "min: 0.4", True),
        ("minimize", "min: 0.6", False),
    ],
)
def test_a_reference_that_no_allowed_point_can_beat_is_a_problem(tmp_path, goal, bound, ok):
    text = SMALL.replace("goal: maximize", f"goal: {goal}, ref: 0.5")
    found = problems_of(tmp_path, text + f"constraints: {{val_accuracy: {{{bound}}}}}\n")
    assert ok == (not found)


def test_gpu_hours_alone_need_a_gpu(tmp_path):
    text = SMALL.replace("trials: 3", "gpu_hours: 3")
    assert "never spent: resources.gpus is 0" in only(tmp_path, text)
    assert problems_of(tmp_path, text + "resources: {gpus: 0.5}\n") == []
