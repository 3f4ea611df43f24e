"""Training with Lightning: exact resumption, phases, and what a job is handed."""

import json
from dataclasses import replace

import pytest
import torch
import toys

from automl import stages
from automl.checkpoints import Checkpoints
from automl.job import JobSpec
from automl.study import Fidelity


class Heard:
    """A line that keeps reports and asks to stop after some of them."""

    def __init__(self, most=10**9):
        self.reports, self.most = [], most

    def report(self, step, metrics):
        self.reports.append((step, dict(metrics)))

    def stopped(self):
        return len([step for step, _ in self.reports if step]) >= self.most

    def map(self, function, items, folder):
        raise AssertionError("no map expected")


def spec(folder, **changes):
    study = toys.study(
        folder,
        model={"class_path": "toys.Line", "init_args": {"noise": 0.1}},
        data={"class_path": "toys.Pairs"},
        trainer={"max_epochs": 6},
        plugins={},
        objectives={"val_loss": {"goal": "minimize"}, "parameters": {"goal": "minimize"}},
        space={"model.lr": {"float": [0.01, 0.3]}},
    ).model_copy(update=changes)
    return JobSpec(study, "trial", 0, 0, {"model.lr": 0.1}, 7, folder / "t", folder / "s", folder)


def weights(folder):
    return torch.load(folder / "t" / "model.ckpt", weights_only=True)["state_dict"]


@pytest.mark.parametrize("epochs", [1, 2, 3, 5])
def test_a_fit_that_was_stopped_and_goes_on_ends_bit_for_bit_like_the_uncut_one(tmp_path, epochs):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    uncut = stages.run(spec(whole), Heard())
    assert stages.run(spec(cut), Heard(epochs)).state == "stopped"
    line = Heard()
    resumed = stages.run(replace(spec(cut), attempt=1), line)
    assert [step for step, _ in line.reports if step] == list(range(epochs + 1, 7))
    assert resumed.metrics["val_loss"] == uncut.metrics["val_loss"]
    assert all(torch.equal(weights(whole)[name], value) for name, value in weights(cut).items())


def test_a_damaged_checkpoint_falls_back_to_the_one_before(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for number in (1, 2, 3):
        checkpoints.save(
            f"{number}.ckpt", lambda path, n=number: path.write_bytes(bytes([n]) * 100)
        )
    (tmp_path / "3.ckpt").write_bytes(b"damaged")
    again = Checkpoints(tmp_path)
    assert again.last() == tmp_path / "2.ckpt"
    assert not (tmp_path / "1.ckpt").exists()


def cut_after(folder, epochs):
    """Cut a fit, and return its folder of checkpoints."""
    assert stages.run(spec(folder), Heard(epochs)).state == "stopped"
    return folder / "t" / "checkpoints" / "train"


def goes_on(folder):
    """Go on, and return the epochs that are trained."""
    line = Heard()
    assert stages.run(replace(spec(folder), attempt=1), line).state == "done"
    return [step for step, _ in line.reports if step]


def test_a_checkpoint_of_another_format_is_left_and_the_log_says_so(tmp_path, caplog):
    manifest = cut_after(tmp_path, 3) / "manifest.json"
    known = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({key: known[key] for key in known if key != "format"}))
    assert goes_on(tmp_path) == [1, 2, 3, 4, 5, 6]
    assert "written in format 0, this automl reads 1; the fit begins anew" in caplog.text


def test_a_checkpoint_that_may_run_code_is_left_and_the_log_says_so(tmp_path, caplog):
    folder = cut_after(tmp_path, 3)
    state = torch.load(folder / "step=12.ckpt", weights_only=True)
    Checkpoints(folder).save(
        "step=13.ckpt", lambda path: torch.save(state | {"own": Heard()}, path)
    )
    assert goes_on(tmp_path) == [1, 2, 3, 4, 5, 6]
    assert "step=13.ckpt: cannot be read (Weights only load failed" in caplog.text


def test_a_phase_that_has_ended_is_loaded_and_not_trained_again(tmp_path):
    job, _ = stages.make_job(spec(tmp_path), Heard())
    metrics = job.fit(phase="once")
    line = Heard()
    again, _ = stages.make_job(spec(tmp_path), line)
    assert again.fit(phase="once") == metrics
    assert line.reports == []
    assert torch.equal(again.model.out.weight, job.model.out.weight)


def test_costs_that_are_known_are_reported_before_training(tmp_path):
    line = Heard()
    stages.run(spec(tmp_path), line)
    assert line.reports[0] == (0, {"parameters": 13})


def test_the_model_is_saved_so_that_its_class_loads_it(tmp_path):
    stages.run(spec(tmp_path), Heard())
    loaded = toys.Line.load_from_checkpoint(tmp_path / "t" / "model.ckpt", weights_only=True)
    assert (loaded.lr, loaded.noise) == (0.1, 0.1)


def test_a_metric_that_is_not_finite_ends_the_trial_as_nan(tmp_path):
    outcome = stages.run(replace(spec(tmp_path), params={"model.lr": 1e12}), Heard())
    assert (outcome.state, outcome.failure.kind) == ("failed", "nan")


def test_training_without_an_end_is_refused(tmp_path):
    outcome = stages.run(spec(tmp_path, trainer={}), Heard())
    assert outcome.state == "broken"
    assert "give max_epochs or max_steps" in outcome.message


def test_seconds_end_a_training_that_has_no_other_end_and_are_what_it_reports(tmp_path):
    fidelity = Fidelity(unit="seconds", min=0.2, max=0.8)
    line = Heard()
    outcome = stages.run(spec(tmp_path, trainer={}, fidelity=fidelity), line)
    steps = [step for step, _ in line.reports]
    assert outcome.state == "done"
    assert steps == sorted(steps)
    assert steps[-1] > 0.2


def test_what_the_engine_sets_is_not_the_studys_to_set(tmp_path):
    outcome = stages.run(spec(tmp_path, trainer={"max_epochs": 1, "devices": 4}), Heard())
    assert (
        outcome.message
        == "trainer: devices is set by the engine; say what a trial needs in resources"
    )


def test_the_smoke_step_says_what_is_missing(tmp_path):
    outcome = stages.run(replace(spec(tmp_path), kind="smoke"), Heard())
    assert outcome.state == "done"
    assert outcome.result["missing"] == ""


def test_a_latency_is_kept_with_the_circumstances_of_its_measurement(tmp_path):
    objectives = toys.study(tmp_path, objectives={"latency_ms": {"goal": "minimize"}}).objectives
    outcome = stages.run(spec(tmp_path, objectives=objectives), Heard())
    kept = json.loads((tmp_path / "t" / "latency.json").read_text())
    assert kept["median_ms"] == outcome.metrics["latency_ms"] > 0
    assert {"iqr_ms", "batch", "device", "dtype", "threads"} <= kept.keys()


def test_a_fit_that_was_killed_after_its_last_epoch_keeps_its_metrics(tmp_path):
    uncut = stages.run(spec(tmp_path), Heard())
    manifest = tmp_path / "t" / "checkpoints" / "train" / "manifest.json"
    known = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(known | {"finished": None}))
    again = stages.run(replace(spec(tmp_path), attempt=1), Heard())
    assert again.metrics["val_loss"] == uncut.metrics["val_loss"]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (FloatingPointError("the loss is nan"), "nan"),
        (RuntimeError("Function 'SqrtBackward0' returned nan values in its 0th output."), "nan"),
        (ValueError("the batch is empty"), "user"),
    ],
)
def test_a_model_may_say_itself_that_a_number_is_not_finite(tmp_path, monkeypatch, error, kind):
    def fail(*_):
        raise error

    monkeypatch.setattr(toys.Line, "training_step", fail)
    assert stages.run(spec(tmp_path), Heard()).failure.kind == kind
