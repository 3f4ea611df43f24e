"""Improve the agent offline with conservative Q-learning, and say whether the result can be used.

After A. Kumar, A. Zhou, G. Tucker and S. Levine, Conservative Q-Learning for Offline Reinforcement
Learning, 2020, variant CQL(H), on mixtures: random mixtures and noisy ones of the policy stand for
all others, weighted by their densities. Two safeguards: the penalty is halved while the critics
prefer recorded mixtures by more than returns vary, and a temporal-difference loss that rises at the
end means that the result is not to be used.
"""

import copy
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from automl_data_mixing.imitation import Lessons, cross_entropy, draw, weights_of
from automl_data_mixing.network import Critic

RANDOM = 8  # mixtures from the whole simplex, for the penalty
NOISY = 4  # mixtures near the policy's
NOISE = 0.3  # standard deviation of their logits
POLYAK = 0.01
WIDTH = 48  # of the critics
WARMUP = 0.3  # part of the steps before the policy follows the critics
WINDOW = 100  # steps between two looks at the safeguards
RISE = 1.5  # of the temporal-difference loss, over its earlier mean, that is too much


@dataclass(frozen=True, slots=True)
class Outcome:
    """How conservative Q-learning went.

    `gap` is how much the critics prefer recorded mixtures to random ones, in standard deviations
    of the return; `reason` is empty if the policy may be used.
    """

    td: tuple[float, ...]
    gap: float
    conservatism: float
    reason: str


def noisy(logits: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw mixtures near the one of `logits` (…, K), and their log densities on the simplex.

    The logits get normal noise e of deviation s. In log ratios that is a normal law of covariance
    s^2 (I + 11'), whose inverse is (I - 11'/K) / s^2 and whose determinant is s^(2K-2) K; the
    Jacobian to the simplex adds -sum log a.
    """
    domains = logits.shape[-1]
    noise = torch.randn(logits.shape, generator=generator)
    logs = (logits + NOISE * noise).log_softmax(-1)
    centred = noise - noise.mean(-1, keepdim=True)
    density = (
        -centred.square().sum(-1) / 2
        - (domains - 1) / 2 * math.log(2 * math.pi * NOISE**2)
        - math.log(domains) / 2
        - logs.sum(-1)
    )
    return logs.exp(), density


def anywhere(shape: tuple[int, ...], generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw mixtures uniformly from the simplex, (…, K), and their log densities (…)."""
    draws = -torch.log(torch.rand(shape, generator=generator).clamp_min(1e-12))
    density = torch.full(shape[:-1], math.lgamma(shape[-1]))
    return draws / draws.sum(-1, keepdim=True), density


class Learner:
    """The policy, two critics and their slow copies, while they learn.

    Args:
        network: the policy, taught by imitation; changed in place.
        taught: experience.
        conservatism: weight of the penalty.
        anchor: weight of imitation in the policy's loss.
        sharpness: of the imitation.
        seed: of all draws.
    """

    def __init__(
        self,
        network: nn.Module,
        taught: Lessons,
        *,
        conservatism: float = 0.05,
        anchor: float = 0.1,
        sharpness: float = 2.0,
        seed: int = 0,
    ) -> None:
        self.network, self.taught = network, taught
        self.conservatism, self.anchor, self.sharpness = conservatism, anchor, sharpness
        self.generator = torch.Generator().manual_seed(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.critics = nn.ModuleList([Critic(WIDTH), Critic(WIDTH)])
        self.slow = copy.deepcopy(self.critics).requires_grad_(requires_grad=False)
        self.of_critics = torch.optim.AdamW(self.critics.parameters(), lr=1e-3)
        self.of_network = torch.optim.AdamW(network.parameters(), lr=3e-4)

    def least(self, critics: nn.ModuleList, x: Tensor, mixture: Tensor) -> Tensor:
        """Return the smaller value of both critics."""
        values = [critic(x, mixture, self.taught.target) for critic in critics]
        return torch.minimum(*values)

    def goals(self, x: Tensor, reward: Tensor) -> Tensor:
        """Return reward plus the value of the next step under the policy, (N, T)."""
        with torch.no_grad():
            mixture = self.network(x, self.taught.target).softmax(-1)
            value = self.least(self.slow, x, mixture)
        nothing = torch.zeros_like(value[:, :1])  # the last step has no next one
        return reward + torch.cat([value[:, 1:], nothing], 1)

    def penalty(self, x: Tensor, actions: Tensor, logits: Tensor) -> tuple[Tensor, float]:
        """Return by how much other mixtures are valued above recorded ones, and the plain gap."""
        spread, density = anywhere((RANDOM, *actions.shape), self.generator)
        near, near_density = noisy(logits.expand(NOISY, *logits.shape), self.generator)
        proposals, densities = torch.cat([spread, near]), torch.cat([density, near_density])
        repeated = x.expand(len(proposals), *x.shape)
        total, gap = torch.zeros(()), 0.0
        for critic in self.critics:
            recorded = critic(x, actions, self.taught.target)
            others = critic(repeated, proposals, self.taught.target)
            soft = (others - densities).logsumexp(0) - math.log(len(proposals))
            total = total + (soft - recorded).mean()
            gap += float((recorded - others[:RANDOM].mean(0)).mean().detach()) / 2
        return total, gap

    def teach_critics(self) -> tuple[float, float]:
        """Take one step with the critics; returns temporal-difference loss and gap."""
        w, m = draw(self.taught, 16, self.generator)
        x, actions = self.taught.x[w, m], self.taught.actions[m]
        goals = self.goals(x, self.taught.rewards[w, m])
        with torch.no_grad():
            logits = self.network(x, self.taught.target).log_softmax(-1)
        errors = [
            functional.mse_loss(c(x, actions, self.taught.target), goals) for c in self.critics
        ]
        td = errors[0] + errors[1]
        penalty, gap = self.penalty(x, actions, logits)
        step(self.of_critics, td + self.conservatism * penalty)
        with torch.no_grad():
            for slow, fast in zip(self.slow.parameters(), self.critics.parameters(), strict=True):
                slow.lerp_(fast, POLYAK)
        return float(td.detach()), gap

    def teach_network(self) -> None:
        """Take one step with the policy: valued by the critics, anchored by imitation."""
        w, m = draw(self.taught, 16, self.generator)
        x = self.taught.x[w, m]
        logits = self.network(x, self.taught.target)
        values = self.least(self.critics, x, logits.softmax(-1))
        weights = weights_of(self.taught.advantages[w, m], self.sharpness)
        imitation = (weights * cross_entropy(logits, self.taught.actions[m])).mean()
        scale = values.detach().abs().mean().clamp_min(1e-6)
        step(self.of_network, -values.mean() / scale + self.anchor * imitation)


def step(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    """Take one step down a loss."""
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()


def reinforce(learner: Learner, steps: int) -> Outcome:
    """Train critics and policy, watch the safeguards, and say how it went."""
    losses: list[float] = []
    gaps: list[float] = []
    for turn in range(1, steps + 1):
        td, gap = learner.teach_critics()
        losses.append(td)
        gaps.append(gap)
        if turn > steps * WARMUP and turn % 2 == 0:
            learner.teach_network()
        if turn % WINDOW == 0 and abs(mean(gaps[-WINDOW:])) > 1:
            learner.conservatism /= 2
    return Outcome(
        tuple(mean(losses[i : i + WINDOW]) for i in range(0, steps, WINDOW)),
        mean(gaps[-WINDOW:]),
        learner.conservatism,
        complaint(losses, mean(gaps[-WINDOW:])),
    )


def complaint(losses: list[float], gap: float) -> str:
    """Say why a policy must not be used; nothing if it may."""
    quarter = max(1, len(losses) // 4)
    early, late = mean(losses[quarter : 2 * quarter]), mean(losses[-quarter:])
    if not math.isfinite(late):
        return "the temporal-difference loss is not finite"
    if late > RISE * early:
        return f"the temporal-difference loss rose from {early:.3g} to {late:.3g}"
    if abs(gap) > 2:
        return f"the critics prefer recorded mixtures by {gap:.2g} standard deviations"
    return ""


def mean(values: list[float]) -> float:
    """Return the mean of some numbers, 0 of none."""
    return sum(values) / len(values) if values else 0.0
