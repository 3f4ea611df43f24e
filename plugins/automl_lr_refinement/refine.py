"""Refine a learning-rate schedule from the gradient norms of a finished run.

Source: A. Defazio, A. Cutkosky, H. Mehta, K. Mishchenko, "Optimal Linear Decay Learning Rate
Schedules and Further Refinements", 2023, arXiv 2310.07831. Steps t = 1..T count optimizer steps,
G_t is the gradient norm, w_t = G_t^-p a weight, s_t the schedule: a multiplier of the peak
learning rate with maximum 1.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array: TypeAlias = NDArray[np.float64]
Filter: TypeAlias = Literal["median", "mean"]
Preset: TypeAlias = Literal["paper", "guarded"]

SMALLEST = 1e-12  # times the median: a norm of zero would get an infinite weight
LATEST_PEAK = 0.6  # fraction of training; a later peak leaves too little decay
LEAST_MEAN = 0.1  # of the schedule; below it hardly anything is learned
SPIKE = (0.05, 0.2)  # where a schedule that starts at its peak must not have fallen below this


@dataclass(frozen=True, slots=True)
class Recipe:
    """How norms become a schedule.

    Attributes:
        exponent: p of w = G^-p; 2 for the l2 norm and SGD, 1 for the l1 norm and Adam.
        tau: width of the smoothing filter as a fraction of training.
        filter: running median, as the paper says, or running mean.
        strength: of the refinement, w = G^(-p * strength); 0 gives linear decay.
        guard: largest weight in units of the median weight, or None.
        fallback: whether a degenerate schedule is replaced by linear decay.
    """

    exponent: float = 1.0
    tau: float = 0.1
    filter: Filter = "median"
    strength: float = 1.0
    guard: float | None = None
    fallback: bool = False


PRESETS: dict[Preset, Recipe] = {"paper": Recipe(), "guarded": Recipe(guard=4.0, fallback=True)}


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a refined schedule is fit for use.

    Attributes:
        peak_at: fraction of training at which it is highest.
        mean: of the multipliers.
        start: the first multiplier.
        reason: why it is degenerate; empty if it is not.
    """

    peak_at: float
    mean: float
    start: float
    reason: str

    @property
    def ok(self) -> bool:
        """Whether the schedule may be used."""
        return not self.reason


@dataclass(frozen=True, slots=True)
class Refinement:
    """What a refinement gave.

    Attributes:
        multipliers: (T,) the schedule to use, with maximum 1.
        smoothed: (T,) the norms that it was made from.
        verdict: on the schedule before guard and fallback: a guard hides a collapse, not cures it.
    """

    multipliers: Array
    smoothed: Array
    verdict: Verdict


def clean(norms: ArrayLike) -> Array:
    """Replace each entry that is not finite by the last finite one before it, or the first one.

    A step that mixed precision skipped has no finite norm, but its place in training counts.

    Raises:
        ValueError: no entry is finite, or one is negative.
    """
    values = np.asarray(norms, dtype=np.float64)
    finite = np.isfinite(values)
    if not finite.any():
        raise ValueError(f"norms: none of {values.size} is finite; was anything trained?")
    if values[finite].min() < 0:
        raise ValueError(f"norms: must not be negative, got {values[finite].min()}")
    last = np.maximum.accumulate(np.where(finite, np.arange(values.size), -1))
    return np.asarray(values[np.where(last < 0, finite.argmax(), last)])


def width(steps: int, tau: float) -> int:
    """Return the odd width of the filter: 2 floor(floor(tau T) / 2) + 1; 1 smooths nothing."""
    if not 0 <= tau <= 1:
        raise ValueError(f"tau: must be in [0, 1], got {tau}")
    return 2 * (int(tau * steps) // 2) + 1


def smooth(norms: ArrayLike, tau: float = 0.1, kind: Filter = "median") -> Array:
    """Filter norms with a running median or mean.

    On the left the first value is repeated, so that a high start stays high; on the right the
    series is mirrored about its last value.

    Args:
        norms: (T,) non-negative; entries that are not finite are replaced first.
        tau: width of the window as a fraction of T.
        kind: of the filter.

    Returns:
        (T,) smoothed norms.
    """
    values = clean(norms)
    window = width(values.size, tau)
    half = window // 2
    if half == 0:
        return values
    left = np.full(half, values[0])
    padded = np.concatenate([left, np.pad(values, (0, half), mode="reflect")])
    if kind == "mean":
        sums = np.cumsum(np.concatenate([[0.0], padded]))
        return np.asarray((sums[window:] - sums[:-window]) / window)
    return np.fromiter(running_medians(padded.tolist(), window), np.float64, values.size)


def running_medians(values: Sequence[float], window: int) -> Iterator[float]:
    """Yield the median of every `window` consecutive values; the window is odd."""
    ordered = sorted(values[:window])
    yield ordered[window // 2]
    for leaving, entering in zip(values, values[window:], strict=False):
        del ordered[bisect_left(ordered, leaving)]
        insort(ordered, entering)
        yield ordered[window // 2]


def weights(
    smoothed: ArrayLike, exponent: float, strength: float = 1.0, guard: float | None = None
) -> Array:
    """Return w_t = (G_t / median G)^(-exponent * strength), at most `guard` times their median.

    Args:
        smoothed: (T,) norms; zeros count as 1e-12 of the median.
        exponent: 2 for SGD with l2 norms, 1 for Adam with l1 norms.
        strength: between 0, which ignores the norms, and 1.
        guard: cap in units of the median weight; None caps nothing.

    Returns:
        (T,) positive weights; all 1 where every norm is zero.
    """
    values = np.asarray(smoothed, dtype=np.float64)
    typical = float(np.median(values)) or float(values.max()) or 1.0
    relative = np.maximum(values / typical, SMALLEST) if values.any() else np.ones_like(values)
    raw = relative ** (-exponent * strength)
    return np.asarray(raw if guard is None else np.minimum(raw, guard * np.median(raw)))


def from_weights(weights: ArrayLike) -> Array:
    """Return the schedule s_t proportional to w_t sum_{p>t} w_p, with maximum 1.

    Args:
        weights: (T,) positive.

    Returns:
        (T,) multipliers; the last is 0. A single step gets 1.
    """
    values = np.asarray(weights, dtype=np.float64)
    if values.size == 1:
        return np.ones(1)
    values = values / values.max()
    after = np.concatenate([np.cumsum(values[:0:-1])[::-1], [0.0]])
    rates = values * after
    return np.asarray(rates / rates.max())


def linear(steps: int) -> Array:
    """Return linear decay (T - t) / (T - 1), which constant norms refine to."""
    return from_weights(np.ones(steps))


def diagnose(multipliers: ArrayLike) -> Verdict:
    """Say whether a schedule decays as one should, from its shape alone.

    Norms that collapse give a schedule that rises to the end; norms that start tiny give one that
    is spent in its first steps.
    """
    values = np.asarray(multipliers, dtype=np.float64)
    peak_at = float(values.argmax() / max(values.size - 1, 1))
    mean = float(values.mean())
    place, level = SPIKE
    soon = float(values[int(place * values.size)])
    reason = ""
    if peak_at > LATEST_PEAK:
        reason = f"peaks at {peak_at:.0%} of training, where it should decay"
    elif values[0] == 1 and soon < level:
        reason = f"falls from its peak at the first step to {soon:.2g} at {place:.0%} of training"
    elif mean < LEAST_MEAN:
        reason = f"is near zero for most of training, {mean:.2g} of its peak on average"
    return Verdict(peak_at, mean, float(values[0]), reason)


def refine(norms: ArrayLike, recipe: Recipe) -> Refinement:
    """Refine a schedule from the norms of one run, in O(T log T)."""
    smoothed = smooth(norms, recipe.tau, recipe.filter)
    verdict = diagnose(from_weights(weights(smoothed, recipe.exponent, recipe.strength)))
    if recipe.fallback and not verdict.ok:
        return Refinement(linear(smoothed.size), smoothed, verdict)
    found = weights(smoothed, recipe.exponent, recipe.strength, recipe.guard)
    return Refinement(from_weights(found), smoothed, verdict)


def schedule(
    norms: ArrayLike, exponent: float, tau: float = 0.1, preset: Preset = "guarded"
) -> Array:
    """Return the refined schedule of a run.

    Args:
        norms: (T,) gradient norm of each optimizer step.
        exponent: 2 for SGD with l2 norms, 1 for Adam with l1 norms.
        tau: width of the median filter as a fraction of T.
        preset: `paper` does what the paper says; `guarded` also caps weights at four times their
            median and returns linear decay where the result is degenerate.

    Returns:
        (T,) multipliers with maximum 1; the last is 0.
    """
    return refine(norms, replace(PRESETS[preset], exponent=exponent, tau=tau)).multipliers


def bound(multipliers: ArrayLike, norms: ArrayLike, distance: float = 1.0) -> float:
    """Return the bound on the final error of SGD with a schedule at its best peak: a diagnostic.

    With rates l, tails S_k = sum_{t>=k} l_t and Q_k = sum_{t>=k} l_t^2 G_t^2, the bound is
    D^2 / 2S_1 + Q_1 / 2S_1 + 1/2 sum_{k<T} l_k Q_k / (S_k S_{k+1}). Scaling l by c turns it into
    A/c + Bc, whose minimum is 2 sqrt(AB).

    Args:
        multipliers: (T,) the schedule; zeros at its end move nothing and are left out.
        norms: (T,) l2 gradient norms.
        distance: D, from the start to the solution.
    """
    rates = np.trim_zeros(np.asarray(multipliers, dtype=np.float64), "b")
    squared = (rates * clean(norms)[: rates.size]) ** 2
    tail, quadratic = np.cumsum(rates[::-1])[::-1], np.cumsum(squared[::-1])[::-1]
    last = float((rates[:-1] * quadratic[:-1] / (tail[:-1] * tail[1:])).sum())
    noise = (quadratic[0] / tail[0] + last) / 2
    return float(2 * np.sqrt(distance**2 / (2 * tail[0]) * noise))


def family(optimizer: str) -> tuple[Literal["l1", "l2"], float]:
    """Return the norm and exponent for an optimizer by its class name.

    SGD has l2 and 2. Everything else counts as of Adam's kind, whose steps are about one unit in
    each coordinate: l1 and 1. For optimizers other than Adam and its variants that is a heuristic.
    """
    return ("l2", 2.0) if optimizer in {"SGD", "ASGD"} else ("l1", 1.0)
