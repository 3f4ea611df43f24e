"""Grams of gradients: a planted conflict, closed forms, and that nothing is touched."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from automl_nas import gradients
from automl_nas.backbone import build, supernet
from automl_nas.choices import OneOf, choose, fix
from automl_nas.gradients import Probe, contribution_grams, cosines, gradient_grams
from automl_nas.region import whole
from automl_nas.space import Chain, Own, named
from automl_nas.tree import candidate, chosen


class Scale(nn.Module):
    """Multiply by a constant."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor


CONFLICT = Own(choices={"calm": ("one", "two"), "sign": ("a", "b", "c", "d")})


def planted():
    """Return a network in which two options of an edge turn the shared weight's gradient round."""
    sign = {"a": Scale(1.0), "b": Scale(1.0), "c": Scale(-1.0), "d": Scale(-1.0)}
    calm = OneOf("calm", {"one": Scale(1.0), "two": Scale(2.0)})
    return nn.Sequential(nn.Linear(5, 1, bias=False), calm, OneOf("sign", sign))


def planted_probe(batches=6):
    network = planted()
    generator = torch.Generator().manual_seed(0)
    data = [torch.randn(8, 5, generator=generator) for _ in range(batches)]
    return Probe(network, CONFLICT, data, lambda x: network(x).sum())


def test_a_planted_conflict_is_matched_exactly_and_split_first():
    probe, region = planted_probe(), whole(CONFLICT)
    found = {edge: cosines(gradient_grams(probe, region, edge)) for edge in (0, 1)}
    expected = np.kron([[1, -1], [-1, 1]], np.ones((2, 2)))
    assert found[1] == pytest.approx(np.tile(expected, (6, 1, 1)))
    assert found[0] == pytest.approx(np.ones((6, 2, 2)))
    best = chosen([candidate(edge, region.alive[edge], found[edge], 2) for edge in (0, 1)])
    assert (best.edge, best.groups, best.distance) == (1, ((0, 1), (2, 3)), 2)
    assert best.tied == (best.groups,)


def test_contributions_see_the_planted_conflict_too():
    found = contribution_grams(planted_probe(), whole(CONFLICT))
    assert cosines(found[1])[:, 0] == pytest.approx(np.tile([1, 1, -1, -1], (6, 1)))
    assert found[0] == pytest.approx(0)  # the mean of opposite signs sends nothing upstream
    best = chosen(
        [candidate(edge, range(len(found[edge][0])), cosines(found[edge]), 2) for edge in (0, 1)]
    )
    assert (best.edge, best.groups) == (1, ((0, 1), (2, 3)))


def chain_probe(**options):
    space = Chain(layers=3, reduce=(1,), width=4)
    torch.manual_seed(0)
    network = supernet(build(space))
    generator = torch.Generator().manual_seed(1)
    batches = [
        (torch.randn(8, 1, 8, 8, generator=generator), torch.arange(8) % 10) for _ in range(2)
    ]
    return Probe(
        network, space, batches, lambda b: functional.cross_entropy(network(b[0]), b[1]), **options
    )


def test_grams_equal_those_of_stand_alone_copies():
    probe = chain_probe()
    grams = gradient_grams(probe, whole(probe.space), 1)
    rng = np.random.default_rng(gradients.seed_of(0, "context", 1))
    row = whole(probe.space).sample(rng, 2)[0]
    flat = []
    for operation in range(4):
        path = (int(row[0]), operation, int(row[2]))
        network = fix(probe.network, named(probe.space, path)).train()
        functional.cross_entropy(network(probe.batches[0][0]), probe.batches[0][1]).backward()
        parts = (network[0], network[2][0], network[2][2], network[4])
        weights = [p for part in parts for p in part.parameters()]
        flat.append(torch.cat([p.grad.flatten() for p in weights]).double())
    expected = torch.stack(flat) @ torch.stack(flat).T
    assert grams[0] == pytest.approx(expected.numpy(), rel=1e-5, abs=1e-9)


def test_little_room_gives_the_same_grams():
    region = whole(chain_probe().space)
    assert gradient_grams(chain_probe(room=40), region, 0) == pytest.approx(
        gradient_grams(chain_probe(), region, 0), rel=1e-6
    )


@pytest.mark.parametrize("edge", [0, 2])
def test_grams_are_positive_semidefinite_with_cosines_of_unit_diagonal(edge):
    probe = chain_probe()
    for grams in (
        gradient_grams(probe, whole(probe.space), edge),
        contribution_grams(probe, whole(probe.space))[edge],
    ):
        assert np.linalg.eigvalsh(grams).min() > -1e-7
        assert grams == pytest.approx(grams.transpose(0, 2, 1))
        assert np.diagonal(cosines(grams), axis1=1, axis2=2) == pytest.approx(1)


def test_only_the_operations_that_are_left_are_compared():
    probe = chain_probe()
    region = whole(probe.space).restrict(1, (0, 2, 3))
    assert gradient_grams(probe, region, 1).shape == (2, 3, 3)
    assert contribution_grams(probe, region)[1].shape == (2, 3, 3)


def test_a_zero_gradient_is_similar_to_nothing():
    assert cosines([[4.0, 0, 2], [0, 0, 0], [2, 0, 1]]).tolist() == [
        [1, 0, 1],
        [0, 1, 0],
        [1, 0, 1],
    ]


@pytest.mark.parametrize("score", ["gradient", "contribution"])
def test_probing_leaves_weights_gradients_buffers_modes_and_generators_alone(score):
    probe = chain_probe()
    probe.network.register_buffer("seen", torch.zeros(1))
    inner = probe.loss

    def loss(batch):
        probe.network.seen += torch.rand(1)
        return inner(batch)

    dirty = Probe(probe.network, probe.space, probe.batches, loss)
    choose(probe.network, named(probe.space, (3, 3, 3)))
    inner(probe.batches[0]).backward()
    probe.network.eval()
    before = {name: value.clone() for name, value in probe.network.state_dict().items()}
    grads = [p.grad.clone() for p in probe.network.parameters() if p.grad is not None]
    state, draw = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002 - is it untouched?
    if score == "gradient":
        gradient_grams(dirty, whole(probe.space), 0)
    else:
        contribution_grams(dirty, whole(probe.space))
    after = probe.network.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    kept = [p.grad for p in probe.network.parameters() if p.grad is not None]
    assert all(map(torch.equal, grads, kept))
    assert torch.equal(state, torch.get_rng_state())
    assert (draw == np.random.get_state()[1]).all()  # noqa: NPY002 - as above
    assert not any(module.training for module in probe.network.modules())


def test_widths_share_all_their_weights():
    space = Chain(layers=1, operations=("conv3",), widths=(2, 4), reduce=())
    network = supernet(build(space))
    data = [(torch.randn(8, 1, 8, 8), torch.arange(8) % 10)]
    probe = Probe(network, space, data, lambda b: functional.cross_entropy(network(b[0]), b[1]))
    grams = gradient_grams(probe, whole(space), 1)
    assert grams.shape == (1, 2, 2)
    assert (np.diagonal(grams[0]) > 0).all()
    assert list(contribution_grams(probe, whole(space))) == [0]
