"""The verdict on refined schedules from paired runs."""

import numpy as np
import pytest

from automl_lr_refinement import runs
from automl_lr_refinement.options import Options
from automl_lr_refinement.verdict import Comparison, noise, paired, read, write

LINEAR = (1.0, 2.0, 3.0, 4.0)


def compare(refined, goal="minimize"):
    return Comparison("val_loss", goal, tuple(refined), LINEAR)


def test_the_gain_is_the_mean_of_paired_differences_with_its_standard_error():
    rng = np.random.default_rng(0)
    first, second = rng.random(9), rng.random(9)
    differences = first - second
    want = differences.mean(), differences.std(ddof=1) / 3
    assert paired(first, second, 1.0) == pytest.approx(want)


@pytest.mark.parametrize(
    ("shift", "goal", "case"),
    [
        ((-0.5, -0.6, -0.5, -0.6), "minimize", "better"),
        ((-0.5, -0.6, -0.5, -0.6), "maximize", "worse"),
        ((0.5, -0.6, 0.5, -0.5), "minimize", "no different"),
        ((0.0, 0.0, 0.0, 0.0), "minimize", "no different"),
        ((0.1, float("nan"), 0.1, 0.1), "maximize", "no different"),
    ],
)
def test_a_difference_counts_where_chance_hardly_gives_it(shift, goal, case):
    compared = compare(np.add(LINEAR, shift), goal)
    assert compared.case() == case
    exported = "refined is exported" if case == "better" else "linear decay is exported"
    assert exported in compared.text()


@pytest.mark.parametrize(("pairs", "want"), [(3, 4.303), (5, 2.776), (10, 2.262), (100, 2.045)])
def test_few_pairs_need_a_larger_difference(pairs, want):
    assert noise(pairs) == want


def test_two_pairs_are_no_comparison():
    with pytest.raises(ValueError, match="3 pairs or more, got 2"):
        Comparison("val_loss", "minimize", (1.0, 2.0), (1.0, 2.0))


def test_a_verdict_is_read_as_it_was_written(tmp_path):
    write(tmp_path / "deep" / "confirm.json", compare(LINEAR))
    assert read(tmp_path / "deep" / "confirm.json") == compare(LINEAR)


@pytest.mark.parametrize(
    ("found", "want"),
    [
        ({}, 1.0),
        ({1.0: (3,)}, 0.5),
        ({1.0: (3,), 0.5: (4,), 2.0: (5,)}, None),
        ({1.0: (3,), 0.5: (2,), 2.0: (5,)}, 0.25),
        ({1.0: (3,), 0.5: (4,), 2.0: (1,)}, 4.0),
        ({1.0: (3,), 0.5: (float("nan"),), 2.0: (5,)}, None),
        ({1.0: (3,), 0.5: (4,), 2.0: (2,), 4.0: (1,), 8.0: (0,)}, None),
    ],
)
def test_peaks_of_linear_decay_are_tried_until_the_best_is_between_others(found, want):
    assert runs.next_peak(Options(), found, "minimize") == want
