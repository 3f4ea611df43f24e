"""Fits that are cut in the middle of an epoch go on to what the uncut fit would have been."""

import json
import os
import signal
from dataclasses import replace

import feeds
import pytest
import torch
from feeds import Drawing
from test_training import Heard, spec, weights

from automl import saving, stages
from automl.study import Component


def trained(folder, model="Drawing", kind="noisy", line=None, attempt=0, **trainer):
    one = spec(
        folder,
        model=Component(class_path=f"feeds.{model}"),
        data=Component(class_path="feeds.Fed", init_args={"kind": kind}),
        trainer={"max_epochs": 3} | trainer,
    )
    return stages.run(replace(one, attempt=attempt), line or Heard())


def passing(monkeypatch, at, then, model=Drawing, name="passed"):
    """Have something happen in the step `at` of all steps from now on."""
    seen = iter(range(1, 1000))
    before = getattr(model, name)

    def passed(self, index):
        before(self, index)
        if next(seen) == at:
            then()

    monkeypatch.setattr(model, name, passed)


def killed(folder, at, **options):
    """Train, saving whenever possible, until the process kills itself in batch `at` of them all."""
    pid = os.fork()
    if pid == 0:
        with pytest.MonkeyPatch.context() as patch:
            model = getattr(feeds, options.get("model", "Drawing"))
            passing(patch, at, lambda: os.kill(os.getpid(), signal.SIGKILL), model)
            patch.setattr(saving.Saver, "_due", lambda _: True)
            trained(folder, **options)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


def saved(folder):
    """Return the last step that a checkpoint was written at."""
    manifest = json.loads((folder / "t" / "checkpoints" / "train" / "manifest.json").read_text())
    return int(manifest["files"][-1]["name"].removeprefix("step=").removesuffix(".ckpt"))


def same(folder, uncut, resumed):
    names = ["val_loss", "mean_epoch", "most", "gathered"]
    assert [resumed.metrics[n] for n in names] == [uncut.metrics[n] for n in names]
    whole, cut = weights(folder / "whole"), weights(folder / "cut")
    assert all(torch.equal(whole[name], value) for name, value in cut.items())


@pytest.mark.parametrize("at", [3, 7, 10])
@pytest.mark.parametrize("kind", ["noisy", "own", "workers", "stream", "placed"])
def test_a_fit_killed_within_an_epoch_goes_on_bit_for_bit(tmp_path, kind, at):
    uncut = trained(tmp_path / "whole", kind=kind)
    killed(tmp_path / "cut", at, kind=kind)
    assert saved(tmp_path / "cut") == at - 1
    same(tmp_path, uncut, trained(tmp_path / "cut", kind=kind, attempt=1))


def test_a_fit_killed_twice_in_one_epoch_goes_on_bit_for_bit(tmp_path):
    uncut = trained(tmp_path / "whole")
    killed(tmp_path / "cut", 6)
    killed(tmp_path / "cut", 2, attempt=1)
    assert saved(tmp_path / "cut") == 6
    same(tmp_path, uncut, trained(tmp_path / "cut", attempt=2))


def test_nothing_is_saved_between_two_optimizer_steps(tmp_path):
    options = {"accumulate_grad_batches": 3}
    uncut = trained(tmp_path / "whole", **options)
    killed(tmp_path / "cut", 7, **options)  # the third batch of the second epoch
    assert saved(tmp_path / "cut") == 2
    same(tmp_path, uncut, trained(tmp_path / "cut", attempt=1, **options))


def test_nothing_is_saved_where_a_validation_is_due(tmp_path):
    options = {"val_check_interval": 2}
    uncut = trained(tmp_path / "whole", **options)
    killed(tmp_path / "cut", 7, **options)  # right after a validation
    assert saved(tmp_path / "cut") == 5
    same(tmp_path, uncut, trained(tmp_path / "cut", attempt=1, **options))


def test_a_model_that_keeps_things_through_an_epoch_is_saved_at_its_end_only(tmp_path):
    uncut = trained(tmp_path / "whole", "Keeping")
    killed(tmp_path / "cut", 7, model="Keeping")
    assert saved(tmp_path / "cut") == 4
    resumed = trained(tmp_path / "cut", "Keeping", attempt=1)
    assert resumed.metrics["seen"] == uncut.metrics["seen"] == 4
    same(tmp_path, uncut, resumed)


@pytest.mark.parametrize(("where", "kept"), [("begun", True), ("passed", False)])
def test_an_exception_loses_no_step_unless_it_has_changed_something(
    tmp_path, monkeypatch, where, kept
):
    uncut = trained(tmp_path / "whole")
    with monkeypatch.context() as patch:
        passing(patch, 7, lambda: 1 / 0, name=where)
        assert trained(tmp_path / "cut").failure.kind == "user"
    assert (tmp_path / "cut" / "t" / "checkpoints" / "train" / "step=6.ckpt").exists() == kept
    same(tmp_path, uncut, trained(tmp_path / "cut", attempt=1))


def test_sigterm_saves_after_the_step_and_is_a_crash(tmp_path, monkeypatch):
    uncut = trained(tmp_path / "whole")
    with monkeypatch.context() as patch:
        passing(patch, 7, lambda: os.kill(os.getpid(), signal.SIGTERM))
        assert trained(tmp_path / "cut").failure.kind == "crash"
    assert saved(tmp_path / "cut") == 7
    same(tmp_path, uncut, trained(tmp_path / "cut", attempt=1))


def test_a_fit_that_is_asked_to_stop_within_an_epoch_saves_and_reports_no_half_epoch(
    tmp_path, monkeypatch
):
    uncut = trained(tmp_path / "whole")
    line = Heard()
    with monkeypatch.context() as patch:
        passing(patch, 6, lambda: setattr(line, "most", 0))
        assert trained(tmp_path / "cut", line=line).state == "stopped"
    assert [step for step, _ in line.reports if step] == [1]
    assert saved(tmp_path / "cut") == 6
    same(tmp_path, uncut, trained(tmp_path / "cut", attempt=1))


@pytest.mark.parametrize("epochs", [1, 2])
def test_the_text_comes_in_the_same_order_after_a_cut(tmp_path, epochs):
    parts = {
        "model": Component(class_path="automl.zoo.TinyGPT", init_args={"width": 8, "heads": 1}),
        "data": Component(class_path="automl.zoo.Text", init_args={"limit": 20_000}),
        "trainer": {"max_epochs": 3},
    }
    whole, cut = spec(tmp_path / "whole", **parts), spec(tmp_path / "cut", **parts)
    uncut = stages.run(whole, Heard())
    assert stages.run(cut, Heard(epochs)).state == "stopped"
    resumed = stages.run(replace(cut, attempt=1), Heard())
    assert resumed.metrics["val_loss"] == uncut.metrics["val_loss"]
