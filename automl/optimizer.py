"""Optuna behind four verbs: propose a point, tell its end, add further points, import others."""

import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.trial import TrialState

from automl.distributions import decode, distribution, encode
from automl.env import mask
from automl.errors import StorageError
from automl.grid import UNTRIED
from automl.history import Point, Trial
from automl.samplers import Reseeded, make
from automl.space import Fixed, Space, Value
from automl.storage import WAIT, harden, is_sqlite
from automl.study import Study

EVEN = ("gp", "nsga2", "nsga3")  # samplers that need the same constraints on every trial
FAILED = "failure"  # the constraint that a failed trial violates


@dataclass(frozen=True, slots=True)
class Proposal:
    """A point to try, and Optuna's number for it."""

    optuna: int
    params: Mapping[str, Value]


class Optimizer:
    """The Optuna study of one of ours; a standard one, which dashboards and `load_study` read.

    Args:
        url: database; the study is made there if it is new.
        study: names, goals, constraints and sampler.
        space: what to search.
    """

    def __init__(self, url: str, study: Study, space: Space) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        self.study = study
        self.space = space
        self.name, inner = make(study, space)
        self.sampler = Reseeded(inner, space, study.search.seed)
        self.ids: dict[int, int] = {}  # Optuna's inner id of a trial, by its number
        self.optuna = optuna.create_study(
            storage=open_storage(url),
            study_name=study.name,
            directions=[StudyDirection[goal.upper()] for goal in study.goals],
            sampler=self.sampler,
            load_if_exists=True,
        )
        if not self.optuna.user_attrs:
            self.optuna.set_user_attr("automl:objectives", list(study.objectives))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self.optuna.set_metric_names(list(study.objectives))

    def ask(self, number: int, given: Mapping[str, Value] | None = None) -> Proposal:
        """Propose the point of our trial `number`, or take `given` for it."""
        self.sampler.number, self.sampler.given = number, given
        # as `Study.ask`, which first looks for trials that were enqueued; ours never are
        self.optuna._thread_local.cached_all_trials = None  # noqa: SLF001
        storage, study_id = self.optuna._storage, self.optuna._study_id  # noqa: SLF001
        trial = optuna.Trial(self.optuna, storage.create_new_trial(study_id))
        params: dict[str, Value] = {}
        for name in self.space.order():
            parameter = self.space[name]
            if not self.space.active(name, params):
                continue
            if isinstance(parameter, Fixed):
                params[name] = parameter.value
            elif given is None or name in given:
                # Optuna's own suggest, for any kind of distribution
                value = trial._suggest(name, distribution(parameter))  # noqa: SLF001
                params[name] = decode(parameter, value)
        if trial.number != number:
            trial.set_user_attr("automl:trial", number)
        self.ids[trial.number] = trial._trial_id  # noqa: SLF001 - saves a query a trial
        return Proposal(trial.number, {name: params[name] for name in self.space if name in params})

    def tell_done(self, proposal: int, metrics: Mapping[str, float]) -> None:
        """Tell the values of a trial that ran to its end."""
        self._constrain(proposal, self._violations(metrics))
        self._tell(proposal, TrialState.COMPLETE, self.values(metrics))

    def tell_stopped(self, proposal: int) -> None:
        """Tell that a trial was stopped; its partial values are not final and are not told."""
        self._constrain(proposal, self._violations({}))
        self._tell(proposal, TrialState.PRUNED)

    def tell_failed(self, proposal: int, *, learn: bool) -> None:
        """Tell that a trial failed; `learn` makes the sampler leave the region.

        TPE reads stopped trials with a violated constraint. The others read complete trials only:
        for them it ends with the worst values so far and is infeasible.
        """
        if not learn:
            self._tell(proposal, TrialState.FAIL)
            return
        self._constrain(proposal, self._violations({}) | {FAILED: 1.0})
        worst = None if self.name == "tpe" else self._worst()
        if worst is None:
            self._tell(proposal, TrialState.PRUNED)
        else:
            self._tell(proposal, TrialState.COMPLETE, worst)

    def tell_untried(self, proposal: int) -> None:
        """Tell that what was proposed comes to nothing, so that it may be proposed again."""
        storage = self.optuna._storage  # noqa: SLF001
        with suppress(optuna.exceptions.UpdateFinishedTrialError):
            storage.set_trial_user_attr(self._id(proposal), UNTRIED, value=True)
        self._tell(proposal, TrialState.FAIL)

    def left(self) -> bool:
        """Say whether the sampler has any point left to propose."""
        return self.sampler.left(self.optuna)

    def _worst(self) -> list[float] | None:
        done = self.optuna.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        columns = list(zip(*(trial.values for trial in done), strict=True))
        pick = {"maximize": min, "minimize": max}
        worst = [
            pick[goal](column) for goal, column in zip(self.study.goals, columns, strict=False)
        ]
        return worst or None

    def add(self, trial: Trial, points: Iterable[Point]) -> None:
        """Add the further points of a trial as trials of their own that name their parent.

        A point that differs in something that is not searched is left out: it would teach the
        sampler that the trial's own parameters give its values.
        """
        distributions = {name: distribution(self.space[name]) for name in self.space.searched()}
        frozen = []
        for point in points:
            params = {**trial.params, **{k: v for k, v in point.params.items() if k in self.space}}
            if point.params.keys() <= self.space.keys() and not self.space.problems(params):
                searched = {k: encode(v) for k, v in params.items() if k in distributions}
                frozen.append(
                    optuna.trial.create_trial(
                        values=self.values(point.metrics),
                        params=searched,
                        distributions={name: distributions[name] for name in searched},
                        user_attrs={"automl:trial": trial.number, "automl:point": point.name},
                        constraints=self._violations(point.metrics),
                    )
                )
        self.optuna.add_trials(frozen)

    def close(self) -> None:
        """Close the connections to the database."""
        backend: Any = getattr(self.optuna._storage, "_backend", self.optuna._storage)  # noqa: SLF001
        backend.engine.dispose()

    def abandon(self, known: Collection[int]) -> None:
        """Fail what was proposed when a driver died before it could record the proposal."""
        for trial in self.optuna.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if trial.number not in known:
                self.tell_untried(trial.number)

    def values(self, metrics: Mapping[str, float]) -> list[float]:
        """Return the values of the objectives, in order."""
        return [float(metrics[name]) for name in self.study.objectives]

    def points_of(self, number: int) -> set[str]:
        """Return the names of the further points of our trial `number` that are there already."""
        return {
            trial.user_attrs["automl:point"]
            for trial in self.optuna.get_trials(deepcopy=False)
            if trial.user_attrs.get("automl:trial") == number and "automl:point" in trial.user_attrs
        }

    def _violations(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """Return constraint values; where the sampler needs it, the same ones for all trials."""
        found = violations(self.study, metrics)
        if self.name in EVEN and learns(self.study):
            found[FAILED] = 0.0
        return found

    def _constrain(self, proposal: int, values: Mapping[str, float]) -> None:
        """Set constraints as `Trial.set_constraint` does, which needs a trial that is alive."""
        storage = self.optuna._storage  # noqa: SLF001
        for name, value in values.items():
            with suppress(optuna.exceptions.UpdateFinishedTrialError):  # told before a kill
                storage.set_trial_system_attr(self._id(proposal), f"constraints:{name}", value)

    def _id(self, proposal: int) -> int:
        """Return Optuna's inner id of a trial."""
        if proposal not in self.ids:
            storage, study_id = self.optuna._storage, self.optuna._study_id  # noqa: SLF001
            self.ids[proposal] = storage.get_trial_id_from_study_id_trial_number(study_id, proposal)
        return self.ids[proposal]

    def _tell(
        self, proposal: int, state: TrialState, values: Sequence[float] | None = None
    ) -> None:
        """Tell as `Study.tell` does without its queries; a trial told before stays as it is."""
        storage = self.optuna._storage  # noqa: SLF001
        number = self._id(proposal)
        with suppress(optuna.exceptions.UpdateFinishedTrialError):
            if self.sampler.listens():
                trial = storage.get_trial(number)
                self.sampler.after_trial(self.optuna, trial, state, values)
            storage.set_trial_state_values(number, state, values)


def open_storage(url: str) -> RDBStorage:
    """Open Optuna's storage with our database settings."""
    kwargs: dict[str, Any] = {"pool_pre_ping": True}
    if is_sqlite(url):
        kwargs = {"connect_args": {"timeout": WAIT, "check_same_thread": False}}
    try:
        storage = RDBStorage(url, engine_kwargs=kwargs)
    except RuntimeError as error:  # the tables are of another version of Optuna
        said = str(error).strip()
        raise StorageError(f"database {mask(url)}: {said} Or choose another storage.") from error
    harden(storage.engine)
    storage.engine.dispose()  # connections made from here on have the settings
    return storage


def violations(study: Study, metrics: Mapping[str, float]) -> dict[str, float]:
    """Return by how much each constraint is violated; at most 0 is feasible."""
    found: dict[str, float] = {}
    for name, bounds in study.constraints.items():
        value = metrics.get(name)
        if bounds.max is not None:
            found[f"{name} max"] = 0.0 if value is None else value - bounds.max
        if bounds.min is not None:
            found[f"{name} min"] = 0.0 if value is None else bounds.min - value
    return found


def learns(study: Study) -> bool:
    """Say whether any kind of failure teaches the sampler."""
    policies = study.on_failure.model_dump(exclude={"give_up_after"}).values()
    return "learn" in policies
