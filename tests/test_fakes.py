"""The fake engine: the real loop on recorded curves and a simulated clock."""

import pytest
import toys

from automl.studyfile import of
from automl.testing.fakes import FakeEngine, curves, simulate

CURVES = curves()


def file(folder, **changes):
    given = {
        "plugins": {},
        "objectives": {
            "val_accuracy": {"goal": "maximize", "ref": 0.0},
            "parameters": {"goal": "minimize", "ref": 20000},
        },
        "budget": {"trials": 24},
    }
    return of(toys.study(folder, **given | changes), folder)


def play(spec):
    return CURVES[spec.number % len(CURVES)].told()


def test_recorded_curves_are_real_trainings():
    assert len(CURVES) == 24
    assert all(len(curve.val_accuracy) == len(curve.seconds) == 8 for curve in CURVES)
    assert max(curve.val_accuracy[-1] for curve in CURVES) > 0.97


def test_a_study_runs_on_a_fake_engine_as_on_a_real_one(tmp_path):
    history = simulate(file(tmp_path), FakeEngine(play))
    last = [curve.val_accuracy[-1] for curve in CURVES]
    assert [trial.metrics["val_accuracy"] for trial in history.trials] == last


def test_more_slots_take_less_simulated_time(tmp_path):
    times = []
    for slots in (1, 4):
        engine = FakeEngine(play, slots)
        simulate(file(tmp_path, name=f"slots-{slots}"), engine)
        times.append(engine.now)
    total = sum(curve.seconds[-1] for curve in CURVES)
    assert times[0] == pytest.approx(total)
    assert total / 4 <= times[1] < total / 3


def test_a_lost_worker_costs_one_attempt_and_nothing_else(tmp_path):
    history = simulate(file(tmp_path), FakeEngine(play, lost=frozenset({(3, 0), (7, 0)})))
    outcomes = [[attempt.outcome for attempt in trial.attempts] for trial in history.trials]
    assert outcomes[3] == outcomes[7] == ["lost", "done"]
    assert sum(len(one) for one in outcomes) == 26


def test_early_stopping_saves_epochs_of_recorded_curves(tmp_path):
    fidelity = {"unit": "epoch", "min": 2, "max": 8, "eta": 2}
    history = simulate(file(tmp_path, fidelity=fidelity), FakeEngine(play))
    states = [trial.state for trial in history.trials]
    assert 5 < states.count("stopped") < 24
    epochs = sum(max(report.step for report in trial.reports) for trial in history.trials)
    assert epochs < 0.8 * 24 * 8
