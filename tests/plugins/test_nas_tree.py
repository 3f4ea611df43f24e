"""Split trees, paths of training, and steps outside a fit."""

import json
from collections import Counter

import numpy as np
import pytest
import torch
from torch import nn

from automl_nas.paths import BLOCK, Paths, seed_of
from automl_nas.region import Region, whole
from automl_nas.space import Chain
from automl_nas.steps import training_loss, untouched, validated
from automl_nas.tree import (
    Node,
    candidate,
    divided,
    from_json,
    grown,
    leaf_of,
    leaves,
    to_json,
    undecided,
)


def random_tree(seed, depth=3):
    """Cut random edges at random, level by level."""
    rng = np.random.default_rng(seed)
    space = Chain(operations=("skip", "avg3", "conv1", "conv3", "max3"))
    root = Node(whole(space))
    for _ in range(depth):
        splits = {}
        for leaf in leaves(root):
            edge = int(rng.choice(undecided(leaf.region, whole(space))))
            order = rng.permutation(leaf.region.alive[edge]).tolist()
            groups = (tuple(sorted(order[:2])), tuple(sorted(order[2:])))
            splits[leaf.path] = divided(leaf, edge, groups)
        root = grown(root, splits)
    return root


@pytest.mark.parametrize("seed", range(5))
def test_leaves_part_the_space(seed):
    root = random_tree(seed)
    members = Counter(a for leaf in leaves(root) for a in leaf.region.architectures())
    assert len(leaves(root)) == 8
    assert set(members) == set(root.region.architectures())
    assert set(members.values()) == {1}
    for architecture in list(members)[::50]:
        assert architecture in leaves(root)[leaf_of(root, architecture)].region


def test_an_edge_is_split_once_on_a_way_from_the_root():
    root = random_tree(1)
    leaf = leaves(root)[0]
    assert len(undecided(leaf.region, root.region)) == 1


def test_a_tree_is_the_same_after_json():
    root = Node(Region(((0, 1, 2, 3), (0, 1))))
    found = candidate(0, (0, 1, 2, 3), np.random.default_rng(0).random((5, 4, 4)), 2)
    tree = divided(root, 0, found.groups, [found])
    assert from_json(json.loads(json.dumps(to_json(tree)))) == tree


def test_a_cut_names_the_operations_that_are_left():
    similarity = np.array([[[1, 0.9, 0, 0], [0.9, 1, 0, 0], [0, 0, 1, 0.9], [0, 0, 0.9, 1]]])
    assert candidate(2, (1, 3, 5, 7), similarity, 2).groups == ((1, 3), (5, 7))


def test_groups_that_lose_an_operation_are_refused():
    with pytest.raises(ValueError, match="do not part"):
        divided(Node(Region(((0, 1, 2),))), 0, ((0,), (1,)))
    with pytest.raises(ValueError, match="not in the space"):
        leaf_of(Node(Region(((0, 1),))), (2,))


def test_paths_depend_on_the_step_alone():
    region = whole(Chain())
    forwards, backwards = Paths(region, "uniform", 7), Paths(region, "uniform", 7)
    steps = [0, BLOCK - 1, BLOCK, 3 * BLOCK + 5]
    assert [forwards[s] for s in steps] == [backwards[s] for s in steps[::-1]][::-1]
    assert forwards[0] != Paths(region, "uniform", 8)[0]


def test_fair_paths_run_every_operation_equally_often():
    paths = Paths(Region(((0, 1, 2, 3), (1, 4))), "fair", 0)
    counts = Counter(paths[step][0] for step in range(BLOCK))
    assert set(counts.values()) == {BLOCK // 4}
    assert Counter(paths[step][1] for step in range(BLOCK)) == {1: BLOCK // 2, 4: BLOCK // 2}


def test_seeds_of_different_roles_differ():
    assert len({seed_of(0, "leaf", index) for index in range(100)} | {seed_of(1, "leaf", 0)}) == 101


class Module(nn.Module):
    """A module with steps like Lightning's."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def log(self, *_, **__):
        raise AssertionError("no Trainer listens")

    log_dict = log

    def training_step(self, batch, batch_idx):
        del batch_idx
        loss = (self.weight * batch).mean()
        self.log("loss", loss)
        return {"loss": loss}

    def validation_step(self, batch, batch_idx):
        del batch_idx
        self.log("val_mean", batch.mean())
        self.log_dict({"val_one": 1.0}, batch_size=3)


def test_a_training_step_runs_without_a_trainer():
    module = Module()
    assert training_loss(module, torch.tensor([2.0, 4.0])).item() == 3
    with pytest.raises(AssertionError, match="Trainer"):
        module.log("x", 1)


def test_validation_averages_over_samples():
    batches = [torch.tensor([1.0, 2.0, 3.0]), torch.tensor([10.0])]
    found = validated(Module(), batches, torch.tensor([100.0]))
    assert found == {"val_mean": 4.0, "val_one": 1.0}


def test_a_step_without_a_loss_is_refused():
    module = Module()
    object.__setattr__(module, "training_step", lambda *_: None)
    with pytest.raises(TypeError, match="must return a loss"):
        training_loss(module, torch.ones(1))


def test_running_averages_come_back():
    norm = nn.BatchNorm1d(2)
    with untouched(norm):
        norm(torch.randn(8, 2))
    assert norm.num_batches_tracked == 0
    assert norm.running_mean.tolist() == [0, 0]
