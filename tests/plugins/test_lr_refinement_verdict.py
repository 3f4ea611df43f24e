"""The verdict on refined schedules from paired runs."""

import numpy as np
import pytest

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
    tried = {"linear": {0.5: (1.0, 2.0)}, "refined": {1.0: (2.0, 3.0)}}
    compared = Comparison("val_loss", "minimize", LINEAR, LINEAR, 0.5, 2.0, 0.1, tried)
    write(tmp_path / "deep" / "confirm.json", compared)
    assert read(tmp_path / "deep" / "confirm.json") == compared


def test_a_control_whose_best_peak_is_the_last_one_tried_settles_no_gain():
    values = (-0.5, -0.6, -0.5, -0.6)
    tried = {"linear": {1.0: LINEAR, 0.5: LINEAR, 2.0: LINEAR}}
    refined = tuple(np.add(LINEAR, values))
    found = [
        Comparison("val_loss", "minimize", refined, LINEAR, 1.0, peak, 0.0, tried)
        for peak in (1.0, 2.0)
    ]
    assert [one.case() for one in found] == ["better", "no different"]
    assert "its best may lie beyond; linear decay is exported" in found[1].text()
