"""Train many small models side by side on one device, each on a mixture of its own.

The parameters of R replicas are stacked; one vectorized pass gives every replica its own loss, and
an optimizer that works element by element, such as AdamW, moves the stack exactly as R optimizers
would move the replicas. Clipping gradients by their norm would couple them: it is not done here.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from automl_data_mixing.corpus import Corpus
from automl_data_mixing.course import Array, Course, Setting
from automl_data_mixing.evaluation import Evaluator
from automl_data_mixing.loader import MixtureLoader, stock_of
from automl_data_mixing.options import Options
from automl_data_mixing.policies import Fixed

Batch = tuple[Tensor, Tensor]


class Loss(nn.Module):
    """The loss of a model as a function of its parameters and a batch."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of one replica on its batch."""
        loss: Tensor = self.model.loss((tokens, targets))
        return loss


def fits(model: Any) -> bool:
    """Say whether a model can be trained in an ensemble: it has `loss(batch)` and no buffers."""
    return callable(getattr(model, "loss", None)) and not list(model.buffers())


@dataclass
class Ensemble:
    """R replicas of a model, with one optimizer over all of them.

    Args:
        model: a LightningModule that `fits`, with the weights to start from.
        replicas: number R.
        steps: of the whole training, for the schedule of the learning rate.
        device: where they train.
    """

    model: Any
    replicas: int
    steps: int
    device: str = "cpu"

    def __post_init__(self) -> None:
        self.model.to(self.device)
        self.loss = Loss(self.model)
        # schedules ask the trainer for the length of the training, and for nothing else
        self.model._trainer = SimpleNamespace(  # noqa: SLF001 - there is no trainer to set
            estimated_stepping_batches=self.steps
        )
        said = self.model.configure_optimizers()
        self.optimizer = said["optimizer"] if isinstance(said, dict) else said
        plan = said.get("lr_scheduler", {}) if isinstance(said, dict) else {}
        self.schedule = plan.get("scheduler") if isinstance(plan, dict) else plan
        self.stack = {
            name: nn.Parameter(p.detach().expand(self.replicas, *p.shape).clone())
            for name, p in self.loss.named_parameters()
        }
        mine = {id(p): self.stack[name] for name, p in self.loss.named_parameters()}
        for group in self.optimizer.param_groups:
            group["params"] = [mine[id(p)] for p in group["params"]]

    @property
    def rate(self) -> float:
        """The learning rate as a fraction of the one that its schedule scales."""
        group = self.optimizer.param_groups[0]
        return float(group["lr"]) / float(group.get("initial_lr", group["lr"]) or 1.0)

    def step(self, tokens: Tensor, targets: Tensor) -> Tensor:
        """Train each replica on its batch, (R, B, C) both; returns the losses (R,)."""
        self.optimizer.zero_grad()
        with sdpa_kernel(SDPBackend.MATH):  # the fused kernels cannot be vectorized
            losses = vmap(self._one)(self.stack, tokens.to(self.device), targets.to(self.device))
        losses.sum().backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        if self.schedule is not None:
            self.schedule.step()
        found: Tensor = losses.detach()
        return found

    def _one(self, parameters: Mapping[str, Tensor], tokens: Tensor, targets: Tensor) -> Tensor:
        loss: Tensor = functional_call(self.loss, dict(parameters), (tokens, targets))
        return loss

    def each(self) -> Iterator[Any]:
        """Yield the model with the weights of each replica in turn."""
        own = dict(self.loss.named_parameters())
        for index in range(self.replicas):
            with torch.no_grad():
                for name, values in self.stack.items():
                    own[name].copy_(values[index])
            yield self.model


def run_together(
    ensemble: Ensemble,
    corpus: Corpus,
    options: Options,
    setting: Setting,
    work: Sequence[tuple[Array, int]],
) -> list[Course]:
    """Train one replica on each of some given mixtures, and return their courses.

    Args:
        ensemble: with as many replicas as there is work.
        corpus: rows by domain.
        options: of the study.
        setting: of the runs.
        work: mixtures (T, K) and the seed of the rows, for each replica.
    """
    evaluator = Evaluator(corpus, options.feedback_rows)
    loaders = [
        MixtureLoader(corpus, stock_of(corpus, options.batch_size, seed), options.steps)
        for _, seed in work
    ]
    courses = [Course(setting)] * len(work)
    policies = [Fixed(path) for path, _ in work]
    observed = [evaluator(model) for model in ensemble.each()]
    while True:
        rate = ensemble.rate
        pairs = zip(courses, observed, strict=True)
        courses = [course.observe(losses, rate) for course, losses in pairs]
        if courses[0].done:
            return courses
        courses = [c.decide(policy) for c, policy in zip(courses, policies, strict=True)]
        for loader, course in zip(loaders, courses, strict=True):
            loader.sampler.set_weights(np.array(course.weights[-1]))
        for batches in zip(*loaders, strict=True):
            tokens, targets = (torch.stack(part) for part in zip(*batches, strict=True))
            ensemble.step(tokens, targets)
        observed = [evaluator(model) for model in ensemble.each()]
