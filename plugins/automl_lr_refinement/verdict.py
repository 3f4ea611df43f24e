"""Whether a refined schedule beats linear decay, from runs that are paired by their seeds."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

# Student's t by degrees of freedom: by chance a mean exceeds this many standard errors once in 40
QUANTILES = (
    (2, 4.303),
    (3, 3.182),
    (4, 2.776),
    (5, 2.571),
    (6, 2.447),
    (7, 2.365),
    (8, 2.306),
    (9, 2.262),
    (14, 2.145),
    (19, 2.093),
    (29, 2.045),
)
Case: TypeAlias = Literal["better", "no different", "worse"]
Tried: TypeAlias = Mapping[float, tuple[float, ...]]  # values of each seed by factor on the peak


@dataclass(frozen=True, slots=True)
class Comparison:
    """Final values of one metric under both schedules, one pair for each fresh seed.

    Attributes:
        metric: its name.
        goal: `maximize` or `minimize`.
        refined: values under the refined schedule.
        linear: values under linear decay.
        peak: factor on the learning rate of refined.
        control_peak: that of linear decay.
        control_warmup: fraction of training of the warm-up of linear decay.
        tried: what each of the two gave at each peak; refined on seeds that do not judge.
    """

    metric: str
    goal: str
    refined: tuple[float, ...]
    linear: tuple[float, ...]
    peak: float = 1.0
    control_peak: float = 1.0
    control_warmup: float = 0.0
    tried: Mapping[str, Tried] = field(default_factory=dict)

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
        """Say which case it is; a difference that is likely by chance is none."""
        gain, error = self.gain()
        if abs(gain) <= noise(len(self.linear)) * error or not np.isfinite(gain):
            return "no different"
        if gain > 0 and self.unsettled():
            return "no different"
        return "better" if gain > 0 else "worse"

    def unsettled(self) -> bool:
        """Whether the best peak of linear decay may lie beyond those that were tried."""
        peaks = sorted(self.tried.get("linear", {}))
        return len(peaks) > 1 and self.control_peak in {peaks[0], peaks[-1]}

    def text(self) -> str:
        """Say the verdict in a sentence."""
        gain, error = self.gain()
        what = "refined is exported" if self.case() == "better" else "linear decay is exported"
        way = "better" if gain > 0 else "worse"
        warmup = f" and a warm-up of {self.control_warmup:.0%}" if self.control_warmup else ""
        end = ", the last that was tried: its best may lie beyond" if self.unsettled() else ""
        return (
            f"On {len(self.linear)} fresh seeds refined is {self.case()}: its {self.metric} is "
            f"{abs(gain):.4g} {way} on average, with a standard error of {error:.2g}, at peak "
            f"factor {self.peak:.3g} against linear decay at {self.control_peak:.3g}{warmup}"
            f"{end}; {what}."
        )


def why(compared: Comparison | None, *, is_linear: bool) -> str:
    """Say why a refined schedule is exported, or is not."""
    if compared is not None:
        return compared.text()
    return "refined is linear decay" if is_linear else "refined was not compared on fresh seeds"


def noise(pairs: int) -> float:
    """Return how many standard errors of a mean of so many differences are no more than noise."""
    return next(value for freedom, value in reversed(QUANTILES) if freedom < pairs)


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
    pairs = {arm: tuple(record[arm]) for arm in ("refined", "linear")}
    tried = {
        arm: {float(peak): tuple(values) for peak, values in found.items()}
        for arm, found in record.get("tried", {}).items()
    }
    return Comparison(**{**record, **pairs, "tried": tried})
