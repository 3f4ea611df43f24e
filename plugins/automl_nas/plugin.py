"""The plugin's hooks; what needs torch is imported when a trial's process calls for it."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from automl import Choice, History, Job, PluginError, Point, Section, hookimpl
from automl_nas.options import NasOptions
from automl_nas.space import Architecture, indices

if TYPE_CHECKING:
    from automl_nas.verdict import Knowledge, Verdict


class Nas:
    """Search architectures; a trial trains only what calibrated supernets do not rule out.

    Args:
        options: of the study, with the trial's architecture in a trial.
    """

    Options = NasOptions

    def __init__(self, options: NasOptions) -> None:
        self.options = options
        try:
            self.architecture: Architecture = indices(options.space, options.architecture)
        except ValueError as error:
            raise PluginError(f"nas: architecture: {error}") from error
        self.after: Iterator[Point] = iter(())

    @hookimpl
    def space(self) -> dict[str, Choice]:
        """Propose the operation of each edge."""
        edges = self.options.space.edges
        return {f"architecture.{edge.name}": Choice(edge.operations) for edge in edges}

    @hookimpl
    def prepare(self, job: Job) -> None:
        """Train supernets and what calibrates them, unless every trial trains anyway.

        So it does where no edge is searched, as when a point is trained again.
        """
        given = self.options.architecture.keys()
        searched = [edge for edge in self.options.space.edges if edge.name not in given]
        if self.options.evaluation != "train" and searched:
            from automl_nas.prepare import prepare

            prepare(job, self.options)

    @hookimpl
    def build(self, job: Job) -> None:
        """Put the network of the trial's architecture into the model."""
        from automl_nas.supernets import open_alone

        job.model = open_alone(job, self.options, self.architecture)

    @hookimpl
    def train(self, job: Job) -> bool | None:
        """Skip the training of what is known, ruled out or cannot learn."""
        from automl_nas.notes import read_plan
        from automl_nas.trial import load_known
        from automl_nas.verdict import judged, knowledge

        plan = read_plan(job.shared)
        if plan is None:
            self.after = self.exported(job)
            return None
        known = knowledge(job, plan)
        verdict = judged(job, self.options, self.architecture, known)
        self.after = self.points(job, known, verdict)
        estimate = {} if verdict.estimate is None else {"nas_estimate": verdict.estimate}
        job.log(nas_trained=float(verdict.action in {"train", "known"}), **estimate)
        if verdict.action == "estimate" and verdict.estimate is not None:
            job.log(**{plan.metric: verdict.estimate})
        load_known(job, self.options, self.architecture, verdict)
        return None if verdict.action == "train" else True

    @hookimpl
    def refine(self, job: Job) -> Iterable[Point]:
        """Keep a training for later trials; tell what else is known as points."""
        del job
        return self.after

    def exported(self, job: Job) -> Iterator[Point]:
        """Export the architecture of a trial that trains without estimates."""
        from automl_nas.export import save

        facts = {"metrics": dict(job.metrics)}
        save(job.folder, self.options, self.architecture, job.model.state_dict(), facts)
        yield from ()

    def points(self, job: Job, known: "Knowledge", verdict: "Verdict") -> Iterator[Point]:
        """Write down what the trial was, and yield further points."""
        from automl_nas.trial import keep, neighbours, told

        if verdict.action == "train":
            keep(job, self.options, self.architecture, verdict)
        yield from told(job, self.options, known)
        if verdict.action == "estimate" and self.options.neighbours:
            yield from neighbours(job, self.options, self.architecture, known)

    @hookimpl
    def report(self, history: History) -> Iterable[Section]:
        """Show the split tree, how estimates agree with the truth, and the best cells."""
        from automl_nas.report import sections

        return sections(history, self.options)
