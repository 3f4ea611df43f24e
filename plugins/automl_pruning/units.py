"""Find what is pruned with one rate: the weights of convolutions, linear maps and attention."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from automl_pruning.forward import Inputs, call, samples, still

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
LAYERS = (nn.Linear, *CONVOLUTIONS, *TRANSPOSED)
PROJECTIONS = re.compile(r"(?:to_|w_?)?(q|k|v|query|key|value)(?:_?(?:proj|lin|linear))?")
SHARE = 0.01  # least share of a unit's weights that stays


@dataclass(frozen=True, slots=True)
class Unit:
    """Weights that are pruned with one rate.

    Attributes:
        name: of the module, or of the attention whose projections these are.
        weights: names of the parameters; one that several modules share is there once.
        modules: names of the modules that use them.
        shapes: of the parameters.
        size: number of weights.
        floor: least number of weights that stays: one an output, and one in a hundred.
        positions: how often an input uses each weight, which is its multiply-accumulates.
    """

    name: str
    weights: tuple[str, ...]
    modules: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    size: int
    floor: int
    positions: float = 1.0


def find_units(
    model: nn.Module, inputs: Inputs | None = None, exclude: Iterable[str] = ()
) -> tuple[Unit, ...]:
    """Return the units of a model in the order of its modules.

    Embeddings, normalizations, biases, depthwise convolutions and parametrized weights are none.

    Args:
        model: any module.
        inputs: an example, to count how often each weight is used; without it all count alike.
        exclude: regular expressions; a unit with a name in which one is found is left alone.

    Raises:
        ValueError: nothing is left to prune.
    """
    patterns = [re.compile(text) for text in exclude]
    groups: dict[str, dict[str, list[str]]] = {}
    names = {id(p): name for name, p in model.named_parameters()}  # the first name of a shared one
    owner: dict[str, str] = {}
    for group, module, weight in prunable(model):
        first = names[id(weight)]
        unit = owner.setdefault(first, group)
        groups.setdefault(unit, {}).setdefault(first, []).append(module)
    parameters = dict(model.named_parameters())
    uses = {} if inputs is None else count_uses(model, inputs)
    across = {names[id(m.weight)] for m in model.modules() if turned(m)}
    units = tuple(
        make_unit(name, parts, parameters, uses, across)
        for name, parts in groups.items()
        if not any(pattern.search(name) for pattern in patterns)
    )
    if not units:
        raise ValueError(
            f"{type(model).__name__}: nothing to prune among {len(groups)} units; "
            "it needs convolutions or linear maps that `exclude` leaves"
        )
    return units


def prunable(model: nn.Module) -> Iterator[tuple[str, str, nn.Parameter]]:
    """Yield (unit, module, weight) for each weight that may be pruned."""
    modules = dict(model.named_modules())
    for name, module in modules.items():
        if isinstance(module, nn.MultiheadAttention):
            for part in ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight"):
                if isinstance(weight := getattr(module, part), nn.Parameter):
                    yield f"{name}.in_proj".lstrip("."), name, weight
        elif isinstance(module, LAYERS) or turned(module):
            weight = module._parameters.get("weight")  # noqa: SLF001 - a parametrized one is not there
            if weight is not None and not depthwise(module):
                yield attention_of(name, modules) or name or "model", name, weight


def turned(module: nn.Module) -> bool:
    """Say whether a module is the linear map of transformers whose weight is (inputs, outputs)."""
    names = {f"{kind.__module__}.{kind.__name__}" for kind in type(module).__mro__}
    return "transformers.pytorch_utils.Conv1D" in names


def depthwise(module: nn.Module) -> bool:
    """Say whether a convolution maps each channel by itself."""
    groups = getattr(module, "groups", 1)
    return groups > 1 and groups == getattr(module, "in_channels", 0)


def attention_of(name: str, modules: dict[str, nn.Module]) -> str | None:
    """Return the unit of a linear map that is one of an attention's three projections."""
    parent, _, last = name.rpartition(".")
    if not PROJECTIONS.fullmatch(last):
        return None
    beside = [child for child, _ in modules[parent].named_children()]
    kinds = {match[1][0] for child in beside if (match := PROJECTIONS.fullmatch(child))}
    return f"{parent}.qkv".lstrip(".") if kinds == {"q", "k", "v"} else None


def make_unit(
    name: str,
    parts: dict[str, list[str]],
    parameters: dict[str, nn.Parameter],
    uses: dict[str, float],
    across: Collection[str] = (),
) -> Unit:
    """Describe one unit; weights that are named in `across` have their outputs last."""
    shapes = tuple(tuple(parameters[weight].shape) for weight in parts)
    size = sum(parameters[weight].numel() for weight in parts)
    modules = tuple(module for owners in parts.values() for module in owners)
    outputs = sum(parameters[weight].shape[-1 if weight in across else 0] for weight in parts)
    floor = max(outputs, round(SHARE * size))
    used = sum(
        parameters[weight].numel() * sum(uses.get(module, 0.0) for module in owners)
        for weight, owners in parts.items()
    )
    return Unit(
        name, tuple(parts), modules, shapes, size, min(floor, size), used / size if uses else 1.0
    )


def count_uses(model: nn.Module, inputs: Inputs) -> dict[str, float]:
    """Return how often one input uses each weight of each module: its output positions."""
    uses: dict[str, float] = {}
    batch = samples(inputs)

    def count(name: str, module: nn.Module, output: Tensor | tuple[Tensor, ...]) -> None:
        tensor = output if isinstance(output, Tensor) else output[0]
        width = getattr(module, "out_channels", getattr(module, "out_features", tensor.shape[-1]))
        names = [name]
        if isinstance(module, nn.MultiheadAttention):  # it never calls the module of its output
            names.append(f"{name}.out_proj".lstrip("."))
        for used in names:
            uses[used] = uses.get(used, 0.0) + tensor.numel() / width / batch

    handles = [
        module.register_forward_hook(lambda m, _, out, name=name: count(name, m, out))
        for name, module in model.named_modules()
        if isinstance(module, (nn.MultiheadAttention, *LAYERS)) or turned(module)
    ]
    try:
        with still(model), torch.no_grad():
            call(model, inputs)
    finally:
        for handle in handles:
            handle.remove()
    return uses


def flat(tensors: Mapping[str, Tensor], unit: Unit) -> Tensor:
    """Return a unit's part of tensors by weight name as one vector (size,)."""
    return torch.cat([tensors[name].detach().reshape(-1) for name in unit.weights])


def parts(vector: Tensor, unit: Unit) -> dict[str, Tensor]:
    """Cut a vector (size,) into tensors shaped like the unit's weights."""
    sizes = [int(torch.Size(shape).numel()) for shape in unit.shapes]
    pieces = torch.split(vector, sizes)
    return {
        name: piece.reshape(shape)
        for name, piece, shape in zip(unit.weights, pieces, unit.shapes, strict=True)
    }
