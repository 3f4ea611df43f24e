"""Whether a refined schedule beats linear decay, from runs that are paired by their seeds."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

NOISE = 2.0  # standard errors of the mean difference that count as more than noise
Case: TypeAlias = Literal["better", "no different", "worse"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Final values of one metric under both schedules, one pair for each fresh seed.

    Attributes:
        metric: its name.
        goal: `maximize` or `minimize`.
        refined: values under the refined schedule.
        linear: values under linear decay.
    """

    metric: str
    goal: str
    refined: tuple[float, ...]
    linear: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.refined) != len(self.linear) or len(self.refined) < 3:
            raise ValueError(
                f"a comparison needs 3 pairs or more, got {len(self.refined)} values of refined "
                f"and {len(self.linear)} of linear"
            )

    def gain(self) -> tuple[float, float]:
        """Return by how much refined is better on average, and the standard error of that."""
        sign = 1.0 if self.goal == "maximize" else -1.0
        return paired(self.refined, self.linear, sign)

    def case(self) -> Case:
        """Say which case it is; a difference within two standard errors is none."""
        gain, error = self.gain()
        if abs(gain) <= NOISE * error or not np.isfinite(gain):
            return "no different"
        return "better" if gain > 0 else "worse"

    def text(self) -> str:
        """Say the verdict in a sentence."""
        gain, error = self.gain()
        what = "refined is exported" if self.case() == "better" else "linear decay is exported"
        way = "better" if gain > 0 else "worse"
        return (
            f"On {len(self.linear)} fresh seeds refined is {self.case()}: its {self.metric} is "
            f"{abs(gain):.4g} {way} on average, with a standard error of {error:.2g}; {what}."
        )


def paired(first: Sequence[float], second: Sequence[float], sign: float) -> tuple[float, float]:
    """Return the mean of the paired differences, times a sign, and its standard error."""
    differences = sign * (np.asarray(first) - np.asarray(second))
    error = differences.std(ddof=1) / np.sqrt(differences.size)
    return float(differences.mean()), float(error)


def write(path: Path, comparison: Comparison) -> None:
    """Write a comparison as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(comparison), indent=1) + "\n", encoding="utf-8")


def read(path: Path) -> Comparison:
    """Read what `write` wrote."""
    record = json.loads(path.read_text(encoding="utf-8"))
    pairs = tuple(record["refined"]), tuple(record["linear"])
    return Comparison(record["metric"], record["goal"], *pairs)
