"""Gradient norms are logged once an optimizer step, whatever happens around it."""

import numpy as np
import pytest
import torch
from plugins.lr_refinement_toys import QUIET, Line, Pair, batches, fit
from pytorch_lightning.plugins import MixedPrecision

from automl import PluginError
from automl_lr_refinement import logger, norms
from automl_lr_refinement.follow import Follow
from automl_lr_refinement.schedules import linear

pytestmark = [pytest.mark.filterwarnings(f"ignore:{text}") for text in QUIET]


@pytest.fixture
def log(tmp_path):
    return logger.NormLogger(tmp_path / "norms.npz")


def logged(callback):
    return norms.load(callback.path)


def test_every_step_is_logged_as_the_optimizer_sees_it(log, tmp_path):
    model = Line()
    fit(model, tmp_path, log)
    (found,) = logged(log)
    np.testing.assert_allclose(np.c_[found.l1, found.l2], model.seen, rtol=1e-5)
    assert (found.steps, found.optimizer) == (10, "SGD")
    np.testing.assert_allclose(found.lr, 0.1)


def test_accumulation_logs_one_step_a_window_and_marks_the_short_one(log, tmp_path):
    fit(Line(), tmp_path, log, max_epochs=1, accumulate_grad_batches=2)
    (found,) = logged(log)
    np.testing.assert_allclose(found.window, [1, 1, 0.5])


def test_a_short_window_counts_as_if_it_were_full(log, tmp_path):
    fit(Line(), tmp_path, log, max_epochs=1, accumulate_grad_batches=3, data=batches(4))
    (found,) = logged(log)
    np.testing.assert_allclose(found.effective("l2"), found.l2 * [1, 3])


def test_norms_are_raw_and_clipping_is_applied_on_request(log, tmp_path):
    fit(Line(), tmp_path, log, gradient_clip_val=0.5, data=batches(scale=10.0))
    (found,) = logged(log)
    assert found.l2[0] > 5
    assert found.effective("l2").max() == pytest.approx(0.5)
    np.testing.assert_allclose(found.effective("l2", clipped=False), found.l2)
    ratio = found.effective("l1") / found.effective("l2")
    np.testing.assert_allclose(ratio, found.l1 / found.l2)


def test_clipping_by_value_is_recorded_and_left_out(log, tmp_path):
    fit(Line(), tmp_path, log, gradient_clip_val=0.01, gradient_clip_algorithm="value")
    (found,) = logged(log)
    assert found.clip == norms.Clip(0.01, "value")
    np.testing.assert_allclose(found.effective("l2"), found.l2)


def test_optimizers_stepped_by_hand_have_a_log_each(log, tmp_path):
    model = Pair()
    fit(model, tmp_path, log)
    for found in logged(log):
        want = [norm for name, norm in model.seen if name == found.optimizer]
        np.testing.assert_allclose(found.l2, want, rtol=1e-5)
    assert [found.steps for found in logged(log)] == [10, 6]


@pytest.mark.parametrize("fused", [False, True])
def test_mixed_precision_logs_unscaled_norms(log, tmp_path, fused):
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    precision = MixedPrecision("16-mixed", "cpu", scaler)
    torch.manual_seed(0)
    fit(Line(torch.optim.AdamW, fused=fused), tmp_path, log, plugins=[precision])
    torch.manual_seed(0)
    plain = Line(torch.optim.AdamW)
    fit(plain, tmp_path)
    np.testing.assert_allclose(logged(log)[0].l2, np.array(plain.seen)[:, 1], rtol=0.02)


def test_a_step_that_overflows_is_logged_as_not_finite(log, tmp_path):
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**40)
    precision = MixedPrecision("16-mixed", "cpu", scaler)
    fit(Line(), tmp_path, log, plugins=[precision], max_epochs=1)
    (found,) = logged(log)
    assert found.steps == 5
    assert not np.isfinite(found.l2[0])


def test_a_resumed_training_has_the_log_of_an_uncut_one(log, tmp_path):
    torch.manual_seed(0)
    fit(Line(), tmp_path, log, max_epochs=3)
    (whole,) = logged(log)
    torch.manual_seed(0)
    first = fit(Line(), tmp_path, logger.NormLogger(tmp_path / "a.npz"), max_epochs=2)
    first.save_checkpoint(tmp_path / "cut.ckpt")
    second = logger.NormLogger(tmp_path / "b.npz")
    fit(Line(), tmp_path, second, max_epochs=3, ckpt_path=tmp_path / "cut.ckpt")
    (resumed,) = logged(second)
    np.testing.assert_allclose(resumed.l1, whole.l1, rtol=1e-6)
    assert resumed.sha256() == whole.sha256()


def test_rates_that_are_tensors_are_logged_as_they_were(log, tmp_path):
    model = Line(torch.optim.Adam, lr=torch.tensor(0.1), foreach=False)
    fit(model, tmp_path, Follow([linear()]), log)
    np.testing.assert_allclose(logged(log)[0].lr[:, 0], 0.1 * (1 - np.arange(10) / 10), rtol=1e-5)


def test_logs_longer_than_a_chunk_are_whole(log, tmp_path):
    model = Line(lr=1e-3)
    fit(model, tmp_path, log, data=batches(2 * logger.CHUNK + 7, 1), max_epochs=1)
    np.testing.assert_allclose(logged(log)[0].l2, np.array(model.seen)[:, 1], rtol=1e-5)


def test_half_precision_gradients_do_not_overflow():
    grad = torch.full((100, 1000), 100.0, dtype=torch.float16)
    l1, l2 = logger.norms([grad, grad]).tolist()
    assert l1 == pytest.approx(2e7)
    assert l2 == pytest.approx(100 * np.sqrt(2e5))


def test_sparse_gradients_count_each_entry_once():
    embedding = torch.nn.Embedding(10, 3, sparse=True)
    embedding(torch.tensor([1, 1, 4])).sum().backward()
    found = logger.norms(logger.gradients(torch.optim.SGD(embedding.parameters())))
    assert found.tolist() == pytest.approx([9, np.sqrt(3 * 4 + 3)])


def test_an_optimizer_without_gradients_logs_no_number():
    assert logger.norms([]).isnan().all()


def test_a_log_is_read_as_it_was_written(tmp_path):
    value = np.arange(3, dtype=np.float64)
    log = norms.NormLog(value, value + 1, value + 2, np.c_[value, value], "AdamW", norms.Clip(1.0))
    norms.save(tmp_path / "n.npz", [log, log])
    found = norms.load(tmp_path / "n.npz")
    assert [one.sha256() for one in found] == [log.sha256()] * 2
    assert not (tmp_path / "n.part").exists()


def test_sharded_gradients_are_refused_in_words(log):
    class FSDPStrategy:
        pass

    class Trainer:
        strategy = FSDPStrategy()

    with pytest.raises(PluginError, match="FSDPStrategy keeps gradients in shards"):
        log.on_fit_start(Trainer(), None)
