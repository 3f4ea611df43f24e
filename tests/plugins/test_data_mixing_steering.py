"""Steering a Lightning fit: one mixture an epoch, exact through a SIGKILL, replayed by a record."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from automl_data_mixing.evaluation import Evaluator, row_losses
from automl_data_mixing.loader import pair, stock_of
from automl_data_mixing.policies import Schedule, Static
from automl_data_mixing.steering import replay
from plugins import data_mixing_drill as drill

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec.*"),
    pytest.mark.filterwarnings("ignore:.*log_every_n_steps.*:UserWarning"),
]


def logged(folder, rank=0):
    return (folder / f"log.{rank}").read_text().splitlines()


def replayed(record, rank=0, world=1):
    """Return the digest of each batch of a record, or of a process's part of it."""
    rows = drill.corpus()
    parts = [
        [rows.training[k][i] for k, i in list(zip(domains, indices, strict=True))[rank::world]]
        for domains, indices in replay(record, stock_of(rows, 8, record["seed"]))
    ]
    return [hashlib.sha256(pair(np.stack(p))[0].numpy().tobytes()).hexdigest() for p in parts]


def test_each_epoch_has_its_mixture(tmp_path):
    _, steering = drill.train(tmp_path, Schedule(1.0, 0.0, "step"))
    assert steering.course.done
    shares = np.array(steering.course.weights)[:, 2]
    assert shares.tolist() == [1, 1, 1, 0, 0, 0]
    assert len(logged(tmp_path)) == drill.STEPS * drill.REWEIGHTS


def test_what_is_trained_on_is_what_the_mixture_says(tmp_path):
    _, steering = drill.train(tmp_path, Static(1.0))
    counts = json.loads((tmp_path / "mixing.json").read_text())["counts"]
    assert counts == [0, 0, drill.STEPS * drill.REWEIGHTS * 8]
    assert steering.course.gain() < 0


@pytest.mark.slow
def test_a_run_that_is_killed_twice_ends_like_an_uncut_one(tmp_path):
    for name, ends in {"whole": [-1], "killed": [12, 23, -1]}.items():
        folder = tmp_path / name
        folder.mkdir()
        assert [run(folder, end) for end in ends] == [-signal.SIGKILL] * (len(ends) - 1) + [0]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert len(logged(whole)) == drill.STEPS * drill.REWEIGHTS
    assert len(logged(killed)) > len(logged(whole))  # some steps were done again
    assert set(logged(killed)) == set(logged(whole))
    first, second = (torch.load(f / "weights.pt", weights_only=True) for f in (whole, killed))
    assert all(torch.equal(first[name], second[name]) for name in first)
    records = [json.loads((f / "mixing.json").read_text()) for f in (whole, killed)]
    assert [records[0][n] for n in ("weights", "losses", "counts")] == [
        records[1][n] for n in ("weights", "losses", "counts")
    ]


def run(folder, end):
    """Train in a process that kills itself at step `end`; returns its exit code."""
    path = Path(drill.__file__)
    return subprocess.run(
        [sys.executable, str(path), str(folder), str(end)],
        check=False,
        capture_output=True,
        env=dict(os.environ),
    ).returncode


def test_a_record_replays_every_batch(tmp_path):
    drill.train(tmp_path)
    record = json.loads((tmp_path / "mixing.json").read_text())
    assert replayed(record) == [line.split()[1] for line in logged(tmp_path)]


@pytest.mark.slow
@pytest.mark.parametrize("world", [2, 4])
def test_processes_share_the_rows_and_mixtures_of_one_alone(tmp_path, world):
    (tmp_path / "together").mkdir()
    alone, steering = drill.train(tmp_path)
    model, _ = drill.train(tmp_path / "together", devices=world, strategy="ddp_fork")
    record = json.loads((tmp_path / "together" / "mixing.json").read_text())
    # gradients are summed in another order, so that what follows from losses differs in rounding
    np.testing.assert_allclose(record["weights"], steering.course.weights, atol=1e-4)
    whole = json.loads((tmp_path / "mixing.json").read_text())
    assert record["counts"] == whole["counts"]
    for rank in range(world):
        seen = [line.split()[1] for line in logged(tmp_path / "together", rank)]
        assert seen == replayed(whole, rank, world)
    for one, other in zip(alone.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-3, rtol=1e-3)


def test_a_record_of_other_rows_is_not_replayed(tmp_path):
    drill.train(tmp_path, epochs=1)
    record = json.loads((tmp_path / "mixing.json").read_text())
    stock = stock_of(drill.corpus(), 8, 1)
    record["manifest"] = "0" * 64
    with pytest.raises(ValueError, match="made with rows 000000000000"):
        next(replay(record, stock))


def test_an_evaluation_leaves_the_model_in_its_mode_and_counts_each_domain():
    rows = drill.corpus()
    model = drill.Logged("unused").train()
    losses = Evaluator(rows, 8)(model)
    assert model.training
    for k, held in enumerate(rows.held):
        tokens, targets = pair(held)
        alone = row_losses(model, tokens, targets).detach().mean()
        assert losses[k] == pytest.approx(float(alone))


def test_losses_are_in_nats_a_byte_whatever_the_tokens():
    rows = drill.corpus()
    wide = rows.__class__(
        rows.entries, rows.training, tuple(part.astype(np.int32) for part in rows.held)
    )
    model = drill.Logged("unused")
    # 8 rows of 8 tokens stand for the 64 bytes that the manifest says
    assert Evaluator(wide, 8)(model) == pytest.approx(Evaluator(rows, 8)(model))


def test_a_model_may_hold_its_logits():
    class Output:
        def __init__(self, logits):
            self.logits = logits

    class Model(torch.nn.Module):
        def forward(self, tokens):
            return Output(torch.zeros(*tokens.shape, 256))

    tokens = torch.zeros(2, 5, dtype=torch.long)
    assert row_losses(Model(), tokens, tokens).tolist() == pytest.approx([np.log(256)] * 2)
