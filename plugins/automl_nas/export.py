"""What is left of a search: an architecture as JSON, its weights, and a plain module of both."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter
from torch import nn

from automl import PluginError
from automl_nas.backbone import stand_alone
from automl_nas.choices import choose, replaced
from automl_nas.notes import write
from automl_nas.options import NasOptions
from automl_nas.space import AnySpace, Architecture, Own, indices, named

FILE = "architecture.json"
WEIGHTS = "architecture.pt"


def save(
    folder: Path,
    options: NasOptions,
    architecture: Architecture,
    state: Mapping[str, torch.Tensor],
    facts: Mapping[str, Any],
) -> None:
    """Write an architecture, what is known of it, and the weights of the model that holds it.

    Args:
        folder: to write to.
        options: of the plugin.
        architecture: operations by index.
        state: the state dict of the whole model.
        facts: metrics and estimates.
    """
    describe(folder, options, architecture, facts)
    weights = {name: value.detach().cpu() for name, value in state.items()}
    torch.save({"state_dict": weights}, folder / WEIGHTS)


def describe(
    folder: Path, options: NasOptions, architecture: Architecture, facts: Mapping[str, Any]
) -> None:
    """Write an architecture and what is known of it."""
    costs = options.space.costs(architecture)
    content = {
        "architecture": named(options.space, architecture),
        "form": options.space.canonical(architecture),
        "space": options.space.model_dump(mode="json"),
        "attribute": options.attribute,
        "parameters": costs.parameters if costs else None,
        "macs": costs.macs if costs else None,
        "rebuild": "automl_nas.export.rebuild",  # `automl.load` calls it
        **facts,
    }
    write(folder / FILE, content)


def rebuild(model: nn.Module, weights: Mapping[str, torch.Tensor], plan: Mapping[str, Any]) -> None:
    """Put the network of an architecture into a fresh model, and its weights.

    Args:
        model: as its class builds it.
        weights: the state dict of the model that was trained.
        plan: what `describe` wrote.
    """
    space: Any = TypeAdapter(AnySpace).validate_python(plan["space"])
    if isinstance(space, Own):
        choose(model, plan["architecture"])
        replaced(model)
    else:
        network = stand_alone(space, indices(space, plan["architecture"]))
        setattr(model, plan["attribute"], network)
    model.load_state_dict(weights)


def weights_of(path: Path) -> Any:
    """Read the state dict of a training, of a trial or of the preparation."""
    content = torch.load(path, map_location="cpu", weights_only=True)
    return content["state_dict" if "state_dict" in content else "state"]


def load(folder: Path) -> nn.Module:
    """Return the stand-alone network of a trial's folder, with its weights, in evaluation mode.

    Raises:
        PluginError: the network is the user's own model; `automl export` and `automl.load` it.
    """
    content = json.loads((folder / FILE).read_text(encoding="utf-8"))
    space: Any = TypeAdapter(AnySpace).validate_python(content["space"])
    if isinstance(space, Own):
        raise PluginError(f"{folder}: a model of your own; use automl export and automl.load")
    network = stand_alone(space, indices(space, content["architecture"]))
    state = weights_of(folder / WEIGHTS)
    head = content["attribute"] + "."
    network.load_state_dict(
        {name.removeprefix(head): v for name, v in state.items() if name.startswith(head)}
    )
    return network.eval()
