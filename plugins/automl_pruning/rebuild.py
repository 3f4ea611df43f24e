"""Give a fresh model the shapes of a checkpoint whose channels were cut out, and its weights.

It needs neither an example of an input nor torch-pruning: the shapes are in the checkpoint.
"""

from collections.abc import Mapping

from torch import Tensor, nn

from automl import AutomlError

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
NORMALIZATIONS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.InstanceNorm2d)


def rebuild(
    model: nn.Module, weights: Mapping[str, Tensor], plan: Mapping[str, object] | None = None
) -> None:
    """Load weights of fewer channels than the model was built with.

    Args:
        model: as its class builds it; its layers become smaller.
        weights: the state dict of the shrunk one.
        plan: the file that names this function; not needed, the shapes are in the weights.

    Raises:
        AutomlError: the weights are of another model, or of larger layers.
    """
    del plan
    for name, module in model.named_modules():
        own = {**module._parameters, **module._buffers}  # noqa: SLF001 - not those of modules inside
        for key, tensor in own.items():
            full = f"{name}.{key}".lstrip(".")
            if tensor is not None and full in weights and tensor.shape != weights[full].shape:
                narrow(full, tensor, weights[full])
        describe(module)
    missing, unknown = model.load_state_dict(weights, strict=False)
    if missing or unknown:
        raise AutomlError(
            f"rebuild: the weights are not of a {type(model).__name__}: "
            f"missing {missing[:3]}, unknown {unknown[:3]}; give the model that was pruned"
        )


def narrow(name: str, tensor: Tensor, wanted: Tensor) -> None:
    """Give a tensor the smaller shape of another."""
    smaller = zip(wanted.shape, tensor.shape, strict=False)
    if wanted.ndim != tensor.ndim or any(new > old for new, old in smaller):
        raise AutomlError(
            f"rebuild: {name}: {tuple(wanted.shape)} is not {tuple(tensor.shape)} with channels "
            "cut out; give the model that was pruned"
        )
    tensor.data = tensor.data.new_empty(wanted.shape)


def describe(module: nn.Module) -> None:
    """Write the shape of a layer's weight into the numbers that the layer keeps beside it."""
    if isinstance(module, nn.Linear):
        module.out_features, module.in_features = module.weight.shape
    elif isinstance(module, CONVOLUTIONS):
        module.out_channels = module.weight.shape[0]
        if module.groups > 1 and module.weight.shape[1] == 1:  # one channel each
            module.groups = module.out_channels
        module.in_channels = module.weight.shape[1] * module.groups
    elif isinstance(module, NORMALIZATIONS) and module.affine:
        module.num_features = len(module.weight)
    elif isinstance(module, nn.LayerNorm) and module.elementwise_affine:
        module.normalized_shape = tuple(module.weight.shape)
