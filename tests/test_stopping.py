"""What a report says of early stopping, and how it is read back from a record."""

from pathlib import Path

import pytest
from histories import study

from automl.history import Attempt, History, Report, Trial
from automl.rungs import Rungs
from automl.sections import Figure, Table, Text
from automl.space import Space
from automl.stopping import arrivals, replay, section

CURVES = [[0.5, 0.6, 0.7, 0.9], [0.2], [0.6, 0.7, 0.8, 0.95], [0.1]]  # each epoch of each trial


def attempt(started):
    return Attempt(0, started, started + 10, (), "host", "done")


def trial(number, curve, *, whole=4):
    """A trial that began `number` seconds after the first, and reported once a second."""
    reports = (
        Report(0, 0.5, {"parameters": 10.0 + number}),
        *(Report(epoch, epoch, {"val_accuracy": value}) for epoch, value in enumerate(curve, 1)),
    )
    done = len(curve) == whole
    return Trial(
        number,
        "done" if done else "stopped",
        {},
        "random",
        0,
        Path(),
        metrics={"val_accuracy": curve[-1], "parameters": 10.0 + number} if done else {},
        reports=reports,
        attempts=(attempt(float(number)),),
    )


def history(curves=CURVES, **fidelity):
    made = study(fidelity={"unit": "epoch", "min": 1, "max": 4, "eta": 2} | fidelity)
    return History(made, Space({}), tuple(trial(*one) for one in enumerate(curves)), Path())


def texts(section):
    return "\n".join(part.text for part in section.parts if isinstance(part, Text))


def test_reports_come_back_in_the_order_in_which_they_came():
    seen = []

    class Spy(Rungs):
        def recall(self, trial, step, metrics):
            seen.append((trial, step))

    given = history()
    replay(Spy(given.study.fidelity, given.study.objectives), given.trials[:2])
    assert seen == [(0, 0), (0, 1), (1, 0), (0, 2), (1, 1), (0, 3), (0, 4)]


def test_reports_after_a_restart_belong_to_the_next_attempt():
    reports = tuple(Report(step, seconds, {}) for step, seconds in ((1, 5), (2, 9), (3, 4), (4, 8)))
    cut = Trial(
        0, "done", {}, "random", 0, Path(), reports=reports, attempts=(attempt(0.0), attempt(100.0))
    )
    assert [when for when, _ in arrivals(cut)] == [5, 9, 104, 108]


def test_the_section_counts_what_was_trained_and_what_was_saved():
    found = section(history())
    assert "2 of 4 trials were stopped early: 10 epochs were trained, where 16 would" in texts(
        found
    )
    assert next(p for p in found.parts if isinstance(p, Table)).rows == ((1, 4, 2, 2), (2, 2, 0, 2))


def test_the_section_says_that_nothing_was_checked():
    assert "was not checked" in texts(section(history()))


def test_the_section_says_how_often_stopping_would_have_been_wrong():
    late = [[0.5] * 4, [0.6] * 4, [0.1, 0.2, 0.3, 0.99], [0.1, 0.2, 0.3, 0.4]]
    found = texts(section(history(late, spare=1.0)))
    assert "2 weak trials were allowed to finish, chosen at random; 1 of them ended" in found


def test_each_objective_is_shown_at_each_rung():
    accuracy, parameters = (p for p in section(history()).parts if isinstance(p, Figure))
    assert [series.name for series in accuracy.series] == ["went on", "stopped"]
    assert accuracy.series[0].x == (1, 1, 2, 2)
    assert accuracy.series[0].y == (0.5, 0.6, 0.6, 0.7)
    assert parameters.series[1].y == (11, 13)


def test_objectives_that_come_too_late_are_named():
    given = history()
    bare = study(count=3, fidelity=given.study.fidelity)
    found = texts(section(History(bare, given.space, given.trials, Path())))
    assert "Not known before the end: latency_ms." in found


@pytest.mark.parametrize("fidelity", [None, {"stop": "off"}])
def test_a_study_that_stops_nothing_has_no_section(fidelity):
    given = history()
    assert section(History(study(fidelity=fidelity), given.space, given.trials, Path())) is None


def test_a_study_without_reports_has_no_section():
    assert section(history([])) is None
