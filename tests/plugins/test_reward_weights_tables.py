import warnings

import numpy as np
import pytest

from automl_reward_weights.tables import TABLES
from automl_reward_weights.volume import non_dominated


def reachable(table, moves):
    """Return the reward vectors of every path of at most `moves` steps to an end."""
    paths, ends = {(0, (0.0,) * len(table.rewards))}, set()
    for _ in range(moves):
        further = set()
        for state, total in paths:
            for action in range(table.after.shape[1]):
                paid = tuple(np.add(total, table.paid[state, action].numpy()).round(9).tolist())
                if table.ends[state, action]:
                    ends.add(paid)
                else:
                    further.add((int(table.after[state, action]), paid))
        paths = further
    return np.array(sorted(ends))


@pytest.mark.parametrize("name", TABLES)
def test_the_known_front_is_what_trying_every_path_finds(name):
    table = TABLES[name]()
    found = reachable(table, 20)
    best = found[non_dominated(found)]
    expected = table.front[non_dominated(table.front)]
    assert sorted(map(tuple, best.round(6))) == sorted(map(tuple, expected.round(6)))


@pytest.mark.parametrize("name", TABLES)
def test_a_table_pays_what_mo_gymnasium_pays(name):
    pytest.importorskip("mo_gymnasium", reason="the extra automl[reward] is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pygame, which draws these environments
        import mo_gymnasium

        env = mo_gymnasium.make(f"{name}-v0").unwrapped
    table, rng = TABLES[name](), np.random.default_rng(0)
    for _ in range(100):
        env.reset()
        state, ended = 0, False
        while not ended:
            action = int(rng.integers(env.action_space.n))
            _, paid, ended, _, _ = env.step(action)
            np.testing.assert_allclose(table.paid[state, action], paid, rtol=1e-6)
            assert bool(table.ends[state, action]) == ended
            state = int(table.after[state, action])
