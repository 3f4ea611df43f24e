"""Architecture spaces: sizes, canonical forms, validity, names, regions."""

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from shared_data import shared

from automl_nas.region import Region, whole
from automl_nas.space import Cell, Chain, Edge, Own, indices, named

TABLE_NAMES = {
    "none": "none",
    "skip_connect": "skip",
    "nor_conv_1x1": "conv1",
    "nor_conv_3x3": "conv3",
    "avg_pool_3x3": "avg3",
}


def test_the_default_chain_has_256_architectures_of_which_169_differ():
    chain = Chain()
    architectures = whole(chain).architectures()
    assert len(architectures) == 256
    assert len({chain.canonical(a) for a in architectures}) == 13 * 13


def test_the_default_cell_has_the_size_of_nas_bench_201():
    assert whole(Cell()).size == 15_625


def table_cells():
    """Return the table's canonical texts and the architectures of the same rows."""
    table = pd.read_parquet(shared("nasbench201.parquet"))
    chosen = table[table.columns[:6]].map(list(TABLE_NAMES).index).to_numpy()
    return table, [tuple(map(int, row)) for row in chosen]


def test_cells_that_the_table_calls_equal_are_equal():
    table, cells = table_cells()
    space = Cell(operations=tuple(TABLE_NAMES.values()))
    ours = pd.Series([space.canonical(cell) for cell in cells])
    assert ours.groupby(table["canonical"]).nunique().max() == 1
    assert ours.nunique() <= table["canonical"].nunique() == 6466


def test_cells_that_are_equal_have_about_the_same_true_accuracy():
    table, cells = table_cells()
    space = Cell(operations=tuple(TABLE_NAMES.values()))
    ours = pd.Series([space.canonical(cell) for cell in cells])
    spread = table["cifar10"].groupby(ours).std().median()
    assert spread < 0.3 < table["cifar10"].std() / 10


def test_cells_without_a_path_guess_at_chance_in_the_table():
    table, cells = table_cells()
    space = Cell(operations=tuple(TABLE_NAMES.values()))
    valid = np.array([space.valid(cell) for cell in cells])
    assert (~valid).sum() == 341
    assert table["cifar10"][~valid].max() == pytest.approx(10, abs=0.01)
    assert table["cifar10"][valid].min() > 40


def test_a_skip_makes_two_cells_equal():
    cell = Cell(nodes=3, operations=("none", "skip", "conv3"))
    first = indices(cell, {"edge_0_1": "skip", "edge_0_2": "none", "edge_1_2": "conv3"})
    second = indices(cell, {"edge_0_1": "none", "edge_0_2": "conv3", "edge_1_2": "none"})
    assert cell.canonical(first) == cell.canonical(second) == "(0)@conv3"
    assert cell.valid(first)


def test_layers_beyond_the_depth_do_not_count():
    chain = Chain(layers=3, depths=(2, 3), reduce=())
    short = {"layer0": "conv1", "layer1": "conv3", "depth": "2"}
    one, other = (indices(chain, short | {"layer2": last}) for last in ("conv1", "conv3"))
    assert chain.canonical(one) == chain.canonical(other) == "conv1 conv3"
    assert chain.costs(one) == chain.costs(other)


def test_names_and_indices_are_inverse():
    chain = Chain(widths=(4, 8))
    for architecture in whole(chain).architectures()[::37]:
        assert indices(chain, named(chain, architecture)) == architecture


def test_what_is_not_named_has_its_first_operation():
    assert indices(Chain(), {"layer1": "conv3"}) == (0, 3, 0, 0)


@pytest.mark.parametrize(
    ("chosen", "message"),
    [({"layer9": "skip"}, "no edge 'layer9'"), ({"layer0": "conv7"}, "no operation 'conv7'")],
)
def test_unknown_names_are_refused_with_those_that_exist(chosen, message):
    with pytest.raises(ValueError, match=message):
        indices(Chain(), chosen)


@pytest.mark.parametrize("options", [{"depths": (5,)}, {"widths": (4, 4)}, {"layer": 3}])
def test_impossible_chains_are_refused(options):
    with pytest.raises(ValidationError):
        Chain(**options)


@pytest.mark.parametrize("kind", [Chain, Cell])
def test_an_unknown_operation_is_refused_with_those_that_exist(kind):
    with pytest.raises(ValidationError, match="no operation 'convolve'; .* conv3, "):
        kind(operations=("skip", "convolve"))


def test_an_operation_of_ones_own_has_no_width_to_choose():
    with pytest.raises(ValidationError, match="no width to choose; leave out `widths`"):
        Chain(operations=("torch.nn.BatchNorm2d",), widths=(2, 4))


def test_an_edge_needs_different_operations_and_an_identifier():
    with pytest.raises(ValueError, match="different"):
        Edge("a", ("x", "x"))
    with pytest.raises(ValueError, match="identifier"):
        Edge("1<0", ("x",))


def test_a_space_of_ones_own_has_the_form_that_its_function_writes():
    own = Own(choices={"a": ("x", "y"), "b": ("z",)}, form="builtins.len")
    assert own.canonical((1, 0)) == "2"
    assert Own(choices={"a": ("x", "y")}).canonical((1,)) == "y"


def test_a_region_counts_lists_and_contains_its_architectures():
    region = Region(((0, 2), (1,), (0, 1, 2)))
    assert region.size == len(region.architectures()) == 6
    assert all(architecture in region for architecture in region.architectures())
    assert (1, 1, 0) not in region
    assert (0, 1) not in region


def test_samples_of_a_region_are_uniform():
    region = Region(((0, 2), (1, 3, 4)))
    drawn = region.sample(np.random.default_rng(0), 6000)
    counts = np.unique(drawn, axis=0, return_counts=True)[1]
    assert len(counts) == region.size
    assert counts.min() > 850
    assert drawn.dtype == np.int8


def test_a_region_without_operations_is_refused():
    with pytest.raises(ValueError, match="needs an operation"):
        whole(Chain()).restrict(0, ())
