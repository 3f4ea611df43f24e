"""Log the gradient norms of a training, once an optimizer step, without waiting for the device."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer

from automl import PluginError
from automl_lr_refinement.norms import Clip, NormLog, save

CHUNK = 100  # steps between copies from the device
SHARDED = {"FSDPStrategy", "ModelParallelStrategy", "DeepSpeedStrategy"}


@dataclass
class Series:
    """The growing log of one optimizer.

    Attributes:
        norms: l1 and l2 of the steps that were copied from the device.
        windows: fraction of the accumulation window of each step.
        rates: learning rates of the groups at each step; where they are tensors, copies of those.
        waiting: (CHUNK, 2) norms that are still on the device, in its first rows.
    """

    norms: list[list[float]] = field(default_factory=list)
    windows: list[float] = field(default_factory=list)
    rates: list[list[Any]] = field(default_factory=list)
    waiting: Tensor | None = None

    def add(self, norms: Tensor, window: float, rates: list[Any]) -> None:
        """Append one step."""
        if self.waiting is None:
            self.waiting = torch.empty(CHUNK, 2, device=norms.device)
        self.waiting[len(self.windows) - len(self.norms)] = norms
        self.windows.append(window)
        self.rates.append(rates)
        if len(self.windows) - len(self.norms) == CHUNK:
            self.flush()

    def flush(self) -> None:
        """Copy what waits on the device."""
        count = len(self.windows) - len(self.norms)
        if self.waiting is not None and count:
            self.norms.extend(self.waiting[:count].cpu().tolist())
            self.rates[-count:] = [[float(rate) for rate in row] for row in self.rates[-count:]]

    def state(self) -> dict[str, Any]:
        """Return the log as plain lists."""
        self.flush()
        return {"norms": self.norms, "windows": self.windows, "rates": self.rates}

    def log(self, optimizer: Optimizer, clip: Clip) -> NormLog:
        """Return the log as a record."""
        self.flush()
        norms = np.asarray(self.norms, dtype=np.float64).reshape(-1, 2)
        groups = len(self.rates[0]) if self.rates else len(optimizer.param_groups)
        rates = np.asarray(self.rates, dtype=np.float64).reshape(len(self.norms), groups)
        windows = np.asarray(self.windows, dtype=np.float64)
        return NormLog(norms[:, 0], norms[:, 1], windows, rates, type(optimizer).__name__, clip)


class NormLogger(Callback):
    """Log the l1 and l2 norm of every gradient that an optimizer is about to use.

    Lightning calls `on_before_optimizer_step` once an optimizer step: after accumulation, after
    gradients were averaged over processes and unscaled, before clipping; also in manual
    optimization. Norms are kept in the checkpoint, so that a resumed training goes on.

    Args:
        path: of the `.npz` file that is written when training has ended.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.series: dict[int, Series] = {}
        self.backwards = 0

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Refuse strategies whose gradients are in pieces."""
        del pl_module
        if (name := type(trainer.strategy).__name__) in SHARDED:
            raise PluginError(
                f"lr_refinement: {name} keeps gradients in shards, whose norms are not logged; "
                "use one device or ddp"
            )

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Count the batches of the accumulation window."""
        del trainer, pl_module
        self.backwards += 1

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer
    ) -> None:
        """Log one step."""
        index = next(i for i, known in enumerate(trainer.optimizers) if known is optimizer)
        window = 1.0
        if pl_module.automatic_optimization:
            window = self.backwards / trainer.accumulate_grad_batches
        self.backwards = 0
        found = norms(gradients(optimizer)) / loss_scale(trainer, optimizer)
        rates = [kept(group["lr"]) for group in optimizer.param_groups]
        self.series.setdefault(index, Series()).add(found, window, rates)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the file, and let all processes wait until it is there."""
        del pl_module
        if trainer.is_global_zero:
            save(self.path, self.logs(trainer))
        trainer.strategy.barrier()

    def logs(self, trainer: Trainer) -> list[NormLog]:
        """Return the log of each optimizer."""
        clip = Clip(float(trainer.gradient_clip_val or 0), clip_algorithm(trainer))
        return [
            self.series.get(index, Series()).log(optimizer, clip)
            for index, optimizer in enumerate(trainer.optimizers)
        ]

    def state_dict(self) -> dict[str, Any]:
        """Return what the checkpoint keeps."""
        series = {str(index): series.state() for index, series in self.series.items()}
        return {"series": series, "backwards": self.backwards}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.series = {
            int(index): Series(state["norms"], state["windows"], state["rates"])
            for index, state in state_dict["series"].items()
        }
        self.backwards = state_dict["backwards"]


def clip_algorithm(trainer: Trainer) -> str:
    """Return the name of the clipping algorithm; Lightning's default is by norm."""
    chosen = trainer.gradient_clip_algorithm
    return "norm" if chosen is None else str(getattr(chosen, "value", chosen))


def gradients(optimizer: Optimizer) -> list[Tensor]:
    """Return every gradient that the optimizer is about to use."""
    found = (p.grad for group in optimizer.param_groups for p in group["params"])
    return [
        grad.coalesce().values() if grad.is_sparse else grad for grad in found if grad is not None
    ]


def norms(gradients: Sequence[Tensor]) -> Tensor:
    """Return the l1 and l2 norm of all gradients as one vector.

    Norms are summed in single precision: a half-precision sum of absolute values overflows.

    Args:
        gradients: of any shapes, on one device or several.

    Returns:
        (2,) on the device of the first; not a number if there are no gradients.
    """
    if not gradients:
        return torch.full((2,), torch.nan)
    if all(grad.dtype == torch.float32 for grad in gradients):
        return torch.stack([get_total_norm(gradients, 1.0), get_total_norm(gradients, 2.0)])
    device = gradients[0].device
    each = [
        [torch.linalg.vector_norm(g, order, dtype=torch.float32).to(device) for g in gradients]
        for order in (1, 2)
    ]
    return torch.stack([torch.stack(each[0]).sum(), torch.stack(each[1]).norm()])


def kept(rate: float | Tensor) -> float | Tensor:
    """Return a learning rate as it is now: a tensor changes in place, and stays on its device."""
    return rate.detach().clone() if isinstance(rate, Tensor) else float(rate)


def loss_scale(trainer: Trainer, optimizer: Optimizer) -> Tensor | float:
    """Return the factor that the gradients still carry: that of optimizers that unscale themselves.

    `get_scale` of the scaler would wait for the device, so its tensor is read where it has one.
    """
    scaler = getattr(trainer.precision_plugin, "scaler", None)
    if scaler is None or not getattr(optimizer, "_step_supports_amp_scaling", False):
        return 1.0
    scale: Tensor | None = getattr(scaler, "_scale", None)
    return float(scaler.get_scale()) if scale is None else scale
