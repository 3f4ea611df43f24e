"""The plugin: the train stage under a schedule that the study searches."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import automl
from automl_lr_refinement import options as settings

if TYPE_CHECKING:
    from automl_lr_refinement.schedules import Schedule


class LrRefinement:
    """Train under a schedule: an analytic shape, or one refined from gradient norms."""

    Options = settings.Options

    def __init__(self, options: settings.Options) -> None:
        self.options = options
        self.steps = 0  # optimizer steps that the trial has taken, exploration included

    @automl.hookimpl
    def space(self) -> settings.Proposals:
        """Propose the shape, its parameters and the peak."""
        return settings.space(self.options)

    @automl.hookimpl
    def grace(self, study: automl.Study) -> float:
        """Let no trial be stopped early where shapes differ: they compare at their end alone."""
        name = "lr_refinement.shape"
        searched = "shape" not in self.options.model_fields_set or name in study.space
        return math.inf if searched or self.options.shape == "refined" else 0.0

    @automl.hookimpl
    def preview(self, job: automl.Job) -> Iterable[automl.Section]:
        """Show the schedule of the default trial, or say how it will be made.

        The batch that a plan trains follows a schedule, so that a plan finds what fights it.
        """
        from automl_lr_refinement import figures, report, runs
        from automl_lr_refinement.follow import Follow, endless

        if not runs.has_end(job):
            raise endless(-1, -1)
        replaces = self.options.own_scheduler == "replace"
        job.callbacks.append(Follow([runs.analytic(self.options)], replace=replaces))
        refined = self.options.shape == "refined"
        analytic = runs.analytic(self.options)
        part = report.promise(self.options) if refined else figures.picture(analytic)
        return [automl.Section("Learning-rate schedule", (part,))]

    @automl.hookimpl
    def prepare(self, job: automl.Job) -> None:
        """Run the exploration that all trials share, if the study asks for one."""
        if self.options.base == "study":
            from automl_lr_refinement import norms, runs

            explored = runs.explore(job, self.options, 1)
            if explored is not None:
                norms.save(job.shared / "lr_refinement" / "explore-1.npz", explored.logs)

    @automl.hookimpl
    def train(self, job: automl.Job) -> bool:
        """Train the model under the trial's schedule, which is refined first if it asks for it."""
        from automl_lr_refinement import exports, runs

        spent = 0
        follow: Sequence[Schedule] = [runs.analytic(self.options)]
        if self.options.shape == "refined":
            found = runs.refinements(job, self.options)
            if found is None:
                return True
            follow, spent = found
        ended = runs.run(job, self.options, "train", follow)
        if ended is not None:
            self.steps = spent + ended.steps
            exports.export(job, self.options, follow, ended.logs)
        return True

    @automl.hookimpl
    def measure(self, job: automl.Job) -> Mapping[str, float]:
        """Return the optimizer steps of the trial; those of a confirmation do not count."""
        del job
        return {"optimizer_steps": float(self.steps)}

    @automl.hookimpl
    def report(self, history: automl.History) -> Iterable[automl.Section]:
        """Show norms, schedules, peaks, curves and the verdict."""
        from automl_lr_refinement.report import sections

        return sections(history, self.options)
