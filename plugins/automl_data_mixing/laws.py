"""Laws that predict the losses of a mixture from runs on other mixtures, and the best mixture.

The exponential law, log(loss - c) linear in the mixture, is after J. Ye et al., Data Mixing Laws:
Optimizing Data Mixtures by Predicting Language Modeling Performance, 2024; regression by boosted
trees is after Q. Liu et al., RegMix: Data Mixture as Regression for Language Model Pre-training,
2024. On RegMix's runs the Gaussian process ranks best on the scale of the runs from 64 of them on,
and the exponential law, which has few parameters, carries over best from 64 or 128 small runs to
far larger models. `choose` decides by cross-validation.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from automl_data_mixing.course import Array, Course, Setting

CEILINGS = (0.0, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95)  # candidates for c, as parts of the least loss
PENALTIES = (1e-6, 1e-4, 1e-2)


class Law(Protocol):
    """A fitted law."""

    def predict(self, mixtures: Array) -> Array:
        """Return the losses (N,) of mixtures (N, K)."""


Fit = Callable[[Array, Array], Law]


@dataclass(frozen=True, slots=True)
class Exponential:
    """loss = ceiling + exp(slopes . mixture), one slope a domain."""

    ceiling: float
    slopes: Array

    def predict(self, mixtures: Array) -> Array:
        """Return the losses (N,) of mixtures (N, K)."""
        found: Array = self.ceiling + np.exp(mixtures @ self.slopes)
        return found


@dataclass(frozen=True, slots=True)
class Regression:
    """A model of scikit-learn on features of a mixture."""

    model: Any
    features: Callable[[Array], Array]

    def predict(self, mixtures: Array) -> Array:
        """Return the losses (N,) of mixtures (N, K)."""
        found: Array = np.asarray(self.model.predict(self.features(mixtures)), np.float64)
        return found


def exponential(mixtures: Array, losses: Array) -> Law:
    """Fit the exponential law; floor and ridge penalty are chosen by leaving one run out."""
    candidates = [(c * losses.min(), p) for c in CEILINGS for p in PENALTIES]
    ceiling, penalty = min(candidates, key=lambda pair: left_out(mixtures, losses, *pair))
    slopes, _ = ridge(mixtures, np.log(losses - ceiling), penalty)
    return Exponential(ceiling, slopes)


def ridge(mixtures: Array, values: Array, penalty: float) -> tuple[Array, Array]:
    """Return coefficients (K,), shrunk to their mean, and each run's leverage (N,).

    The weights of a mixture sum to 1, so there is no intercept: the mean plays its part.
    """
    domains = mixtures.shape[1]
    shrink = np.eye(domains) - 1 / domains
    inverse = np.linalg.inv(mixtures.T @ mixtures + len(mixtures) * penalty * shrink)
    slopes: Array = inverse @ mixtures.T @ values
    leverage: Array = np.einsum("nk,kj,nj->n", mixtures, inverse, mixtures)
    return slopes, leverage


def left_out(mixtures: Array, losses: Array, ceiling: float, penalty: float) -> float:
    """Return the mean squared error of each run's loss, predicted from all the others."""
    values = np.log(losses - ceiling)
    slopes, leverage = ridge(mixtures, values, penalty)
    residual = (values - mixtures @ slopes) / (1 - np.minimum(leverage, 0.999))
    predicted = ceiling + np.exp(values - residual)
    return float(((predicted - losses) ** 2).mean())


def boosted(mixtures: Array, losses: Array) -> Law:
    """Fit boosted trees with histograms, which make no guess about the form of the law."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    model = HistGradientBoostingRegressor(
        max_iter=500,
        learning_rate=0.05,
        max_leaf_nodes=15,
        min_samples_leaf=max(2, min(10, len(losses) // 8)),
        l2_regularization=0.1,
        early_stopping=False,
        random_state=0,
    )
    return Regression(model.fit(mixtures, losses), same)


def gaussian(mixtures: Array, losses: Array) -> Law:
    """Fit a Gaussian process on the roots of the weights, which suits a few dozen runs."""
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

    kernel = ConstantKernel(1.0, (1e-2, 1e3)) * RBF(1.0, (0.1, 30)) + WhiteKernel(1e-3, (1e-8, 1))
    model = GaussianProcessRegressor(kernel, normalize_y=True, random_state=0)
    return Regression(quietly(model.fit, np.sqrt(mixtures), losses), np.sqrt)


def quietly(fit: Callable[..., Any], *data: Array) -> Any:
    """Fit without the warnings about hyperparameters at their bounds, which do no harm here."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return fit(*data)


def same(mixtures: Array) -> Array:
    """Return the mixtures themselves."""
    return mixtures


LAWS: dict[str, Fit] = {"exponential": exponential, "gaussian": gaussian, "boosted": boosted}


def error(fit: Fit, mixtures: Array, losses: Array, folds: int = 5) -> float:
    """Return the root mean squared error of a law on runs that it was not fitted on."""
    side = np.arange(len(losses)) % min(folds, len(losses))
    residuals = np.concatenate(
        [
            fit(mixtures[side != f], losses[side != f]).predict(mixtures[side == f])
            - losses[side == f]
            for f in np.unique(side)
        ]
    )
    return float(np.sqrt((residuals**2).mean()))


def choose(mixtures: Array, losses: Array) -> tuple[str, dict[str, float]]:
    """Return the law with the least cross-validated error, and the error of each."""
    names = [name for name in LAWS if name != "boosted" or len(losses) >= 40]
    errors = {name: error(LAWS[name], mixtures, losses) for name in names}
    return min(errors, key=lambda name: errors[name]), errors


def fitted(mixtures: Array, losses: Array) -> tuple[list[Law], list[str]]:
    """Fit the law that cross-validation prefers to each domain's loss (N, K); also its name."""
    names = [choose(mixtures, column)[0] for column in losses.T]
    made = [LAWS[name](mixtures, column) for name, column in zip(names, losses.T, strict=True)]
    return made, names


def average(courses: Sequence[Course]) -> tuple[Array, Array]:
    """Return the mixtures (N, K) of courses that never changed theirs, and their last losses."""
    flat = [c for c in courses if np.ptp(np.array(c.weights), axis=0).max() < 1e-6]
    return np.array([c.weights[0] for c in flat]), np.array([c.losses[-1] for c in flat])


def best(tried: Array, losses: Array, setting: Setting, preference: float) -> Array:
    """Return the mixture with the best predicted value, as the mean of the best thousandth.

    Args:
        tried: (N, K) mixtures.
        losses: (N, K) predicted loss of each domain after training on each.
        setting: says which domains are targets.
        preference: weight of the mean target loss; the sources have the rest.
    """
    flags = setting.flags
    worth = preference * losses[:, flags].mean(1) + (1 - preference) * losses[:, ~flags].mean(1)
    found: Array = tried[np.argsort(worth)[: max(1, len(tried) // 1_000)]].mean(axis=0)
    return found


def candidates(setting: Setting, draws: int) -> Array:
    """Draw mixtures (N, K) that cover all target shares and all compositions inside fields."""
    draw = np.random.default_rng(0)
    shares = draw.uniform(size=draws)
    inside = draw.dirichlet(np.ones(len(setting.names)), size=draws)
    mixtures = [setting.mixture(s, c) for s, c in zip(shares, inside, strict=True)]
    return np.array(mixtures)


def spearman(first: Array, second: Array) -> float:
    """Return the rank correlation of two samples; ties share their mean rank."""
    return float(np.corrcoef(mean_ranks(first), mean_ranks(second))[0, 1])


def mean_ranks(values: Array) -> NDArray[np.float64]:
    """Return the rank of each value, from 0; equal values have the mean of their ranks."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    found: Array = (ends - (counts + 1) / 2)[places]
    return found
