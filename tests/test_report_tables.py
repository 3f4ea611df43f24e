"""The same facts as tables: terminal, pandas, CSV, Parquet, JSON and Markdown."""

import io
import json
from dataclasses import replace

import histories
import pandas as pd
import pytest
from rich.console import Console

from automl.report import tables, terminal, text
from automl.report.facts import facts


def printed(name, width=100):
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    terminal.show(histories.facts_of(name), console)
    return console.file.getvalue()


@pytest.mark.parametrize("name", histories.ODD)
@pytest.mark.parametrize("width", [40, 120])
def test_every_odd_study_prints_without_control_characters_or_secrets(name, width):
    shown = printed(name, width)
    assert all(c.isprintable() or c == "\n" for c in shown)
    assert "s3cr3t" not in shown


def test_the_terminal_shows_markup_of_a_name_as_text():
    assert "[/red][bold]x" in printed("hostile", 200)


def test_the_terminal_shows_the_error_of_a_section_and_goes_on():
    shown = printed("made")
    assert "ValueError: no supernet" in shown
    assert "table 'kept' has 1 columns" in shown
    assert "[/red] Units" in shown


def test_the_terminal_counts_trials_and_names_the_knee():
    found = histories.facts_of("made")
    shown = printed("made")
    assert "40 trials (29 done, 8 stopped, 3 failed)" in shown
    assert f"{found.knee} knee" in shown


@pytest.mark.parametrize("name", ["made", "hostile", "all failed", "categorical only"])
def test_a_notebook_shows_the_headline_and_the_front_as_text(name):
    found = histories.facts_of(name)
    shown = tables.notebook(found)
    assert f"{len(found.front)} of {len(found.points)} points on the front" in shown
    assert shown.count("<tr") == 1 + len(found.front)
    assert "<img" not in shown
    assert "s3cr3t" not in shown


def test_every_trial_has_a_line():
    found = histories.facts_of("made")
    lines = {line.trial: line for line in found.lines}
    assert len(lines) == found.trials
    for point in found.points:
        if not point.name:
            assert lines[point.trial].values == point.values  # noqa: PD011 - of records
    for group in found.failures:
        assert all(lines[n].note.startswith(group.kind) for n in group.trials)


def test_the_terminal_lists_the_last_trials_with_what_became_of_them():
    console = Console(file=io.StringIO(), width=100)
    console.print(terminal.trials(histories.facts_of("made")))
    shown = console.file.getvalue()
    assert "the last 25 of 40" in shown
    assert "stopped" in shown
    assert "at epoch" in shown


def test_a_pause_between_two_runs_is_no_time_of_the_study():
    study = histories.made(4)
    late = [
        replace(t, attempts=tuple(later(a) for a in t.attempts)) if t.number > 1 else t
        for t in study.trials
    ]
    paused = facts(replace(study, trials=tuple(late)))
    assert paused.elapsed > 1000
    assert paused.active <= paused.seconds


def later(attempt, by=1000):
    return replace(attempt, started=attempt.started + by, ended=attempt.ended + by)


def test_the_frame_has_a_row_for_each_point():
    found = histories.facts_of("made")
    frame = tables.frame(found)
    assert list(frame.index) == [p.label for p in found.points]
    assert frame["front"].sum() == len(found.front)
    assert frame.loc["15/density=0.05", "params_pruning.density"] == 0.05


@pytest.mark.parametrize("name", histories.ODD)
def test_csv_json_and_parquet_read_back(name, tmp_path):
    pytest.importorskip("pyarrow")
    found = histories.facts_of(name)
    tables.parquet(found, tmp_path / "points.parquet")
    assert len(pd.read_parquet(tmp_path / "points.parquet")) == len(found.points)
    assert json.loads(tables.as_json(found))["states"] == dict(found.states)
    if found.points:
        assert len(pd.read_csv(io.StringIO(tables.csv(found)))) == len(found.points)
    assert "s3cr3t" not in tables.as_json(found) + tables.csv(found)


@pytest.mark.parametrize("name", histories.ODD)
def test_markdown_holds_no_html_and_no_secret(name):
    shown = tables.markdown(histories.facts_of(name))
    assert "<img" not in shown.replace("\\<", "")
    assert "s3cr3t" not in shown


@pytest.mark.parametrize(
    ("secret", "shown"),
    [
        ("postgresql://me:pw@db/x", "postgresql://***@db/x"),
        ("http://h/?sslpassword=pw&b=c#d", "http://h/?sslpassword=***&b=***#d"),
        ("password = 'pw'", "password = '***'"),
        ("API_KEY: pw,", "API_KEY: ***,"),
        ("tokens: 5000", "tokens: 5000"),
    ],
)
def test_secrets_in_text_are_masked(secret, shown):
    assert text.masked(secret) == shown


def test_secrets_are_masked_by_their_names_at_any_depth():
    tree = {"a": [{"api_key": "pw", "b": "http://u:p@h"}], "token": ["pw"], "tokens": 3}
    assert text.masked(tree) == {
        "a": [{"api_key": "***", "b": "http://***@h"}],
        "token": ["***"],
        "tokens": 3,
    }


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.97312, "0.9731"),
        (12400, "12,400"),
        (12400.4, "12,400"),
        (-3, "-3"),
        (1.25e8, "1.25e+08"),
        (2e-5, "2e-05"),
        (float("nan"), "-"),
        (float("-inf"), "-inf"),
        (0, "0"),
    ],
)
def test_numbers_have_about_four_digits(value, shown):
    assert text.number(value) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.25, "250 ms"),
        (12.34, "12.3 s"),
        (250, "4 min 10 s"),
        (11100, "3 h 05 min"),
        (187200, "2 d 4 h"),
    ],
)
def test_durations_are_readable(seconds, shown):
    assert text.duration(seconds) == shown


def test_characters_that_hide_or_reorder_text_are_shown():
    assert text.clean("a\x1b[31m\u202eb\u00a0c\td") == "a\\x1b[31m\\u202eb\u00a0c\td"
