"""The loop of a study, with jobs in the driver's own process."""

import errno
import json
import os
import threading

import optuna
import pytest
import toys

import automl
from automl import stages
from automl.archive import read_study
from automl.errors import AutomlError, StorageError, StudyError
from automl.testing.invariants import broken


def run(folder, plugin="Formula", **changes):
    return automl.run(toys.study(toys.beside(folder, plugin), **changes), here=folder)


def test_a_study_runs_as_many_trials_as_its_budget_says(tmp_path):
    assert [trial.number for trial in run(tmp_path).trials] == [0, 1, 2, 3, 4, 5]


def test_trial_0_is_the_default_point(tmp_path):
    first = run(tmp_path).trials[0]
    assert (first.origin, first.params) == ("default", {"model.x": 0.5})


def test_metrics_are_what_the_plugin_measured(tmp_path):
    for trial in run(tmp_path).trials:
        assert trial.metrics["near"] == pytest.approx(abs(trial.params["model.x"] - 0.3))


def test_enqueued_points_run_right_after_the_default_one(tmp_path):
    search = {"sampler": "random", "enqueue": ({"model.x": 0.9}, {"model.x": 0.1})}
    trials = run(tmp_path, search=search).trials
    assert [trial.params["model.x"] for trial in trials[:3]] == [0.5, 0.9, 0.1]


def test_running_a_finished_study_again_changes_nothing(tmp_path):
    first = run(tmp_path)
    assert run(tmp_path).trials == first.trials


def test_a_larger_budget_goes_on_where_the_smaller_one_ended(tmp_path):
    (tmp_path / "whole").mkdir()
    (tmp_path / "cut").mkdir()
    whole = run(tmp_path / "whole")
    run(tmp_path / "cut", budget={"trials": 2})
    again = run(tmp_path / "cut")
    assert [t.params for t in again.trials] == [t.params for t in whole.trials]
    assert read_study(again.folder).budget.trials == 6


def test_fresh_puts_the_earlier_run_aside(tmp_path):
    run(tmp_path, budget={"trials": 2})
    fresh = automl.run(toys.study(tmp_path, budget={"trials": 3}), here=tmp_path, fresh=True)
    assert len(fresh.trials) == 3
    assert len(list((tmp_path / "runs").iterdir())) == 2


def test_a_changed_space_is_refused_in_words(tmp_path):
    run(tmp_path)
    with pytest.raises(StudyError, match=r"space changed .* --fresh"):
        run(tmp_path, space={"model.x": {"float": [0, 2]}})


def test_every_trial_is_in_optunas_study(tmp_path):
    result = run(tmp_path)
    study = optuna.load_study(study_name="toy", storage=f"sqlite:///{result.folder}/study.db")
    assert [t.params for t in study.trials] == [t.params for t in result.trials]
    assert [t.values for t in study.trials] == [list(t.metrics.values())[:2] for t in result.trials]


def test_the_front_is_not_dominated(tmp_path):
    front = run(tmp_path, budget={"trials": 20}).front
    assert all(0.25 < point.params["model.x"] < 0.75 for point in front)


def test_further_points_are_trials_of_optuna_that_name_their_parent(tmp_path):
    result = run(tmp_path, "Curve", budget={"trials": 2})
    study = optuna.load_study(study_name="toy", storage=f"sqlite:///{result.folder}/study.db")
    children = [t.user_attrs for t in study.trials if "automl:point" in t.user_attrs]
    assert len(result.trials) == 2
    assert [one["automl:trial"] for one in children] == [0, 0, 0, 1, 1, 1]


def test_further_points_reach_the_front(tmp_path):
    result = run(tmp_path, "Curve", budget={"trials": 1})
    assert {point.name for point in result.front} == {"", "step=2", "step=3"}


def test_a_broken_trial_is_data_and_the_study_goes_on(tmp_path):
    changes = {"plugins": {"formula": {"path": "formula.py", "above": 0.6}}}
    trials = run(tmp_path, "Break", budget={"trials": 12}, **changes).trials
    failed = [trial for trial in trials if trial.state == "failed"]
    assert failed
    assert all(trial.params["model.x"] > 0.6 for trial in failed)
    assert "as told (in plugin formula" in failed[0].failure.message


ALLOCATION = "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (RuntimeError("CUDA error: out of memory"), "oom"),
        (RuntimeError(ALLOCATION), "oom"),
        (OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)), "oom"),
        (MemoryError(), "oom"),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "user"),
    ],
)
def test_what_libraries_and_the_system_say_of_memory_is_known(error, kind):
    assert stages.kind_of(error) == kind


def test_a_long_error_is_cut_before_secrets_are_looked_for(monkeypatch):
    monkeypatch.setenv("DB_PASSWORD", "s3cr3t")
    error = ValueError("s3cr3t" + "z" * 30_000_000 + "s3cr3t")
    found = []
    work = threading.Thread(target=lambda: found.append(stages.failure("user", error)), daemon=True)
    work.start()
    work.join(20)
    assert found
    assert len(found[0].message) == 1000
    assert "s3cr3t" not in found[0].message + found[0].traceback


def test_a_measure_that_is_no_number_is_named_with_its_plugin(tmp_path):
    with pytest.raises(AutomlError, match=r"'near' must be a number, got a NoneType \(in plugin"):
        run(tmp_path, "Wordless", budget={"trials": 1})


@pytest.mark.parametrize(("how", "kind"), [("raise", "user"), ("oom", "oom"), ("exit", "user")])
def test_failures_are_classified(tmp_path, how, kind):
    plugins = {"formula": {"path": "formula.py", "above": 0.6, "how": how}}
    trials = run(tmp_path, "Break", budget={"trials": 12}, plugins=plugins).trials
    assert {trial.failure.kind for trial in trials if trial.state == "failed"} == {kind}


def test_a_study_whose_trials_all_fail_fails(tmp_path):
    plugins = {"formula": {"path": "formula.py", "above": -1.0}}
    with pytest.raises(
        AutomlError, match="all 3 trials failed, the last with RuntimeError: as told"
    ):
        run(tmp_path, "Break", budget={"trials": 3}, plugins=plugins)


def test_too_many_failures_in_a_row_end_the_study(tmp_path):
    plugins = {"formula": {"path": "formula.py", "above": -1.0}}
    with pytest.raises(AutomlError, match="2 trials failed in a row"):
        run(tmp_path, "Break", plugins=plugins, on_failure={"give_up_after": 2})


def test_a_retry_runs_the_same_parameters_again_as_another_attempt(tmp_path):
    plugins = {"formula": {"path": "formula.py", "above": -1.0, "times": 1}}
    policies = {"user": {"retry": 2}}
    trials = run(
        tmp_path, "Break", budget={"trials": 2}, plugins=plugins, on_failure=policies
    ).trials
    assert [trial.state for trial in trials] == ["done", "done"]
    assert [[a.outcome for a in trial.attempts] for trial in trials] == [["user", "done"]] * 2


def test_an_objective_that_nothing_logs_ends_the_study_and_lists_what_there_is(tmp_path):
    with pytest.raises(AutomlError, match="no metric 'neer'.*there are: far, near"):
        run(tmp_path, objectives={"neer": {"goal": "minimize"}})


def test_a_forbidden_point_is_never_started(tmp_path):
    trials = run(tmp_path, forbid=("model.x > 0.6",), budget={"trials": 15}).trials
    assert all(trial.params["model.x"] <= 0.6 for trial in trials)


def test_a_second_driver_is_refused_with_the_process_of_the_first(tmp_path):
    from automl.launch import locked

    home = tmp_path / "runs" / "toy"
    home.mkdir(parents=True)
    with locked(home), pytest.raises(StorageError, match=r"running already: process \d+ on"):
        run(tmp_path)


def test_the_resolved_study_reads_back_and_holds_the_defaults_of_the_class(tmp_path):
    from automl.studyfile import read

    result = run(tmp_path, space={"model.n": {"int": [1, 9]}, "model.x": {"float": [0, 1]}})
    study = read(result.folder / "study.yaml").study
    assert study.space["model.n"].default == 3


def test_two_plugins_compose_in_both_orders(tmp_path):
    toys.beside(tmp_path, "Curve", "curve.py")
    orders = [("formula", "curve"), ("curve", "formula")]
    for first, second in orders:
        plugins = {name: {"path": f"{name}.py"} for name in (first, second)}
        result = run(tmp_path, name=f"{first}-first", plugins=plugins, budget={"trials": 2})
        assert [len(trial.points) for trial in result.trials] == [3, 3]


def test_constraints_keep_infeasible_points_off_the_front(tmp_path):
    result = run(tmp_path, constraints={"near": {"max": 0.05}}, budget={"trials": 15})
    assert all(point.metrics["near"] <= 0.05 for point in result.front)


def test_the_result_is_a_table_and_shows_itself_in_a_notebook(tmp_path):
    result = run(tmp_path)
    assert len(result.frame()) == 6
    assert "<table" in result._repr_html_()
    assert repr(result).startswith("<Result toy: 6 trials")


def test_a_result_is_read_again_without_running_anything(tmp_path):
    result = run(tmp_path)
    again = automl.Result.of(result.folder)
    assert again.trials == result.trials
    assert again.hypervolume == result.hypervolume


def test_a_result_of_what_never_ran_is_refused(tmp_path):
    with pytest.raises(AutomlError, match="nowhere"):
        automl.Result.of(tmp_path / "nowhere")


def test_a_single_objective_study_runs(tmp_path):
    result = run(tmp_path, objectives={"near": {"goal": "minimize", "ref": 1.0}})
    assert len(result.front) == 1


def test_the_record_holds_every_report_and_outcome_as_json(tmp_path):
    import sqlite3

    result = run(tmp_path, budget={"trials": 1})
    rows = sqlite3.connect(result.folder / "study.db").execute("select outcome from automl_trial")
    assert json.loads(rows.fetchone()[0])["metrics"] == dict(result.trials[0].metrics)


def test_the_next_point_is_asked_for_while_devices_are_busy_and_none_is_left_over(tmp_path):
    folder = toys.beside(tmp_path, "Slow")
    study = toys.study(folder, engine="local", resources={"parallel": 2}, budget={"trials": 5})
    result = automl.run(study, here=folder)
    assert [trial.state for trial in result.trials] == ["done"] * 5
    storage = f"sqlite:///{result.folder / 'study.db'}"
    told = optuna.load_study(study_name="toy", storage=storage).get_trials()
    assert told[2].datetime_start < min(told[0].datetime_complete, told[1].datetime_complete)
    assert {trial.state.name for trial in told} <= {"COMPLETE", "FAIL"}
    assert broken(result.folder, budget=5) == []
