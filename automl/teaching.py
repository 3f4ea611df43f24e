"""Insert finished points into an Optuna study, all in one transaction."""

from collections.abc import Iterable

import optuna
from optuna.storages import RDBStorage
from optuna.storages._cached_storage import _CachedStorage
from optuna.storages._rdb.storage import _create_scoped_session
from optuna.trial import FrozenTrial, create_trial

from automl.distributions import distribution, encode
from automl.optimizer import Optimizer, violations
from automl.warmstart import Lesson

SOURCE = "automl:warm_start"  # says of a trial of Optuna which earlier study it comes from


def heard(optimizer: Optimizer) -> set[str]:
    """Return the earlier studies, as the study names them, that an optimizer was taught by."""
    trials = optimizer.optuna.get_trials(deepcopy=False)
    return {trial.user_attrs[SOURCE] for trial in trials if SOURCE in trial.user_attrs}


def teach(optimizer: Optimizer, source: str, lessons: Iterable[Lesson]) -> int:
    """Give an optimizer the points of an earlier study, all or none; returns how many.

    Optuna itself commits them one by one: five thousand take minutes.

    Args:
        optimizer: learns.
        source: the earlier study, as this one names it.
        lessons: its points.
    """
    space = optimizer.space
    distributions = {name: distribution(space[name]) for name in space.searched()}
    trials = []
    for lesson in lessons:
        params = {name: encode(v) for name, v in lesson.params.items() if name in distributions}
        trials.append(
            create_trial(
                values=optimizer.values(lesson.metrics),
                params=params,
                distributions={name: distributions[name] for name in params},
                user_attrs={SOURCE: source},
                constraints=violations(optimizer.study, lesson.metrics),
            )
        )
    insert(optimizer.optuna, trials)
    return len(trials)


def insert(study: optuna.Study, trials: Iterable[FrozenTrial]) -> None:
    """Insert trials in one transaction if the storage is a database."""
    storage = study._storage  # noqa: SLF001 - there is no public way to insert many at once
    backend = storage._backend if isinstance(storage, _CachedStorage) else storage  # noqa: SLF001
    if not isinstance(backend, RDBStorage):
        study.add_trials(trials)
        return
    with _create_scoped_session(backend.scoped_session) as session:
        for trial in trials:
            backend._get_prepared_new_trial(study._study_id, trial, session)  # noqa: SLF001
