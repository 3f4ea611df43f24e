"""What is left of a pruned model: a plain checkpoint and `pruning.json`, which says what was done.

`pruning.json` holds the masks as bits (most significant first, in base64), so that they can be
laid on another checkpoint of the same model: `masks_of(path)` reads them.
"""

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from automl_pruning.masks import Masks, pack, unpack
from automl_pruning.units import Unit

FORMAT = 1


def plan_of(units: tuple[Unit, ...], masks: Masks, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Describe a pruned model: how it was made, what each unit keeps, and the masks."""
    kept = [sum(int(masks[name].sum()) for name in unit.weights) for unit in units]
    return {
        "format": FORMAT,
        "settings": dict(settings),
        "density": sum(kept) / sum(unit.size for unit in units),
        "units": [
            {"name": unit.name, "weights": list(unit.weights), "size": unit.size, "kept": count}
            for unit, count in zip(units, kept, strict=True)
        ],
        "masks": {
            name: {
                "shape": entry["shape"],
                "bits": base64.b64encode(entry["bits"].numpy().tobytes()).decode("ascii"),
            }
            for name, entry in pack(masks).items()
        },
    }


def write_json(path: Path, data: Any) -> None:
    """Write a JSON file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json.dumps(data, indent=1), encoding="utf-8")
    partial.replace(path)


def masks_of(path: Path) -> Masks:
    """Read the masks of a `pruning.json`.

    Raises:
        ValueError: the file is of another format.
    """
    plan = json.loads(path.read_text(encoding="utf-8"))
    if plan.get("format") != FORMAT:
        raise ValueError(f"{path}: format {plan.get('format')!r}; this version reads {FORMAT}")
    return unpack(
        {
            name: {
                "shape": entry["shape"],
                "bits": torch.from_numpy(
                    np.frombuffer(base64.b64decode(entry["bits"]), dtype=np.uint8).copy()
                ),
            }
            for name, entry in plan["masks"].items()
        }
    )


def sizes(model: nn.Module, units: tuple[Unit, ...]) -> dict[str, float]:
    """Return what a pruned model costs in theory: none of these is a measured speed.

    `density` is that of the prunable weights; `nonzero` counts all parameters that are not zero;
    `nonzero_macs` is multiply-accumulates of one sample with weights that are not zero, in the
    units alone; `compressed_mb` is 10^6 bytes of the parameters if a pruned one is stored as a bit
    for each weight and the values that stay.
    """
    parameters = dict(model.named_parameters())
    left = {name: int(torch.count_nonzero(p)) for name, p in parameters.items()}
    unit_left = [sum(left[name] for name in unit.weights) for unit in units]
    return {
        "density": sum(unit_left) / sum(unit.size for unit in units),
        "nonzero": float(sum(left.values())),
        "nonzero_macs": sum(n * unit.positions for n, unit in zip(unit_left, units, strict=True)),
        "compressed_mb": sum(stored(p, left[name]) for name, p in parameters.items()) / 10**6,
    }


def stored(parameter: Tensor, left: int) -> float:
    """Return the bytes of a parameter: as it is, or as a bit a weight and the values that stay."""
    dense = parameter.numel() * parameter.element_size()
    return min(dense, left * parameter.element_size() + parameter.numel() / 8)
