import itertools
import json

import numpy as np
import pytest

from automl_reward_weights.archive import LARGEST, Archive, Entry, expected_utility, merged
from automl_reward_weights.rewards import Reward
from automl_reward_weights.volume import hypervolume

REWARDS = (Reward("accuracy"), Reward("length", goal="minimize", bounds=(0, 10)))
EMPTY = Archive(REWARDS, (-0.1, -0.1))


def entry(accuracy, length, step=0, errors=(0.0, 0.0)):
    return Entry((accuracy, length), errors, step, (0.5, 0.5), f"points/step-{step}.ckpt")


def filled(pairs):
    archive = EMPTY
    for step, (accuracy, length) in enumerate(pairs):
        archive = archive.add(entry(accuracy, length, step))
    return archive


def random_pairs(count, seed=0):
    rng = np.random.default_rng(seed)
    return list(zip(rng.random(count), 10 * rng.random(count), strict=True))


def test_an_archive_holds_what_no_pair_comparison_rejects():
    pairs = random_pairs(60)
    kept = {
        one
        for one in pairs
        if not any(other[0] >= one[0] and other[1] <= one[1] and other != one for other in pairs)
    }
    assert {e.values for e in filled(pairs).entries} == kept


def test_the_order_of_entries_does_not_matter():
    pairs = random_pairs(5)
    volumes = [filled(order).hypervolume() for order in itertools.permutations(pairs)]
    assert volumes == pytest.approx([volumes[0]] * len(volumes))


def test_the_gain_is_the_growth_of_the_hypervolume():
    archive, new = filled(random_pairs(20)), entry(0.99, 0.5)
    grown = archive.add(new).hypervolume() - archive.hypervolume()
    assert archive.gain(new) == pytest.approx(grown)


def test_caution_lowers_the_gain_by_the_standard_error():
    noisy = entry(0.5, 5.0, errors=(0.1, 1.0))
    assert EMPTY.gain(noisy, caution=2.0) == pytest.approx(0.4 * 0.4)
    assert EMPTY.gain(noisy) == pytest.approx(0.6 * 0.6)


def test_a_full_archive_drops_what_adds_least():
    angles = np.linspace(0, np.pi / 2, LARGEST + 1)
    pairs = [(float(np.sin(a)), float(10 * (1 - np.cos(a)))) for a in angles]
    archive = filled(pairs)
    front = np.array([(a, 1 - b / 10) for a, b in pairs])
    best = max(
        hypervolume(np.delete(front, i, 0), np.array(EMPTY.reference)) for i in range(len(pairs))
    )
    assert len(archive.entries) == LARGEST
    assert archive.hypervolume() == pytest.approx(best)


def test_an_archive_survives_its_rows_as_json():
    archive = filled(random_pairs(10))
    assert EMPTY.from_rows(json.loads(json.dumps(archive.rows()))) == archive


def test_merged_archives_hold_the_front_of_all():
    halves = [filled(random_pairs(30, seed)) for seed in (1, 2)]
    both = filled(random_pairs(30, 1) + random_pairs(30, 2))
    assert {e.values for e in merged(halves).entries} == {e.values for e in both.entries}


def test_archives_of_different_references_do_not_merge():
    with pytest.raises(ValueError, match="archives of one study only"):
        merged([EMPTY, Archive(REWARDS, (0.0, 0.0))])


def test_the_expected_utility_is_the_mean_best_weighted_sum():
    front, preferences = np.array([[1.0, 0], [0, 1]]), np.array([[0.8, 0.2], [0.4, 0.6]])
    assert expected_utility(front, preferences) == pytest.approx(0.7)
    assert expected_utility(front[:0], preferences) == 0
