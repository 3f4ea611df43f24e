"""The dynamic program against brute force."""

import itertools
import time

import numpy as np
import pytest

from automl_pruning import chain, knapsack

CASES = range(400)


def random_case(seed, resources=0):
    rng = np.random.default_rng(seed)
    layers = rng.integers(1, 5)
    distortions, costs = [], []
    for _ in range(layers):
        options = rng.integers(1, 6)
        shape = (options, resources) if resources else options
        distortions.append(np.round(rng.random(options), rng.integers(1, 4)))
        costs.append(rng.integers(0, 13, shape) * rng.choice([1, 1, 3]))
    return distortions, costs


def prices(distortions, costs):
    """Every combination of options as (choices, distortion, cost)."""
    for choices in itertools.product(*(range(len(d)) for d in distortions)):
        value = 0.0
        for layer, option in enumerate(choices):
            value += distortions[layer][option]
        yield choices, value, sum(costs[layer][option] for layer, option in enumerate(choices))


def least(all_prices, budget):
    return min((v for _, v, cost in all_prices if np.all(cost <= budget)), default=None)


@pytest.mark.parametrize("seed", CASES)
def test_the_program_equals_brute_force_at_every_budget(seed):
    distortions, costs = random_case(seed)
    everything = list(prices(distortions, costs))
    front = knapsack.frontier(distortions, costs)
    cheapest = min(cost for _, _, cost in everything)
    for budget in range(cheapest, sum(max(c) for c in costs) + 3):
        assert front.value(budget) == pytest.approx(least(everything, budget), abs=1e-12)
        choices = front.at(budget)
        spent = sum(costs[layer][option] for layer, option in enumerate(choices))
        worth = sum(distortions[layer][option] for layer, option in enumerate(choices))
        assert spent <= budget
        assert worth == pytest.approx(front.value(budget), abs=1e-12)
        assert choices == knapsack.allocate(distortions, costs, budget)


@pytest.mark.parametrize("seed", CASES)
def test_a_budget_below_the_least_is_refused_with_the_least(seed):
    distortions, costs = random_case(seed)
    cheapest = min(cost for _, _, cost in prices(distortions, costs))
    for budget in {-1, cheapest - 1}:
        with pytest.raises(ValueError, match=rf"least feasible, {cheapest};"):
            knapsack.allocate(distortions, costs, budget)


@pytest.mark.parametrize("seed", range(60))
def test_two_budgets_at_once_equal_brute_force(seed):
    distortions, costs = random_case(seed, resources=2)
    everything = list(prices(distortions, costs))
    front = knapsack.frontier(distortions, costs)
    for budget in itertools.product(range(0, 40, 5), range(0, 40, 7)):
        best = least(everything, budget)
        if best is None:
            with pytest.raises(ValueError, match="budget: "):
                front.at(budget)
        else:
            choices = front.at(budget)
            assert front.value(budget) == pytest.approx(best, abs=1e-12)
            assert np.all(sum(costs[i][o] for i, o in enumerate(choices)) <= budget)
            assert knapsack.allocate(distortions, costs, budget) == choices


@pytest.mark.parametrize("seed", range(100))
def test_the_chain_form_equals_brute_force(seed):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 5, rng.integers(1, 5))
    distortions = [rng.random(size) for size in sizes]
    costs = [
        rng.integers(0, 9, (before, size)) for before, size in zip([1, *sizes], sizes, strict=False)
    ]
    everything = []
    for choices in itertools.product(*(range(size) for size in sizes)):
        pairs = zip((0, *choices), choices, strict=False)
        cost = sum(costs[layer][pair] for layer, pair in enumerate(pairs))
        everything.append(
            (choices, sum(d[o] for d, o in zip(distortions, choices, strict=True)), cost)
        )
    cheapest = min(cost for _, _, cost in everything)
    with pytest.raises(ValueError, match=f"least feasible, {cheapest};"):
        chain.allocate(distortions, costs, cheapest - 1)
    for budget in range(cheapest, 30):
        choices = tuple(chain.allocate(distortions, costs, budget))
        _, value, cost = next(entry for entry in everything if entry[0] == choices)
        assert cost <= budget
        assert value == pytest.approx(least(everything, budget), abs=1e-12)


def test_more_budget_never_hurts():
    distortions, costs = random_case(7)
    values = knapsack.frontier(distortions, costs).values
    assert (np.diff(values) <= 0).all()


def test_a_layer_larger_than_the_budget_is_allocated_within_it():
    choices = knapsack.allocate([[0.0, 3.0, 9.0]] * 2, [[1000, 4, 0]] * 2, 5)
    assert sorted(choices) == [1, 2]


def test_no_layers_need_no_budget():
    assert knapsack.allocate([], [], 0) == []
    assert chain.allocate([], [], 0) == []


def test_everything_is_kept_when_the_budget_allows_it():
    assert knapsack.allocate([[5, 1, 0], [2, 0]], [[0, 10, 20], [0, 7]], 10**12) == [2, 1]


def test_budgets_beyond_multiples_of_4096_have_no_holes():
    distortions = [np.linspace(1, 0, 101) ** 2 * scale for scale in (1.0, 2.0, 5.0)]
    costs = [np.arange(101) * 41] * 3
    values = [knapsack.frontier(distortions, costs).value(4096 + shift) for shift in (-1, 0, 1)]
    assert values == sorted(values, reverse=True)
    assert values[0] - values[2] < 0.1


@pytest.mark.parametrize(
    ("distortions", "costs", "message"),
    [
        ([[0.0]], [], "1 distortions and 0 costs"),
        ([[0.0, np.nan]], [[1, 2]], "must be finite"),
        ([[0.0]], [[1.5]], r"integers from 0, got \[1.5\]"),
        ([[0.0]], [[-1]], r"integers from 0, got \[-1\]"),
        ([[0.0, 1.0]], [[1]], "layer 0"),
        ([[]], [[]], "layer 0"),
        ([[0.0], [0.0]], [[1], [[1, 2]]], "same number of resources"),
    ],
)
def test_what_makes_no_sense_is_refused(distortions, costs, message):
    with pytest.raises(ValueError, match=message):
        knapsack.allocate(distortions, costs, 3)


def test_a_table_that_no_memory_holds_is_refused():
    with pytest.raises(ValueError, match="too large"):
        knapsack.frontier([[1.0, 0.5, 0.0]] * 3, [[0, 10**10, 10**10 + 1]] * 3)


def one_budget(distortions, costs, budget):
    """The same recursion, written plainly for one budget."""
    values = [0.0] * (budget + 1)
    for loss, cost in zip(distortions, costs, strict=True):
        options = list(zip(loss, cost, strict=True))
        values = [min(d + values[b - c] for d, c in options if c <= b) for b in range(budget + 1)]
    return values[budget]


def large_case(layers, ratios, budget):
    rng = np.random.default_rng(0)
    distortions = [np.sort(rng.exponential(size=ratios))[::-1] for _ in range(layers)]
    sizes = rng.dirichlet(np.ones(layers)) * budget * 2
    return distortions, [np.floor(np.linspace(0, s, ratios)).astype(int) for s in sizes]


def test_all_budgets_cost_less_than_a_25th_of_one_budget_done_plainly():
    distortions, costs = large_case(8, 101, 10_000)
    ours = []
    for _ in range(3):
        start = time.process_time()
        front = knapsack.frontier(distortions, costs, limit=10_000)
        ours.append(time.process_time() - start)
    start = time.process_time()
    expected = one_budget([d.tolist() for d in distortions], [c.tolist() for c in costs], 10_000)
    assert front.value(10_000) == pytest.approx(expected)
    assert time.process_time() - start > 25 * min(ours)
