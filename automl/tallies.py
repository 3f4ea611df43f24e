"""What a fit has logged since the epoch began: sums that become the epoch's means at its end."""

from collections.abc import Mapping
from typing import Any

from torchmetrics import Metric

SUMS = ("value", "cumulated_batch_size")


def logged(trainer: Any) -> dict[str, dict[str, Any]]:
    """Return the sums behind what the model logs once an epoch."""
    results = trainer.fit_loop.epoch_loop._results  # noqa: SLF001 - Lightning saves them nowhere
    return {
        key: {name: getattr(one, name) for name in SUMS if hasattr(one, name)}
        for key, one in results.items()
        if one.is_tensor and one.meta.on_epoch and not one.has_reset
    }


def add(trainer: Any, before: dict[str, dict[str, Any]]) -> None:
    """Add earlier sums to those of what has been logged again by now, and forget them."""
    for key, one in trainer.fit_loop.epoch_loop._results.items():  # noqa: SLF001 - as above
        if key not in before or one.has_reset:
            continue
        sums = {name: kept.to(one.value.device) for name, kept in before.pop(key).items()}
        if one.meta.is_max_reduction or one.meta.is_min_reduction:
            one.value = one.meta.reduce_fx(one.value, sums["value"])
        else:
            for name, kept in sums.items():
                setattr(one, name, getattr(one, name) + kept)
        one._computed = None  # noqa: SLF001 - the mean that it may have made


def metrics_in(module: Any) -> dict[str, Metric]:
    """Return the metrics that a model is made with, by name."""
    return {name: one for name, one in module.named_modules() if isinstance(one, Metric)}


def counts(module: Any) -> dict[str, int]:
    """Say how often each metric of a model has been updated."""
    return {name: one.update_count for name, one in metrics_in(module).items()}


def accumulated(module: Any) -> dict[str, dict[str, Any]]:
    """Return what the metrics of a model have gathered, which its `state_dict` leaves out."""
    return {
        name: {"count": one.update_count, "state": dict(one.metric_state)}
        for name, one in metrics_in(module).items()
    }


def put_back(module: Any, before: Mapping[str, Mapping[str, Any]]) -> None:
    """Give the metrics of a model what they had gathered."""
    for name, one in metrics_in(module).items():
        if name in before:
            one._update_count = before[name]["count"]  # noqa: SLF001 - it has no setter
            for key, value in before[name]["state"].items():
                setattr(one, key, value)
            one.to(module.device)
