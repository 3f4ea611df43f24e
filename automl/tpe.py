"""TPE that learns what is good from trials that finished, however many were stopped.

Optuna's TPE (Bergstra, Bardenet, Bengio and Kégl, Algorithms for Hyper-Parameter Optimization,
2011) calls a tenth of all trials good. Where nine in ten are stopped early, that tenth is all that
ever finished, and nothing tells the best of them from the worst. Here it is a tenth of those that
finished; what was stopped is not good.
"""

import math
import warnings
from typing import Any

import optuna
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, TrialState

GOOD = 0.1  # of the trials that finished, as Optuna has it where none is stopped
AT_MOST = 25  # with one objective, as Optuna has it


class Finishers(TPESampler):
    """Optuna's TPE, with good trials only among those that finished.

    Equal to `TPESampler` as long as no trial is stopped.

    Args:
        options: of `TPESampler`, but for `gamma`.
    """

    def __init__(self, **options: Any) -> None:
        with warnings.catch_warnings():
            # the only way to say it; Optuna means to take it away in version 6
            warnings.filterwarnings("ignore", "`gamma`", FutureWarning)
            super().__init__(gamma=self.good, **options)
        self.finished = 0
        self.most: float = AT_MOST

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Count who has finished."""
        super().before_trial(study, trial)
        self.finished = len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)))
        self.most = AT_MOST if len(study.directions) == 1 else math.inf

    def good(self, told: int) -> int:
        """Return how many trials are good; `told`, the number of all, is what Optuna goes by."""
        del told
        return int(min(math.ceil(GOOD * self.finished), self.most))
