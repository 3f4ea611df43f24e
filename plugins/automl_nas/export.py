"""What is left of a search: an architecture as JSON, its weights, and a plain module of both."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter
from torch import nn

from automl_nas.backbone import stand_alone
from automl_nas.notes import write
from automl_nas.options import NasOptions
from automl_nas.space import AnySpace, Architecture, indices, named

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
    costs = options.space.costs(architecture)
    content = {
        "architecture": named(options.space, architecture),
        "form": options.space.canonical(architecture),
        "space": options.space.model_dump(mode="json"),
        "attribute": options.attribute,
        "parameters": costs.parameters if costs else None,
        "macs": costs.macs if costs else None,
        **facts,
    }
    write(folder / FILE, content)
    weights = {name: value.detach().cpu() for name, value in state.items()}
    torch.save({"state": weights}, folder / WEIGHTS)


def load(folder: Path) -> nn.Module:
    """Return the stand-alone network of a trial's folder, with its weights, in evaluation mode.

    Raises:
        ValueError: the network is the user's own model; load its checkpoint instead.
    """
    content = json.loads((folder / FILE).read_text(encoding="utf-8"))
    space: Any = TypeAdapter(AnySpace).validate_python(content["space"])
    network = stand_alone(space, indices(space, content["architecture"]))
    state = torch.load(folder / WEIGHTS, map_location="cpu", weights_only=True)["state"]
    head = content["attribute"] + "."
    network.load_state_dict(
        {name.removeprefix(head): v for name, v in state.items() if name.startswith(head)}
    )
    return network.eval()
