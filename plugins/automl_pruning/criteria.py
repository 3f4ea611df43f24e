"""How important each weight is, and the order in which the weights of a unit go.

- magnitude: |w|.
- activation: |w| ||x||, the norm over the calibration inputs of what the weight multiplies
  (Sun, Liu, Bair and Kolter, "A Simple and Effective Pruning Approach for Large Language Models",
  ICLR 2024; there the comparison is within each output, here within each unit).
- fisher: |w| sqrt(F), where F is the mean square of the gradient of the log-likelihood of a class
  drawn from the model's own prediction: the diagonal of the Fisher information.

Where what a weight multiplies is not seen (the output of PyTorch's own attention), the norm is 1.
All three are on the scale of |w|, so that squares of them add up like squared weights.
"""

from collections.abc import Iterable
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from automl_pruning.forward import Inputs, call, part, samples, still
from automl_pruning.units import CONVOLUTIONS, Unit, flat, turned

Criterion: TypeAlias = Literal["magnitude", "activation", "fisher"]
DRAWS = 64  # calibration samples of the Fisher information: one backward pass each


def importances(
    model: nn.Module, units: Iterable[Unit], criterion: Criterion, inputs: Inputs
) -> list[Tensor]:
    """Return how important each weight is.

    Args:
        model: left as it is.
        units: L of them.
        criterion: see the module.
        inputs: calibration samples.

    Returns:
        L vectors (size,), not negative.
    """
    weights = {name: p.detach() for name, p in model.named_parameters()}
    match criterion:
        case "magnitude":
            factors = {name: torch.ones_like(w) for name, w in weights.items()}
        case "activation":
            factors = input_norms(model, inputs)
        case "fisher":
            factors = gradient_norms(model, inputs)
    scores = {name: w.abs() * factors.get(name, torch.ones_like(w)) for name, w in weights.items()}
    return [flat(scores, unit) for unit in units]


def order(score: Tensor) -> Tensor:
    """Return each weight's place (n,) in the order of importance: 0 stays longest.

    Ties go by index, so the order is the same on every device and in every process.
    """
    ranks = torch.empty(len(score), dtype=torch.int64, device=score.device)
    places = torch.argsort(score, descending=True, stable=True)
    ranks[places] = torch.arange(len(score), device=score.device)
    return ranks


def input_norms(model: nn.Module, inputs: Inputs) -> dict[str, Tensor]:
    """Return, for each weight of a linear map or convolution, the norm of what it multiplies."""
    squares: dict[str, Tensor] = {}
    names = {id(p): name for name, p in model.named_parameters()}

    def add(weight: Tensor, energy: Tensor) -> None:
        name = names[id(weight)]
        squares[name] = squares.get(name, torch.zeros_like(weight)) + energy

    def see(module: nn.Module, given: tuple[Tensor, ...]) -> None:
        if isinstance(module, nn.Linear):
            add(module.weight, given[0].reshape(-1, module.in_features).square().sum(0))
        elif isinstance(module, nn.MultiheadAttention) and module.in_proj_weight is not None:
            add(module.in_proj_weight, given[0].reshape(-1, module.embed_dim).square().sum(0))
        elif isinstance(module, CONVOLUTIONS):
            add(module.weight, channel_energy(module, given[0]))
        elif turned(module):
            weight = module.get_parameter("weight")
            add(weight, given[0].reshape(-1, len(weight)).square().sum(0).unsqueeze(1))

    handles = [module.register_forward_pre_hook(see) for module in model.modules()]
    try:
        with still(model), torch.no_grad():
            call(model, inputs)
    finally:
        for handle in handles:
            handle.remove()
    return {name: energy.sqrt() for name, energy in squares.items()}


def channel_energy(module: nn.Conv1d | nn.Conv2d | nn.Conv3d, images: Tensor) -> Tensor:
    """Return the energy of the input channel of each weight, shaped to broadcast to the weight."""
    axes = [axis for axis in range(images.ndim) if axis != 1]
    energy = images.square().sum(axes).reshape(module.groups, 1, -1)  # (G, 1, inputs of a group)
    rows = energy.expand(-1, module.out_channels // module.groups, -1).flatten(0, 1)
    return rows.reshape(*rows.shape, *[1] * (module.weight.ndim - 2))


def gradient_norms(model: nn.Module, inputs: Inputs) -> dict[str, Tensor]:
    """Return the root of the diagonal of the Fisher information of each weight."""
    generator = torch.Generator().manual_seed(0)
    squares = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    rows = min(DRAWS, samples(inputs))
    with still(model), torch.enable_grad():
        for row in range(rows):
            logits = call(model, part(inputs, row, row + 1))
            logs = logits.flatten(0, -2).log_softmax(dim=-1)
            drawn = torch.multinomial(logs.detach().exp().cpu(), 1, generator=generator)
            likelihood = logs.gather(1, drawn.to(logs.device)).sum()
            gradients = torch.autograd.grad(likelihood, list(trained.values()), allow_unused=True)
            for name, gradient in zip(trained, gradients, strict=True):
                if gradient is not None:
                    squares[name] += gradient.square() / rows
    return {name: square.sqrt() for name, square in squares.items()}
