"""The gradient norms of a run, one entry for each optimizer step, as a record and a file."""

import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from automl_lr_refinement.refine import Array

Kind: TypeAlias = Literal["l1", "l2"]
COLUMNS = ("l1", "l2", "window", "lr")


@dataclass(frozen=True, slots=True)
class Clip:
    """How the trainer clips gradients; `value` 0 clips nothing."""

    value: float = 0.0
    algorithm: str = "norm"


@dataclass(frozen=True, slots=True, eq=False)
class NormLog:
    """What one optimizer saw.

    Attributes:
        l1: (T,) sum of absolute gradients before clipping; not finite where a step was skipped.
        l2: (T,) Euclidean norm likewise.
        window: (T,) fraction of the accumulation window that was filled: the last one of an epoch
            may be shorter, and its gradient is smaller by this factor.
        lr: (T, groups) learning rates.
        optimizer: class name.
        clip: what the trainer did to the gradients next.
    """

    l1: Array
    l2: Array
    window: Array
    lr: Array
    optimizer: str
    clip: Clip

    @property
    def steps(self) -> int:
        """Number of optimizer steps."""
        return int(self.l2.size)

    def effective(self, kind: Kind, *, clipped: bool = True) -> Array:
        """Return (T,) norms of the gradient that a full window would have handed to the optimizer.

        Clipping by value depends on each entry and is left out.

        Args:
            kind: of the norm.
            clipped: whether the trainer's clipping by norm counts.
        """
        raw = self.l1 if kind == "l1" else self.l2
        if clipped and self.clip.value > 0 and self.clip.algorithm == "norm":
            raw = raw * np.minimum(1.0, self.clip.value / np.maximum(self.l2, 1e-30))
        return np.asarray(raw / self.window)

    def sha256(self) -> str:
        """Return a hash of all that was seen."""
        return hashlib.sha256(to_bytes([self])).hexdigest()


def to_bytes(logs: Sequence[NormLog]) -> bytes:
    """Write the logs of all optimizers as an uncompressed `.npz` with a JSON header."""
    header = [{"optimizer": log.optimizer, "clip": asdict(log.clip)} for log in logs]
    columns = {
        f"{number}.{name}": getattr(log, name).astype(np.float32)
        for number, log in enumerate(logs)
        for name in COLUMNS
    }
    file = io.BytesIO()
    np.savez(file, header=np.array(json.dumps(header)), allow_pickle=False, **columns)
    return file.getvalue()


def save(path: Path, logs: Sequence[NormLog]) -> None:
    """Write the logs of all optimizers; the file is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_bytes(to_bytes(logs))
    part.replace(path)


def load(path: Path) -> tuple[NormLog, ...]:
    """Read what `save` wrote: one log for each optimizer."""
    with np.load(path, allow_pickle=False) as file:
        header: list[dict[str, Any]] = json.loads(str(file["header"]))
        return tuple(
            NormLog(
                **{name: file[f"{number}.{name}"].astype(np.float64) for name in COLUMNS},
                optimizer=entry["optimizer"],
                clip=Clip(**entry["clip"]),
            )
            for number, entry in enumerate(header)
        )
