"""Lines that a run writes where there is no screen."""

from dataclasses import replace

import histories

from automl.live import Live

MADE = histories.made()
LIVE = Live(MADE.study, quiet=False)


def test_the_line_of_a_stopped_trial_says_how_far_it_came_and_what_it_had_reported():
    trial = next(one for one in MADE.trials if one.state == "stopped")
    last = trial.reports[-1]
    said = LIVE.line(trial)
    assert said.startswith(f"trial {trial.number} stopped in ")
    assert f": epoch {last.step:g}, val_accuracy " in said


def test_a_line_without_anything_to_say_ends_without_a_colon():
    trial = next(one for one in MADE.trials if one.state == "stopped")
    assert LIVE.line(replace(trial, reports=(), metrics={})).endswith(" s")
