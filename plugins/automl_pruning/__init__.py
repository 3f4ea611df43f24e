"""Prune a trained model, every budget from one measurement: the plugin `pruning`."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import automl
from automl_pruning.options import Options as PruningOptions
from automl_pruning.options import front, proposed
from automl_pruning.report import sections


class Pruning:
    """Trade the size of a trained model for its quality.

    Source: Xu et al., "Efficient Joint Optimization of Layer-Adaptive Weight Pruning in Deep Neural
    Networks", ICCV 2023; `docs/plugins/pruning.md` has the mathematics and where it departs.
    """

    Options = PruningOptions

    def __init__(self, options: PruningOptions) -> None:
        self.options = options

    @automl.hookimpl
    def space(self) -> Mapping[str, Any]:
        """Propose density, allocator, and how to finetune."""
        return proposed(self.options)

    @automl.hookimpl
    def starts(self, space: automl.Space) -> Iterator[Mapping[str, Any]]:
        """Begin with points of the one-pass front, finetuned as the default is."""
        return front(self.options, space)

    @automl.hookimpl
    def preview(self, job: automl.Job) -> Iterator[automl.Section]:
        """List the units that would be pruned."""
        from automl_pruning import stages

        yield stages.preview(job, self.options)

    @automl.hookimpl
    def prepare(self, job: automl.Job) -> None:
        """Train the dense model once, where only pruning is searched."""
        from automl_pruning import stages

        stages.prepare(job, self.options)

    @automl.hookimpl
    def train(self, job: automl.Job) -> bool | None:
        """Take the dense model that is there, if there is one."""
        from automl_pruning import stages

        return stages.train(job, self.options)

    @automl.hookimpl
    def refine(self, job: automl.Job) -> Iterator[automl.Point]:
        """Prune the trained model at many densities, then at the trial's own."""
        from automl_pruning import stages

        return stages.refine(job, self.options)

    @automl.hookimpl
    def measure(self, job: automl.Job) -> Mapping[str, float]:
        """Count the weights that are left."""
        from automl_pruning import stages

        return stages.measure(job, self.options)

    @automl.hookimpl
    def report(self, history: automl.History) -> Iterable[automl.Section]:
        """Show what was predicted and what came true."""
        return sections(history)
