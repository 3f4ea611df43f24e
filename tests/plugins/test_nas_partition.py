"""Balanced cuts against brute force."""

from itertools import product

import numpy as np
import pytest

from automl_nas.partition import across, balanced, best_cut, best_of, checked, searched, sizes


def brute(similarity, groups):
    """Return the least sum across balanced groups, by every labelling."""
    count = len(similarity)
    best = np.inf
    for labels in product(range(groups), repeat=count):
        if tuple(sorted(np.bincount(labels, minlength=groups))[::-1]) == sizes(count, groups):
            label = np.array(labels)
            upper = np.triu(label[:, None] != label[None, :])
            best = min(best, similarity[upper].sum())
    return best


def matrix(seed, count):
    random = np.random.default_rng(seed).normal(size=(count, count))
    return random + random.T


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("count", "groups"), [(2, 2), (3, 2), (5, 2), (7, 2), (6, 3), (7, 3)])
def test_a_cut_equals_brute_force(count, groups, seed):
    similarity = matrix(seed, count)
    found = across(checked(similarity, groups), best_cut(similarity, groups))
    assert found == pytest.approx(brute(similarity, groups))


@pytest.mark.parametrize(("count", "groups"), [(1, 1), (5, 2), (7, 3), (12, 4), (20, 3), (15, 15)])
def test_groups_are_balanced_and_hold_every_operation_once(count, groups):
    cut = best_cut(matrix(0, count), groups)
    assert sorted(index for group in cut for index in group) == list(range(count))
    assert tuple(sorted(map(len, cut), reverse=True)) == sizes(count, groups)
    assert list(cut) == sorted(tuple(sorted(group)) for group in cut)


@pytest.mark.parametrize(("count", "groups"), [(6, 2), (12, 3), (24, 2), (30, 3)])
def test_planted_clusters_are_found(count, groups):
    rng = np.random.default_rng(count)
    label = rng.permutation(np.repeat(np.arange(groups), count // groups))
    similarity = (label[:, None] == label[None, :]) + 0.3 * matrix(1, count)
    planted = {tuple(np.flatnonzero(label == group)) for group in range(groups)}
    assert set(best_cut(similarity, groups)) == planted


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("groups", [2, 3])
def test_the_search_for_many_operations_finds_the_optimum_of_few(seed, groups):
    similarity = checked(matrix(seed, 11), groups)
    best = across(similarity, best_cut(similarity, groups))
    assert across(similarity, searched(similarity, groups)) == pytest.approx(best)


@pytest.mark.parametrize("seed", range(4))
def test_renaming_operations_renames_the_cut(seed):
    similarity = matrix(seed, 7)
    order = np.random.default_rng(seed).permutation(7)
    renamed = best_cut(similarity[np.ix_(order, order)])
    back = {tuple(sorted(int(order[index]) for index in group)) for group in renamed}
    assert back == set(best_cut(similarity))


def test_the_diagonal_does_not_count():
    similarity = matrix(3, 6)
    assert best_cut(similarity) == best_cut(similarity + np.diag(np.arange(6) * 100.0))


@pytest.mark.parametrize(
    ("count", "groups", "number"), [(4, 2, 3), (5, 2, 10), (6, 3, 15), (7, 3, 105), (12, 2, 462)]
)
def test_balanced_partitions_are_listed_once_each(count, groups, number):
    listed = list(balanced(tuple(range(count)), groups))
    assert len(listed) == len(set(listed)) == number


@pytest.mark.parametrize(
    ("similarity", "groups"), [(np.zeros((2, 3)), 2), (np.eye(2), 3), (np.eye(2), 0), ([[]], 1)]
)
def test_what_cannot_be_cut_is_refused(similarity, groups):
    with pytest.raises(ValueError, match=r"square|groups"):
        best_cut(similarity, groups)


def test_a_similarity_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="finite"):
        best_cut([[1, np.nan], [np.nan, 1]])


def test_batches_that_agree_leave_one_cut():
    similarity = np.full((4, 4), 0.1)
    similarity[:2, :2] = similarity[2:, 2:] = 0.9
    noise = np.random.default_rng(0).normal(scale=0.01, size=(20, 4, 4))
    cut = best_of(similarity + noise)
    assert cut.groups == ((0, 1), (2, 3))
    assert cut.tied == (cut.groups,)
    assert cut.informative
    assert cut.distance == pytest.approx(0.9, abs=0.02)
    assert 0 < cut.se < 0.01


def test_noise_alone_leaves_every_cut_and_is_said_to_tell_nothing():
    cut = best_of(np.tile(np.eye(4), (5, 1, 1)))
    assert len(cut.tied) == cut.tried == 3
    assert not cut.informative
