"""Remove whole channels: a small dense model, with the widths chosen by the knapsack.

Which channels hang together is found by the library torch-pruning (Fang et al., "DepGraph: Towards
Any Structural Pruning", CVPR 2023), which also cuts them out. Here each group of coupled channels
has a distortion curve: the least important channels, by the norms of everything that goes with
them, are hidden from all that reads them. The knapsack shares the cost, counted as if the widths
of other groups stayed. They do not, so what it is given to spend is lowered until the exact cost
of all widths together fits. Needs `pip install 'automl[channels]'`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from automl_pruning import knapsack
from automl_pruning.curves import distance
from automl_pruning.forward import Inputs, call, still
from automl_pruning.repair import batch_statistics
from automl_pruning.units import LAYERS, count_uses

History: TypeAlias = list[tuple[str, bool, list[int]]]  # what torch-pruning replays
STEPS = 8  # widths of a group that are tried


@dataclass(frozen=True, slots=True)
class Group:
    """Channels that can only go together.

    Attributes:
        name: of the layer that puts them out.
        scores: (C,) importance of each channel.
        writers: names of the modules that put them out, with the modules' own indices (C,).
        readers: names of the modules that read them, with the modules' own indices, C rows.
    """

    name: str
    scores: Tensor
    writers: tuple[tuple[str, NDArray[np.int64]], ...]
    readers: tuple[tuple[str, NDArray[np.int64]], ...]

    def least(self, count: int) -> NDArray[np.int64]:
        """Return the `count` least important channels."""
        return np.asarray(torch.argsort(self.scores, stable=True)[:count].numpy())

    def widths(self) -> NDArray[np.int64]:
        """Return numbers of channels that may be removed."""
        channels = len(self.scores)
        return np.unique(np.rint(np.linspace(0, channels * (1 - 1 / STEPS), STEPS))).astype(int)


def shrink(model: nn.Module, inputs: Inputs, share: float, exclude: Iterable[str] = ()) -> History:
    """Remove channels in place until a share of the parameters of prunable layers is left.

    Args:
        model: trained; its layers become smaller.
        inputs: calibration samples, from training data.
        share: of the parameters of convolutions and linear maps.
        exclude: names of layers whose outputs stay as they are; the model's last layer always is.

    Returns:
        What was removed, for `replay`.

    Raises:
        ValueError: the least widths are still larger than that, or the model cannot be traced.
    """
    graph = trace(model, inputs)
    groups = find_groups(graph, model, {*exclude, last_layer(model, inputs)})
    removed = choose(model, inputs, groups, share)
    for group, count in zip(groups, removed, strict=True):
        if count:
            cut(graph, model.get_submodule(group.name), group.least(count).tolist())
    with still(model), torch.no_grad():
        call(model, inputs)  # a model that no longer runs is found here
    history: History = [(name, out, list(ids)) for name, out, ids in graph.pruning_history()]
    return history


def replay(model: nn.Module, inputs: Inputs, history: History) -> None:
    """Remove the same channels from a fresh model, whose shapes then fit a shrunk checkpoint."""
    trace(model, inputs).load_pruning_history(history)


def trace(model: nn.Module, inputs: Inputs) -> Any:
    """Let torch-pruning find which channels hang together."""
    try:
        import torch_pruning
    except ImportError as error:
        raise ValueError("channels: needs torch-pruning; pip install 'automl[channels]'") from error
    model.zero_grad()
    with still(model):
        return torch_pruning.DependencyGraph().build_dependency(model, example_inputs=inputs)


def cut(graph: Any, layer: nn.Module, channels: list[int]) -> None:
    """Remove channels of a layer, and all that goes with them."""
    graph.get_pruning_group(
        layer, graph.get_pruner_of_module(layer).prune_out_channels, channels
    ).prune()


def find_groups(graph: Any, model: nn.Module, exclude: set[str]) -> list[Group]:
    """Return the groups of coupled channels of a traced model."""
    import torch_pruning

    names = {id(module): name for name, module in model.named_modules()}
    importance, groups = torch_pruning.importance.GroupMagnitudeImportance(p=2), []
    ignored = [model.get_submodule(name) for name in exclude]
    kinds = [nn.Conv1d, nn.Conv2d, nn.Linear]
    for group in graph.get_all_groups(ignored_layers=ignored, root_module_types=kinds):
        scores = importance(group)
        if scores is None or len(scores) < 2:
            continue
        writers: list[tuple[str, NDArray[np.int64]]] = []
        readers: list[tuple[str, NDArray[np.int64]]] = []
        for dep, idxs in group:
            if (name := names.get(id(dep.target.module))) is not None:
                side = writers if graph.is_out_channel_pruning_fn(dep.handler) else readers
                side.append((name, np.asarray(idxs).reshape(len(scores), -1)))
        root = names[id(group[0][0].target.module)]
        groups.append(Group(root, scores.detach().cpu(), tuple(writers), tuple(readers)))
    return groups


def choose(model: nn.Module, inputs: Inputs, groups: Sequence[Group], share: float) -> list[int]:
    """Return how many channels each group loses."""
    distortions = [hidden_distortions(model, inputs, group) for group in groups]
    dense = exact_size(model, groups, [0] * len(groups))
    costs = []
    for index, group in enumerate(groups):
        alone = [0] * len(groups)
        sizes = []
        for count in group.widths():
            alone[index] = int(count)
            sizes.append(exact_size(model, groups, alone))
        costs.append(np.array(sizes) - sizes[-1])
    front = knapsack.frontier(distortions, costs)
    budgets = np.unique(np.linspace(0, sum(int(c.max()) for c in costs), 200).astype(int))
    for budget in budgets[::-1]:
        choices = front.at(int(budget))
        removed = [int(g.widths()[c]) for g, c in zip(groups, choices, strict=True)]
        if exact_size(model, groups, removed) <= share * dense:
            return removed
    least = exact_size(model, groups, [int(group.widths()[-1]) for group in groups]) / dense
    raise ValueError(f"channels: a share of {share:.3g} is below the least, {least:.3g}")


def hidden_distortions(model: nn.Module, inputs: Inputs, group: Group) -> NDArray[np.float64]:
    """Return the distortion for each width of one group; the model is left as it is.

    BatchNorm uses the statistics of its batch, dense and pruned alike: the repair of `repair.py`.
    """
    readers = [(model.get_submodule(name), idxs) for name, idxs in group.readers]
    kept = [module.get_parameter("weight").detach().clone() for module, _ in readers]
    outputs = []
    try:
        for count in group.widths():
            for module, idxs in readers:
                with torch.no_grad():
                    module.get_parameter("weight")[:, idxs[group.least(int(count))].ravel()] = 0
            with still(model), batch_statistics(model), torch.no_grad():
                outputs.append(call(model, inputs))
    finally:
        for (module, _), weight in zip(readers, kept, strict=True):
            with torch.no_grad():
                module.get_parameter("weight").copy_(weight)
    found = np.array([distance(outputs[0], output, "mse") for output in outputs])
    return np.asarray(np.minimum.accumulate(found[::-1])[::-1])


def exact_size(model: nn.Module, groups: Sequence[Group], removed: Sequence[int]) -> int:
    """Return the weights of all layers once each group has lost so many channels."""
    rows: dict[str, int] = {}
    columns: dict[str, int] = {}
    for group, count in zip(groups, removed, strict=True):
        for side, found in ((group.writers, rows), (group.readers, columns)):
            for name, idxs in side:
                found[name] = found.get(name, 0) + count * idxs.shape[1]
    total = 0
    for name, module in model.named_modules():
        if isinstance(module, LAYERS):
            out, inner, *kernel = module.get_parameter("weight").shape
            left = (out - rows.get(name, 0)) * (inner - columns.get(name, 0))
            total += left * int(np.prod(kernel, dtype=np.int64))
    return total


def last_layer(model: nn.Module, inputs: Inputs) -> str:
    """Return the name of the layer that is called last: its outputs are the model's."""
    called: Mapping[str, float] = count_uses(model, inputs)
    return next(reversed(dict(called)))
