"""Optuna's samplers: chosen by name or rule, reseeded for each trial, kept off forbidden points."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.samplers._lazy_random_state import LazyRandomState
from optuna.trial import FrozenTrial, TrialState

from automl.distributions import decode, distribution, encode
from automl.errors import AutomlError
from automl.grid import Grid
from automl.instantiate import build
from automl.space import Fixed, Float, Int, Space, Value
from automl.study import Component, Study
from automl.suggest import did_you_mean_or_known
from automl.tpe import Finishers

NAMES = ("auto", "tpe", "nsga2", "nsga3", "gp", "random", "qmc", "grid")
MODEL_ROUNDS = 20  # draws from the model, whose favourite may be forbidden, before uniform ones
ROUNDS = 1000  # draws before giving up on a space that is forbidden nearly everywhere
GP_TRIALS = 250  # beyond, a Gaussian process takes seconds for each proposal
MANY_TRIALS = 2000  # beyond, even TPE takes longer than cheap trials do
MANY_NUMBERS = 10  # parameters, beyond which models of all together were no better than chance


def choose(study: Study, space: Space) -> str:
    """Return the name of the sampler that `auto` stands for.

    TPE copes with everything, stopped trials too; a Gaussian process needs fewer trials where none
    is stopped, all is numeric, and the parameters, the objectives and the trials are few; for
    thousands of cheap trials only NSGA-II is cheap.
    """
    trials = study.budget.trials
    if trials is not None and trials > MANY_TRIALS:
        return "nsga2"
    few = trials is not None and trials <= GP_TRIALS and len(study.objectives) <= 3
    numbers = len(space.searched()) if numeric(space) else 0
    whole = study.fidelity is None or study.fidelity.stop == "off"
    return "gp" if few and whole and 0 < numbers <= MANY_NUMBERS else "tpe"


def numeric(space: Space) -> bool:
    """Say whether all that is searched is numbers, none of which depends on another."""
    searched = (space[name] for name in space.searched())
    return all(isinstance(one, Float | Int) for one in searched) and not space.conditional()


def make(study: Study, space: Space) -> tuple[str, BaseSampler]:
    """Build the sampler of a study; returns its name too.

    Raises:
        AutomlError: the name is not known, or the sampler cannot work on this study.
    """
    wanted = study.search.sampler
    if isinstance(wanted, Component):
        made = build(wanted.class_path, wanted.init_args)
        if not isinstance(made, BaseSampler):
            raise AutomlError(f"search.sampler: {wanted.class_path} is not an Optuna sampler")
        return wanted.class_path, made
    name = choose(study, space) if wanted == "auto" else wanted
    if name not in NAMES:
        raise AutomlError(
            f"search.sampler: no sampler {name!r}{did_you_mean_or_known(name, NAMES)}"
        )
    return name, _named(name, study.search.seed, space)


def _named(name: str, seed: int, space: Space) -> BaseSampler:  # noqa: PLR0911 - a table
    samplers = optuna.samplers
    match name:
        case "nsga2":
            return samplers.NSGAIISampler(seed=seed, population_size=20)
        case "nsga3":
            return samplers.NSGAIIISampler(seed=seed, population_size=20)
        case "gp":
            return samplers.GPSampler(seed=seed, warn_independent_sampling=False)
        case "random":
            return samplers.RandomSampler(seed=seed)
        case "qmc":
            return samplers.QMCSampler(
                seed=seed,
                scramble=True,
                warn_asynchronous_seeding=False,
                warn_independent_sampling=False,
            )
        case "grid":
            return Grid(space, seed)
    together = not numeric(space) or len(space.searched()) <= MANY_NUMBERS
    return Finishers(seed=seed, multivariate=together, group=space.conditional())


class Reseeded(BaseSampler):
    """A sampler that starts each trial from (seed of the study, number of the trial).

    So a study that was cut and goes on proposes what the uncut one would. It draws again when a
    point is forbidden, and proposes `given` instead of drawing when that is set.
    """

    def __init__(self, inner: BaseSampler, space: Space, seed: int) -> None:
        self.inner = inner
        self.space = space
        self.seed = seed
        self.number = 0
        self.given: Mapping[str, Value] | None = None

    def reseed_rng(self) -> None:
        """Do nothing: each trial is seeded anyway."""

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return the whole space: all parameters of a point are proposed together."""
        del study, trial
        return {name: distribution(self.space[name]) for name in self.space.searched()}

    def sample_relative(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        search_space: dict[str, BaseDistribution],
    ) -> dict[str, Any]:
        """Draw points until one is not forbidden."""
        if self.given is not None:
            return {name: encode(self.given[name]) for name in search_space if name in self.given}
        for attempt in range(ROUNDS):
            sampler = self.inner if attempt < MODEL_ROUNDS else optuna.samplers.RandomSampler()
            reseed(sampler, (self.seed, self.number, attempt))
            params = self._draw(sampler, study, trial, search_space)
            if self.space.forbidden(params) is None:
                return {name: encode(params[name]) for name in search_space if name in params}
        raise AutomlError(f"forbid: {ROUNDS} proposals in a row were forbidden; allow more")

    def _draw(
        self,
        sampler: BaseSampler,
        study: optuna.Study,
        trial: FrozenTrial,
        search_space: dict[str, BaseDistribution],
    ) -> dict[str, Value]:
        with blamed(sampler):
            relative = sampler.infer_relative_search_space(study, trial)
            drawn = sampler.sample_relative(study, trial, relative)
        params: dict[str, Value] = {}
        for name in self.space.order():
            parameter = self.space[name]
            if not self.space.active(name, params):
                continue
            if isinstance(parameter, Fixed):
                params[name] = parameter.value
            elif name in drawn and search_space[name]._contains(  # noqa: SLF001 - no public check
                search_space[name].to_internal_repr(drawn[name])
            ):
                params[name] = decode(parameter, drawn[name])
            elif search_space[name].single():
                params[name] = parameter.middle()
            else:
                with blamed(sampler):
                    value = sampler.sample_independent(study, trial, name, search_space[name])
                params[name] = decode(parameter, value)
        return params

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Leave a parameter that was not proposed to the inner sampler."""
        return self.inner.sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Pass on."""
        reseed(self.inner, (self.seed, self.number))
        self.inner.before_trial(study, trial)

    def left(self, study: optuna.Study) -> bool:
        """Say whether there is any point left to propose; only a grid comes to an end."""
        return not isinstance(self.inner, Grid) or self.inner.left(study)

    def listens(self) -> bool:
        """Say whether the inner sampler does anything after a trial."""
        return type(self.inner).after_trial is not BaseSampler.after_trial

    def after_trial(
        self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Any
    ) -> None:
        """Pass on."""
        self.inner.after_trial(study, trial, state, values)


@contextmanager
def blamed(sampler: BaseSampler) -> Iterator[None]:
    """Say that it was the sampler that could not propose, and what it lacks."""
    name = type(sampler).__name__
    try:
        yield
    except ImportError as error:
        lacking = error.name or "a package"
        raise AutomlError(
            f"search.sampler: {name} needs {lacking}, which is not installed; pip install {lacking}"
        ) from error
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
        raise AutomlError(
            f"search.sampler: {name} cannot propose a point: {type(error).__name__}: {error}; "
            "choose another sampler"
        ) from error


def reseed(sampler: BaseSampler, seed: tuple[int, ...]) -> None:
    """Seed every random state inside a sampler, and drop what it has fitted so far."""
    for index, state in enumerate(states(sampler, set())):
        word = np.random.SeedSequence([*seed, index]).generate_state(1)[0]
        state.rng.seed(int(word))
    for inner in samplers_in(sampler):
        if hasattr(inner, "_gprs_cache_list"):
            inner._gprs_cache_list = None  # noqa: SLF001 - a warm start of the fit is not repeatable


def states(thing: Any, seen: set[int]) -> Iterator[LazyRandomState]:
    """Find the random states that an object of Optuna holds, in the order of its attributes."""
    if id(thing) in seen:
        return
    seen.add(id(thing))
    if isinstance(thing, LazyRandomState):
        yield thing
    elif hasattr(thing, "__dict__") and (
        isinstance(thing, BaseSampler) or type(thing).__module__.startswith("optuna.samplers")
    ):
        for value in vars(thing).values():
            yield from states(value, seen)


def samplers_in(sampler: BaseSampler) -> Iterator[BaseSampler]:
    """Yield a sampler and those that it leaves work to."""
    yield sampler
    for value in vars(sampler).values():
        if isinstance(value, BaseSampler):
            yield from samplers_in(value)
