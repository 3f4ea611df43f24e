"""Networks with choices: shared weights, stand-alone copies, costs, widths and depths."""

import pytest
import torch
from torch import nn

from automl_nas.backbone import build, counted, edges_missing, stand_alone, supernet
from automl_nas.choices import OneOf, choose, fix
from automl_nas.norms import SharedNorm, statistics
from automl_nas.region import whole
from automl_nas.space import Cell, Chain, Own, named

SPACES = [
    Chain(),
    Chain(layers=3, operations=("skip", "max3", "conv5", "sep3"), reduce=(1,)),
    Chain(layers=3, widths=(4, 6), depths=(2, 3), operations=("conv1", "conv3", "sep3", "avg3")),
    Cell(nodes=3, cells=1, width=4, size=8, channels=1),
]


def chosen_ones(space, step=23):
    return whole(space).architectures()[::step]


def images(space, count=3):
    shape = (count, space.channels, space.size, space.size)
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("space", SPACES)
def test_a_path_of_the_supernet_equals_the_stand_alone_network_with_its_weights(space):
    net, x = supernet(build(space)), images(space)
    for architecture in chosen_ones(space):
        chosen = named(space, architecture)
        choose(net, chosen)
        assert torch.equal(net(x), fix(net, chosen)(x))


def test_ordinary_norms_that_are_fresh_compute_the_same_in_training():
    space = Chain()
    net, x = supernet(build(space)), images(space)
    alone = stand_alone(space, (3, 2, 1, 3))
    own = fix(net, named(space, (3, 2, 1, 3)))
    alone.load_state_dict(own.state_dict(), strict=False)
    assert torch.equal(alone(x), own(x))


@pytest.mark.parametrize("space", SPACES)
def test_closed_forms_equal_what_is_counted(space):
    for architecture in chosen_ones(space):
        costs = space.costs(architecture)
        found = counted(stand_alone(space, architecture), images(space, 1))
        assert (costs.parameters, costs.macs) == found


def test_architectures_of_one_canonical_form_compute_the_same():
    space = Chain(layers=3, operations=("skip", "conv1", "conv3"), reduce=(2,), depths=(2, 3))
    x = images(space)
    first, second = {"layer0": "skip", "layer1": "conv3"}, {"layer0": "conv3", "layer1": "skip"}
    rest = {"layer2": "conv1", "depth": "3"}
    torch.manual_seed(0)
    one = fix(supernet(build(space)), first | rest)
    other = fix(supernet(build(space)), second | rest)
    other.load_state_dict(dict(zip(other.state_dict(), one.state_dict().values(), strict=True)))
    assert torch.equal(one(x), other(x))


def test_an_invalid_cell_does_not_see_its_input():
    space = Cell(nodes=3, cells=1, width=4, size=8, channels=1)
    for architecture in chosen_ones(space, 7):
        net = stand_alone(space, architecture).eval()
        with torch.no_grad():
            alike = torch.equal(net(images(space)), net(images(space) + 1))
        if not space.valid(architecture):
            cell = net[2]
            assert cell(images(space).repeat(1, 4, 1, 1)).abs().max() == 0
        else:
            assert not alike


def test_statistics_come_from_the_batch_that_was_taken():
    net = supernet(build(Chain())).eval()
    choose(net, named(Chain(), (3, 3, 3, 3)))
    space = Chain()
    large, single = images(space, 64), images(space, 64)[:1]
    with torch.no_grad(), statistics(net):
        together = net(large)
    with torch.no_grad():
        assert torch.allclose(net(single), together[:1], atol=1e-5)
    net.train()
    assert not torch.allclose(net(single), together[:1], atol=1e-3)


def test_a_supernet_has_no_norm_with_weights_or_averages():
    net = supernet(build(Cell(nodes=3, cells=1, width=4, size=8, channels=1)))
    assert not [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    assert [m for m in net.modules() if isinstance(m, SharedNorm)]


def test_an_edge_of_a_users_own_network_is_one_edge_wherever_it_stands():
    block = {"a": nn.Linear(4, 4), "b": nn.Identity()}
    net = nn.Sequential(OneOf("block", block), nn.ReLU(), OneOf("block", block))
    choose(net, {"block": "b"})
    x = torch.randn(2, 4)
    assert torch.equal(net(x), x.relu())
    assert not edges_missing(Own(), net)


def test_differences_between_space_and_model_are_named():
    net = nn.Sequential(OneOf("head", {"a": nn.Identity()}))
    found = edges_missing(Own(choices={"block": ("a",)}), net)
    assert found == ["edge 'block' is not in the model", "edge 'head' is not in the space"]
    lacking = edges_missing(Own(choices={"head": ("a", "b")}), net)
    assert lacking == ["edge 'head' has no option 'b' in the model"]


def test_a_choice_that_does_not_exist_is_refused():
    net = build(Chain())
    with pytest.raises(ValueError, match="no option 'conv9'"):
        choose(net, named(Chain(), (0, 0, 0, 0)) | {"layer0": "conv9"})
    with pytest.raises(ValueError, match="is not chosen"):
        choose(net, {})


def test_operations_of_ones_own_are_imported():
    space = Chain(layers=2, operations=("skip", "torch.nn.BatchNorm2d"), reduce=())
    assert isinstance(stand_alone(space, (1, 0))[2][0], nn.BatchNorm2d)
    assert space.costs((1, 0)) is None
