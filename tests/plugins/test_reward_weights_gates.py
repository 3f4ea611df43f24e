import pytest
from benchmarks.bench_reward_weights_tables import measured


@pytest.mark.slow
def test_hv_gradient_finds_half_as_much_again_as_the_fixed_grid_in_the_fruit_tree():
    fixed, guided, control = (
        measured("fruit-tree", name, "grpo") for name in ("fixed", "hv_gradient", "random")
    )
    assert guided.merged >= 1.5 * fixed.merged
    assert guided.merged > control.merged + 3 * (guided.error + control.error)


@pytest.mark.slow
def test_hv_gradient_finds_the_concave_front_of_deep_sea_treasure():
    assert measured("deep-sea-treasure-concave", "hv_gradient", "rloo").merged >= 0.98
