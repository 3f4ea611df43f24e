"""Rules of stopping as a study names them, and the grace that plugins ask for."""

import math
import sqlite3
from contextlib import closing

import toys

import automl
from automl.archive import open_study
from automl.rungs import Decision


class Counting:
    """Stops every trial at its third step; once it was told nine times, at the first."""

    def __init__(self):
        self.told = 0

    def report(self, trial, step, metrics):
        self.told += 1
        return Decision(trial, step, goes_on=step < 3 and self.told <= 9)


class Steps(toys.Formula):
    """Reports nine steps, and asks for a grace of five where the study says `patient`."""

    @automl.hookimpl
    def grace(self, study):
        return {"patient": 5.0, "endless": math.inf}.get(study.name, 0.0)

    @automl.hookimpl
    def train(self, job):
        for step in range(1, 10):
            job.report(step, **self.measure(job))
            if job.stopped:
                break
        return True


def run(folder, name, trials=3, **fidelity):
    toys.beside(folder, "test_halting.Steps")
    fidelity = {"unit": "step", "max": 9} | fidelity
    points = [{"model.x": 1.0}] * 8
    asked = toys.study(
        folder,
        name=name,
        fidelity=fidelity,
        budget={"trials": trials},
        search={"sampler": "random", "enqueue": points},
    )
    return automl.run(asked, here=folder)


def lengths(result):
    return [len(trial.reports) for trial in result.trials]


def test_a_rule_of_ones_own_is_not_heard_within_the_grace_of_a_plugin(tmp_path):
    own = {"class_path": "test_halting.Counting"}
    assert lengths(run(tmp_path, "hasty", stop=own)) == [3, 3, 3]
    assert lengths(run(tmp_path, "patient", stop=own)) == [5, 5, 5]


def test_a_rule_of_ones_own_is_told_again_what_came_before_a_restart(tmp_path):
    own = {"class_path": "test_halting.Counting"}
    assert lengths(run(tmp_path, "cut", stop=own)) == [3, 3, 3]
    assert lengths(run(tmp_path, "cut", trials=4, stop=own)) == [3, 3, 3, 1]


def test_a_trial_that_was_stopped_as_the_driver_died_is_stopped_after_the_restart(tmp_path):
    result = run(tmp_path, "killed")
    assert lengths(result) == [9, 1, 1]
    with closing(sqlite3.connect(result.folder / "study.db")) as database, database:
        database.execute("update automl_trial set state='running', outcome=null where number=1")
        database.execute("update automl_attempt set ended=null, outcome='' where trial=1")
    after = run(tmp_path, "killed")
    assert after.trials[1].state == "stopped"
    assert [report.step for report in after.trials[1].reports] == [1, 1]


def test_the_report_says_before_when_no_trial_may_be_stopped(tmp_path):
    said = run(tmp_path, "patient").report().read_text(encoding="utf-8")
    assert "A plugin lets no trial be stopped before 5 steps." in said
    said = run(tmp_path, "endless").report().read_text(encoding="utf-8")
    assert "A plugin lets no trial be stopped: what it does shows at the end alone." in said
    assert "A plugin lets" not in run(tmp_path, "hasty").report().read_text(encoding="utf-8")


def test_the_grace_of_a_plugin_moves_the_first_decision(tmp_path):
    hasty, patient = run(tmp_path, "hasty"), run(tmp_path, "patient")
    assert lengths(hasty) == [9, 1, 1]
    assert lengths(patient) == [9, 5, 5]
    assert [trial.state for trial in open_study(str(patient.folder)).history().trials] == [
        "done",
        "stopped",
        "stopped",
    ]
