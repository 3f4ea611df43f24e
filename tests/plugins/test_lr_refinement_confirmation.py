"""Fresh seeds decide which schedule is exported."""

import numpy as np
import pytest
import torch
from plugins.lr_refinement_toys import QUIET, exported, study, trial

import automl
from automl.export import export
from automl_lr_refinement import confirmation, norms, schedules, verdict
from automl_lr_refinement.table import TableLR

pytestmark = [pytest.mark.filterwarnings(f"ignore:{text}") for text in QUIET]


def compared(folder):
    return verdict.read(folder / "0" / "lr_refinement" / "confirm.json")


@pytest.fixture(scope="module")
def confirmed(tmp_path_factory):
    """The folder of a trial whose schedule was compared."""
    folder = tmp_path_factory.mktemp("confirmed")
    trial(folder, shape="refined", confirm=3, fallback=False)
    return folder


def test_a_confirmed_verdict_decides_what_is_exported(confirmed):
    found = compared(confirmed)
    assert len(set(found.linear)) == 3
    assert exported(confirmed).label.startswith("refined") == (found.case() == "better")
    assert exported(confirmed).provenance["confirmation"] == found.text()


def test_a_schedule_that_beats_linear_decay_is_exported_with_its_peak(tmp_path):
    # a control of a tiny peak learns nothing
    trial(tmp_path, shape="refined", confirm=3, fallback=False, control_peak=1e-4)
    found = compared(tmp_path)
    assert found.case() == "better"
    assert exported(tmp_path).label.startswith("refined")
    peak = exported(tmp_path).provenance["peak"]
    assert peak["factor"] == found.peak
    assert peak["lr"] == pytest.approx([0.1 * found.peak], rel=1e-3)


@pytest.mark.slow
def test_each_of_the_two_has_its_own_best_peak_in_a_comparison(tmp_path):
    trial(tmp_path, shape="refined", confirm=3, fallback=False, peak=1 / 64, control_warmup=0.3)
    found = compared(tmp_path)
    assert found.peak > 1 / 64
    assert found.control_peak > 1 / 64
    assert {len(values) for values in found.tried["refined"].values()} == {2}
    assert {len(values) for values in found.tried["linear"].values()} == {3}
    folder = tmp_path / "0" / "lr_refinement"
    (log,) = norms.load(folder / f"confirm-3-linear-{found.control_peak:.4g}.npz")
    np.testing.assert_allclose(log.lr[[0, 12], 0], [0, 0.1 * found.control_peak], rtol=1e-2)
    assert "a warm-up of 30%" in found.text()


def test_seeds_that_choose_the_peak_of_refined_judge_nothing(confirmed):
    found = compared(confirmed)
    assert not set(found.tried["refined"][found.peak]) & set(found.refined)


def test_a_degenerate_schedule_is_not_compared_with_itself(tmp_path):
    trial(tmp_path, shape="refined", confirm=3)
    assert not (tmp_path / "0" / "lr_refinement" / "confirm.json").exists()
    assert exported(tmp_path).provenance["confirmation"] == "refined is linear decay"


def test_a_refined_schedule_that_nothing_confirmed_is_not_exported(tmp_path):
    trial(tmp_path, shape="refined", fallback=False)
    assert exported(tmp_path).label == "linear"


def test_an_exported_point_has_the_schedule_to_use_again(tmp_path):
    asked = {"folder": str(tmp_path), "engine": "inline"}
    ended = automl.run(study(shape="cosine").model_copy(update=asked))
    export(ended.history, "0", tmp_path / "best")
    schedule = schedules.Schedule.read(tmp_path / "best" / "schedule.json")
    (rate,) = schedule.provenance["peak"]["lr"]
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=rate)
    scheduler = TableLR(optimizer, schedule, steps=100)
    for _ in range(50):
        optimizer.step()
        scheduler.step()
    assert scheduler.get_last_lr() == [pytest.approx(schedule.at(0.5) * rate)]
    assert (schedule.label, rate) == ("cosine, warm-up 5%", pytest.approx(0.1))


def test_every_optimizer_has_a_file_of_its_own(tmp_path):
    trial(tmp_path, model="Pair", shape="cosine", warmup=0.0)
    rates = []
    for number in range(2):
        path = tmp_path / "0" / schedules.file_name(number)
        facts = schedules.Schedule.read(path).provenance
        rates.append((facts["optimizer"], *facts["peak"]["lr"]))
    assert rates == [("SGD", pytest.approx(0.1)), ("AdamW", pytest.approx(0.01))]


@pytest.mark.parametrize(
    ("found", "want"),
    [
        ({}, 1.0),
        ({1.0: (3,)}, 0.5),
        ({1.0: (3,), 0.5: (4,), 2.0: (5,)}, None),
        ({1.0: (3,), 0.5: (2,), 2.0: (5,)}, 0.25),
        ({1.0: (3,), 0.5: (4,), 2.0: (1,)}, 4.0),
        ({1.0: (3,), 0.5: (float("nan"),), 2.0: (5,)}, None),
        ({2.0**n: (9 - n,) for n in range(7)}, None),
    ],
)
def test_peaks_are_tried_until_the_best_is_between_others(found, want):
    assert confirmation.next_peak(1.0, None, found, "minimize") == want


def test_a_peak_that_the_study_names_is_the_only_one():
    assert confirmation.next_peak(1.0, 8.0, {}, "minimize") == 8
    assert confirmation.next_peak(1.0, 8.0, {8.0: (1.0,)}, "minimize") is None
