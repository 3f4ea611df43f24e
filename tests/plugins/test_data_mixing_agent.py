"""The agent: equivariant, taught by telescoping rewards, and better than what it learned from."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from automl_data_mixing import agent, conservative, features, imitation, network
from automl_data_mixing.course import Course, Setting
from automl_data_mixing.environment import Toy, rollout, value
from automl_data_mixing.policies import Fixed, Static
from automl_data_mixing.trajectories import advantages, experience, path, paths, returns, rewards

GRID = tuple(np.linspace(0, 1, 11))
SETTING = Setting(
    ("a", "b", "c", "d"), (False, False, True, True), (400, 300, 200, 100), 8, rows_per_step=64
)


def permuted(seen, order):
    """Return the same experience with its domains in another order."""
    names = ("names", "target", "rows")
    changes = {n: tuple(getattr(seen.setting, n)[i] for i in order) for n in names}
    return replace(
        seen,
        setting=replace(seen.setting, **changes),
        weights=seen.weights[..., order],
        losses=seen.losses[..., order],
    )


def toy_courses(count=100, setting=SETTING):
    drawn = paths(setting, count, GRID)
    return [rollout(Fixed(p), Toy(setting), setting) for p in drawn]


@pytest.fixture(scope="module")
def seen():
    return experience(toy_courses())


@pytest.fixture(scope="module")
def taught(seen):
    return imitation.lessons(seen)


@pytest.fixture(scope="module")
def pupil(taught):
    torch.manual_seed(0)
    made = network.DeepSet(32)
    imitation.imitate(made, taught, steps=500, sharpness=3.0)
    return made


def acting(made, taught, seen, preference):
    card = agent.card_of(
        taught, SETTING, arch="deepset", width=32, layers=1, scale=seen.scale, probe=(1, 1),
        manifest="",
    )  # fmt: skip
    return agent.Agent(made, card, preference)


def test_random_paths_are_mixtures_and_cover_the_shares():
    drawn = np.array([path(SETTING, np.random.default_rng(i), i) for i in range(200)])
    assert drawn.min() >= 0
    assert drawn.sum(-1) == pytest.approx(np.ones((200, 8)))
    shares = drawn[..., 2:].sum(-1).ravel()
    assert min(np.histogram(shares, bins=5, range=(0, 1))[0]) > 150


def test_more_trajectories_begin_with_the_same_ones():
    few, many = paths(SETTING, 3, GRID), paths(SETTING, 6, GRID)
    assert all((a == b).all() for a, b in zip(few, many, strict=False))


@pytest.mark.parametrize("preference", [0.0, 0.3, 1.0])
def test_rewards_telescope_to_the_value_of_the_course(seen, preference):
    change = seen.losses[:, -1] - seen.losses[:, 0]
    source, target = change[:, :2].mean(1), change[:, 2:].mean(1)
    whole = -(1 - preference) * source / seen.scale[0] - preference * target / seen.scale[1]
    assert rewards(seen, preference).sum(axis=1) == pytest.approx(whole)
    assert returns(seen, preference)[:, 0] == pytest.approx(whole)


def test_advantages_compare_courses_at_the_same_step(seen):
    assert advantages(seen, 0.5).mean(axis=0) == pytest.approx(np.zeros(8), abs=0.05)


def test_rewards_are_linear_in_the_preference(seen):
    ends = rewards(seen, 0.0), rewards(seen, 1.0)
    assert rewards(seen, 0.25) == pytest.approx(0.75 * ends[0] + 0.25 * ends[1])


def test_courses_that_all_end_alike_teach_nothing():
    same = [rollout(Static(0.5), Toy(SETTING), SETTING)] * 3
    with pytest.raises(ValueError, match="all ended alike"):
        experience(same)


def test_features_now_are_those_of_the_whole_course(seen):
    course = toy_courses(1)[-1]
    now = Course(SETTING, course.weights[:5], course.losses[:6], course.rates[:6])
    part = replace(
        seen,
        weights=np.array([course.weights]),
        losses=np.array([course.losses]),
        rates=np.array([course.rates]),
    )
    whole = features.features(part, 0.3)[0, :6]
    assert features.features_now(now, seen.scale, 0.3) == pytest.approx(whole)


def test_features_know_nothing_of_the_future(seen):
    later = replace(seen, weights=seen.weights.copy(), losses=seen.losses.copy())
    later.weights[:, 4:] = 0.25
    later.losses[:, 5:] = 9.0
    assert (features.features(later, 0.5)[:, :5] == features.features(seen, 0.5)[:, :5]).all()


@pytest.mark.parametrize("arch", ["deepset", "decoder"])
def test_permuting_the_domains_permutes_the_mixture(seen, arch):
    torch.manual_seed(0)
    made = network.make(arch, 16, 2).double()
    order = [3, 1, 0, 2]
    outputs = []
    for one in (seen, permuted(seen, order)):
        x = torch.from_numpy(features.features(one, 0.4))
        outputs.append(made(x, torch.from_numpy(one.setting.flags)).softmax(-1).detach())
    assert torch.allclose(outputs[0][..., order], outputs[1], atol=1e-9)


def test_a_critic_values_a_mixture_whatever_the_order(seen):
    made, order = network.Critic(16).double(), [3, 1, 0, 2]
    values = []
    for one in (seen, permuted(seen, order)):
        x = torch.from_numpy(features.features(one, 0.4))
        flags = torch.from_numpy(one.setting.flags)
        values.append(made(x, torch.from_numpy(one.weights), flags).detach())
    assert torch.allclose(values[0], values[1], atol=1e-9)


def test_a_decoder_does_not_look_ahead(taught):
    torch.manual_seed(0)
    made = network.Decoder(16, 2)
    x = taught.x[0, :3].clone()
    before = made(x, taught.target)
    x[:, 5:] += 1
    after = made(x, taught.target)
    assert torch.allclose(before[:, :5], after[:, :5], atol=1e-6)
    assert not torch.allclose(before[:, 5:], after[:, 5:], atol=1e-3)


def test_imitation_without_preference_for_good_ones_copies_the_average(taught):
    torch.manual_seed(0)
    made = network.DeepSet(32)
    losses = imitation.imitate(made, taught, steps=300, sharpness=0.0)
    assert losses[-1] < losses[0]
    chosen = made(taught.x[4], taught.target).softmax(-1).mean((0, 1)).detach()
    assert torch.allclose(chosen, taught.actions.mean((0, 1)), atol=0.05)


def test_the_agent_beats_the_best_static_mixture_of_the_toy(pupil, taught, seen):
    for preference in (0.4, 0.5, 0.6):
        course = rollout(acting(pupil, taught, seen, preference), Toy(SETTING), SETTING)
        static = [rollout(Static(s), Toy(SETTING), SETTING) for s in np.linspace(0, 1, 101)]
        assert scaled(course, seen, preference) > max(scaled(c, seen, preference) for c in static)


def test_the_agent_stays_below_the_known_optimum(pupil, taught, seen):
    course = rollout(acting(pupil, taught, seen, 0.5), Toy(SETTING), SETTING)
    toy = Toy(SETTING)
    odds = seen.scale[0] / seen.scale[1]  # the agent's preference is in units of the spread
    preference = odds / (1 + odds)
    best = Fixed(np.stack([SETTING.mixture(s) for s in toy.best(preference)]))
    known = value(rollout(best, toy, SETTING), preference)
    assert 0.8 * known < value(course, preference) <= known


def scaled(course, seen, preference):
    """Return what a course is worth in the units that the agent learned in."""
    source, target = seen.scale
    return -preference * course.gain() / target - (1 - preference) * course.forgetting() / source


def test_the_agent_gives_targets_more_weight_when_they_matter_more(pupil, taught, seen):
    shares = [
        rollout(acting(pupil, taught, seen, w), Toy(SETTING), SETTING).share for w in (0.2, 0.8)
    ]
    assert shares[0] < shares[1]


def test_the_agent_acts_on_another_number_of_domains(pupil, taught, seen):
    other = Setting(("p", "q", "r"), (False, True, False), (90, 80, 70), 8, rows_per_step=16)
    course = rollout(acting(pupil, taught, seen, 0.5), Toy(other), other)
    assert np.array(course.weights).shape == (8, 3)


def test_an_agent_of_even_composition_moves_the_target_share_alone(pupil, taught, seen):
    learned = acting(pupil, taught, seen, 0.5)
    even = replace(learned, card=replace(learned.card, composition="even"))
    course = Course(SETTING).observe([1.5, 1.7, 3.0, 3.1])
    share = learned.weights(course)[2:].sum()
    assert even.weights(course) == pytest.approx(SETTING.mixture(share))
    assert learned.weights(course) != pytest.approx(SETTING.mixture(share), abs=1e-4)


def test_an_agent_that_would_have_to_extrapolate_falls_back_to_a_static_mixture(
    pupil, taught, seen
):
    acts = acting(pupil, taught, seen, 0.3)
    strange = Course(SETTING).observe([50.0] * 4, rate=40.0).decide(acts).observe([0.1] * 4, 40.0)
    assert acts.lost(strange) > 0.2
    assert acts.weights(strange) == pytest.approx(SETTING.mixture(0.3))


def test_a_saved_agent_acts_like_itself(pupil, taught, seen, tmp_path):
    acts = acting(pupil, taught, seen, 0.5)
    agent.save(pupil, acts.card, tmp_path)
    made, card = agent.load(tmp_path)
    assert card == acts.card
    course = Course(SETTING).observe([1.5, 1.5, 3.0, 3.0])
    assert agent.Agent(made, card, 0.5).weights(course) == pytest.approx(acts.weights(course))


def test_an_agent_of_another_version_is_refused(pupil, taught, seen, tmp_path):
    acts = acting(pupil, taught, seen, 0.5)
    agent.save(pupil, replace(acts.card, schema=0), tmp_path)
    with pytest.raises(ValueError, match="version 0, not 1"):
        agent.load(tmp_path)


def test_runs_unlike_those_of_training_are_told(pupil, taught, seen):
    card = acting(pupil, taught, seen, 0.5).card
    assert agent.differences(card, SETTING) == []
    assert "of 8 mixtures of 64" in agent.differences(card, replace(SETTING, reweights=9))[0]


def test_a_probe_moves_the_scales_to_other_units(pupil, taught, seen):
    card = replace(acting(pupil, taught, seen, 0.5).card, scale=(0.2, 0.4), probe=(0.1, -0.2))
    assert agent.calibrated(card, (0.05, -0.6)).scale == pytest.approx((0.1, 1.2))


def test_importance_is_zero_for_what_a_network_ignores(taught):
    torch.manual_seed(0)
    made = network.DeepSet(16)
    with torch.no_grad():
        made.inward[0].weight[:, features.NAMES.index("epochs")] = 0
    found = agent.importance(made, taught)
    assert found["epochs"] == 0
    assert found["progress"] > 0


def test_the_density_of_noisy_mixtures_integrates_to_one():
    generator = torch.Generator().manual_seed(0)
    mixtures, density = conservative.noisy(torch.zeros(200_000, 2), generator)
    first = mixtures[:, 0]
    counts = torch.histc(first, 50, 0, 1) / 200_000 * 50
    bins = (first * 50).long().clamp_max(49)
    told = torch.stack([density[bins == b].exp().mean() for b in range(15, 35)])
    assert torch.allclose(told, counts[15:35], rtol=0.1)


def test_uniform_mixtures_have_the_density_of_the_simplex():
    mixtures, density = conservative.anywhere((1_000, 4), torch.Generator().manual_seed(0))
    assert torch.allclose(mixtures.sum(-1), torch.ones(1_000))
    assert float(density[0].exp()) == pytest.approx(math.factorial(3))
    assert torch.allclose(mixtures.mean(0), torch.full((4,), 0.25), atol=0.03)


@pytest.mark.slow
def test_conservative_learning_leaves_a_policy_that_beats_most_of_its_data(pupil, taught, seen):
    copy = network.DeepSet(32)
    copy.load_state_dict(pupil.state_dict())
    outcome = conservative.reinforce(conservative.Learner(copy, taught), 400)
    assert outcome.reason == ""
    course = rollout(acting(copy, taught, seen, 0.5), Toy(SETTING), SETTING)
    data = sorted(scaled(c, seen, 0.5) for c in toy_courses())
    # how far beyond the median it comes depends on the rounding of the machine
    assert scaled(course, seen, 0.5) > data[len(data) // 2]


@pytest.mark.slow
def test_an_over_conservative_penalty_is_halved(pupil, taught):
    copy = network.DeepSet(32)
    copy.load_state_dict(pupil.state_dict())
    learner = conservative.Learner(copy, taught, conservatism=5.0)
    outcome = conservative.reinforce(learner, 200)
    assert outcome.conservatism < 5.0
    assert "standard deviations" in outcome.reason or "rose" in outcome.reason


def test_a_rising_loss_is_a_reason_not_to_use_the_policy():
    falling = [1 - i / 400 for i in range(400)]
    assert conservative.complaint(falling, 0.0) == ""
    assert "rose" in conservative.complaint(falling[::-1], 0.0)
