"""Schedules as tables and as torch schedulers."""

import io
import math

import numpy as np
import pytest
import torch

from automl_lr_refinement import refine
from automl_lr_refinement import schedules as s
from automl_lr_refinement.table import TableLR

FORMS = {
    "constant": (s.constant(), lambda x: 1.0),
    "linear": (s.linear(), lambda x: 1 - x),
    "cosine": (s.cosine(), lambda x: (1 + math.cos(math.pi * x)) / 2),
    "wsd": (s.wsd(0.1, 0.25), lambda x: min(x / 0.1, 1, (1 - x) / 0.25)),
    "warm": (s.linear(0.25), lambda x: min(x / 0.25, (1 - x) / 0.75)),
}


def optimizer(*rates):
    groups = [{"params": [torch.nn.Parameter(torch.ones(1))], "lr": rate} for rate in rates]
    return torch.optim.SGD(groups)


def rates_of(scheduler, steps):
    """The learning rates that training sees."""
    seen = []
    for _ in range(steps):
        seen.append([group["lr"] for group in scheduler.optimizer.param_groups])
        scheduler.optimizer.step()
        scheduler.step()
    return seen


@pytest.mark.parametrize("name", FORMS)
def test_an_analytic_shape_is_its_formula(name):
    schedule, formula = FORMS[name]
    want = [formula(t / 40) for t in range(40)]
    np.testing.assert_allclose(schedule.multipliers(40), want, atol=1e-3)
    assert max(schedule.table) == 1


def test_a_step_schedule_falls_at_its_milestones():
    found = s.step((0.5, 0.75), 0.1).multipliers(8)
    np.testing.assert_allclose(found, [1] * 4 + [0.1] * 2 + [0.01] * 2)


def test_constant_norms_train_with_linear_decay_and_waste_no_step():
    line = s.from_multipliers(refine.schedule(np.ones(100), 2), "refined", {})
    np.testing.assert_allclose(line.multipliers(50), 1 - np.arange(50) / 50)


@pytest.mark.parametrize("steps", [7, 100, 12_345])
def test_a_schedule_keeps_its_shape_at_another_length(steps):
    found = s.wsd().resample(501).multipliers(steps)
    want = [s.wsd().at(t / steps) for t in range(steps)]
    np.testing.assert_allclose(found, want, atol=5e-3)


def test_a_long_run_gives_a_table_of_limited_size():
    found = s.from_multipliers(refine.linear(100_000), "refined", {})
    assert len(found.table) == s.KNOTS
    assert found.at(0.25) == pytest.approx(0.75)


def test_a_schedule_is_read_as_it_was_written(tmp_path):
    schedule = s.Schedule((0.0, 1.0, 0.25), "refined", {"tau": 0.1, "parent": {"sha256": "ab"}})
    schedule.write(tmp_path / "deep" / "schedule.json")
    assert s.Schedule.read(tmp_path / "deep" / "schedule.json") == schedule


def test_a_file_of_another_schema_is_refused(tmp_path):
    path = tmp_path / "schedule.json"
    s.linear().write(path)
    path.write_text(path.read_text().replace('"schema": 1', '"schema": 7'))
    with pytest.raises(ValueError, match="expected schema 1, got 7"):
        s.Schedule.read(path)


@pytest.mark.parametrize("table", [(1.0,), (0.0, 0.0), (0.5, 1.5), (-0.1, 1.0), (math.nan, 1.0)])
def test_a_table_that_is_no_schedule_is_refused(table):
    with pytest.raises(ValueError, match=r"2 values|in \[0, 1\]"):
        s.Schedule(table, "bad")


@pytest.mark.parametrize("warmup", [-0.1, 1.0])
def test_a_warm_up_outside_of_training_is_refused(warmup):
    with pytest.raises(ValueError, match="warmup: must be in"):
        s.constant(warmup)


def test_a_plateau_needs_room_before_its_decay():
    with pytest.raises(ValueError, match="decaying"):
        s.wsd(0.5, 0.6)


@pytest.mark.parametrize(("power", "warmup"), [(1.0, 0.2), (2.5, 0.0), (0.5, 0.4)])
def test_a_label_names_the_warm_up_and_the_power_of_the_decay(power, warmup):
    x = np.linspace(0, 1, 1001)
    rising = x / warmup if warmup else np.ones_like(x)
    values = np.where(x < warmup, rising, np.clip((1 - x) / (1 - warmup), 0, 1) ** power)
    assert s.describe(values) == f"warm-up {warmup:.0%}, power {power}"


def test_the_scheduler_multiplies_the_rate_of_every_group():
    seen = rates_of(TableLR(optimizer(0.1, 2.0), s.linear(), 4), 5)
    np.testing.assert_allclose(seen, np.outer([1, 0.75, 0.5, 0.25, 0], [0.1, 2.0]), atol=1e-12)


def test_a_resumed_scheduler_goes_on_exactly():
    whole = rates_of(TableLR(optimizer(0.1, 2.0), s.cosine(0.1), 10), 10)
    first = TableLR(optimizer(0.1, 2.0), s.cosine(0.1), 10)
    begun = rates_of(first, 4)
    file = io.BytesIO()
    torch.save({"s": first.state_dict(), "o": first.optimizer.state_dict()}, file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    second = TableLR(optimizer(0.1, 2.0), s.linear(), 3)
    second.optimizer.load_state_dict(saved["o"])
    second.load_state_dict(saved["s"])
    assert begun + rates_of(second, 6) == whole


def test_the_scheduler_moves_to_any_step_also_where_rates_are_tensors():
    moved = TableLR(optimizer(0.1), s.linear(), 10)
    moved.move(4)
    assert moved.get_last_lr() == [pytest.approx(0.06)]
    tensor = torch.tensor(0.1)
    moved = TableLR(optimizer(tensor), s.linear(), 10)
    moved.move(5)
    assert tensor.item() == pytest.approx(0.05)


def test_a_training_without_steps_has_no_scheduler():
    with pytest.raises(ValueError, match="got 0"):
        TableLR(optimizer(0.1), s.linear(), 0)
