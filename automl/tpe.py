"""TPE that learns from trials that finished, however many were stopped.

Optuna's TPE (Bergstra, Bardenet, Bengio and Kégl, Algorithms for Hyper-Parameter Optimization,
2011) draws at random until ten trials were told, and calls a tenth of all good. Where nine in ten
are stopped early, it settles on a region after a trial or two have finished, and later that tenth
is all that ever finished: nothing tells the best of them from the worst. Here both count only
trials that finished; what was stopped is not good.
"""

import math
import warnings
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, TrialState

STARTUP = 10  # trials that finish before there is a model, as Optuna has it where none is stopped
GOOD = 0.1  # of the trials that finished, likewise
AT_MOST = 25  # with one objective, likewise


def known(trial: FrozenTrial) -> bool:
    """Say whether it is known how good a trial is: it finished, or is known to be infeasible."""
    return trial.state == TrialState.COMPLETE or any(one > 0 for one in trial.constraints.values())


class Finishers(TPESampler):
    """Optuna's TPE, with good trials only among those that finished.

    Equal to `TPESampler` as long as no trial is stopped.

    Args:
        options: of `TPESampler`, but for `gamma` and `n_startup_trials`.
    """

    def __init__(self, **options: Any) -> None:
        with warnings.catch_warnings():
            # the only way to say it; Optuna means to take it away in version 6
            warnings.filterwarnings("ignore", "`gamma`", FutureWarning)
            super().__init__(gamma=self.good, n_startup_trials=STARTUP, **options)
        self.finished = 0
        self.most: float = AT_MOST

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Count who has finished."""
        super().before_trial(study, trial)
        # from what Optuna keeps for this proposal: its public twin asks the storage once more
        states = (TrialState.COMPLETE, TrialState.PRUNED)
        told = study._get_trials(deepcopy=False, states=states, use_cache=True)  # noqa: SLF001
        self.finished = sum(map(known, told))
        self.most = AT_MOST if len(study.directions) == 1 else math.inf

    def good(self, told: int) -> int:
        """Return how many trials are good; `told`, the number of all, is what Optuna goes by."""
        del told
        return int(min(math.ceil(GOOD * self.finished), self.most))

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Propose all parameters together, once enough trials have finished."""
        if self.finished < STARTUP:
            return {}
        return super().sample_relative(study, trial, search_space)

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Propose one parameter, at random until enough trials have finished."""
        if self.finished < STARTUP:
            drawn = self._random_sampler
            return drawn.sample_independent(study, trial, param_name, param_distribution)
        return super().sample_independent(study, trial, param_name, param_distribution)
