"""Taking points out of a study, and training them again."""

import json

import pytest
import toys

import automl
from automl.cli import code
from automl.errors import AutomlError
from automl.export import choose, export

STUDY = {
    "name": "line",
    "model": {"class_path": "toys.Line"},
    "data": {"class_path": "toys.Pairs"},
    "trainer": {"max_epochs": 2},
    "plugins": {},
    "objectives": {"val_loss": {"goal": "minimize"}, "parameters": {"goal": "minimize"}},
    "space": {"model.lr": {"float": [0.01, 0.3]}, "model.width": {"int": [1, 8]}},
    "budget": {"trials": 3},
    "checkpoints": {"keep": "all"},
}


@pytest.fixture
def ran(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return automl.run(toys.study(tmp_path, **STUDY), here=tmp_path)


def test_an_exported_model_predicts_what_the_trial_measured(ran, tmp_path):
    import torch

    export(ran.history, "1", tmp_path / "out")
    x = torch.linspace(-1, 1, 32)[:, None]
    model = automl.load(tmp_path / "out")
    loss = torch.nn.functional.mse_loss(model(x), 2 * x).item()
    assert loss == pytest.approx(ran.trials[1].metrics["val_loss"], rel=1e-5)


def test_the_exported_point_says_where_it_comes_from(ran, tmp_path):
    export(ran.history, "2", tmp_path / "out")
    point = json.loads((tmp_path / "out" / "point.json").read_text())
    assert point["params"] == dict(ran.trials[2].params)
    assert point["provenance"]["automl"]
    assert "GB of memory" in point["provenance"]["processor"]


def test_an_unknown_point_is_refused_with_those_there_are(ran):
    with pytest.raises(AutomlError, match="no such point; known: 0, 1, 2"):
        choose(ran.history, "77")


def test_a_folder_that_is_not_empty_is_left_alone(ran, tmp_path):
    with pytest.raises(AutomlError, match="is not empty"):
        export(ran.history, "0", tmp_path)


def test_the_commands_export_retrain_and_compare(ran, tmp_path, capsys):
    assert code(["export", "line", "--point", "1", "-o", "out"]) == 0
    capsys.readouterr()
    assert code(["retrain", "line", "--point", "1", "--seeds", "2", "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert len(again["again"]["val_loss"]) == 2
    assert code(["compare", "line", again["study"], "-o", "c.html"]) == 0
    assert (tmp_path / "c.html").stat().st_size > 1000


def test_a_point_whose_weights_were_removed_is_refused_with_the_way_to_make_them(ran, tmp_path):
    ran.trials[0].folder.joinpath("model.ckpt").unlink()
    with pytest.raises(AutomlError, match="automl retrain line --point 0 makes them again"):
        export(ran.history, "0", tmp_path / "out")


def test_the_programs_graph_predicts_what_the_model_does(ran, tmp_path):
    import torch

    assert code(["export", "line", "--point", "1", "-o", "out", "--program"]) == 0
    x = torch.full((1, 1), 0.25)
    graph = torch.export.load(tmp_path / "out" / "model.pt2").module()
    assert torch.allclose(graph(x), automl.load(tmp_path / "out")(x))
