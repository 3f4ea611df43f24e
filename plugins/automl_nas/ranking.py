"""How well one order of architectures agrees with another.

Kendall's tau-b: M. G. Kendall, The Treatment of Ties in Ranking Problems (Biometrika, 1945).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from typing import Any

import numpy as np

CHUNK = 256  # rows of the matrix of pairs at a time


def kendall_tau(x: Any, y: Any) -> float:
    """Return tau-b of two series of equal length; nan where one is constant or too short."""
    first, second = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if first.shape != second.shape or first.ndim != 1:
        raise ValueError(f"expected two series of one length, got {first.shape}, {second.shape}")
    agree, firsts, seconds = 0.0, 0.0, 0.0
    for start in range(0, len(first), CHUNK):
        rows = slice(start, start + CHUNK)
        a = np.sign(first[rows, None] - first[None, :])
        b = np.sign(second[rows, None] - second[None, :])
        agree += float((a * b).sum())
        firsts += float(np.abs(a).sum())
        seconds += float(np.abs(b).sum())
    scale = np.sqrt(firsts) * np.sqrt(seconds)
    return float(agree / scale) if scale > 0 else float("nan")


@dataclass(frozen=True, slots=True)
class Ranking:
    """How far an estimate can be trusted.

    Attributes:
        tau: over all.
        tau_top: over the quarter that is truly best.
        regret: what the estimate's first choice is truly worse than the best.
    """

    tau: float
    tau_top: float
    regret: float


def ranking(estimate: Any, truth: Any) -> Ranking:
    """Compare an estimate with the truth; larger is better for both."""
    guess, true = np.asarray(estimate, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    top = np.argsort(-true, kind="stable")[: max(2, len(true) // 4)]
    regret = float(true.max() - true[guess.argmax()])
    return Ranking(kendall_tau(guess, true), kendall_tau(guess[top], true[top]), regret)


def expected_best(values: Sequence[float], count: int) -> float:
    """Return the mean of the largest of `count` values drawn without replacement."""
    ordered = sorted(values)
    if not 1 <= count <= len(ordered):
        raise ValueError(f"count must lie in 1…{len(ordered)}, got {count}")
    ways = [comb(index, count - 1) for index in range(len(ordered))]  # with this one the largest
    total = sum(way * value for way, value in zip(ways, ordered, strict=True))
    return total / comb(len(ordered), count)
