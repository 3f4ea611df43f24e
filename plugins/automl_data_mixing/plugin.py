"""The plugin: mixtures of data domains as a part of a study's search."""

from collections.abc import Iterable, Mapping

import automl
from automl_data_mixing.options import PREFERRING
from automl_data_mixing.options import Options as MixingOptions


class DataMixing:
    """Mix data domains while a model trains: by rules, by laws, or by an agent that has learned."""

    Options = MixingOptions

    def __init__(self, options: MixingOptions) -> None:
        self.options = options

    @automl.hookimpl
    def space(self) -> Mapping[str, automl.Choice | automl.Float]:
        """Propose the policies of the study, and for each what it can be told."""
        policies = self.options.policies
        proposed: dict[str, automl.Choice | automl.Float] = {"policy": automl.Choice(policies)}
        if "static" in policies:
            proposed["target_share"] = automl.Float(0, 1, when={"policy": ("static",)})
        if "schedule" in policies:
            when = {"policy": ("schedule",)}
            proposed["start"] = automl.Float(0, 1, default=0.7, when=when)
            proposed["end"] = automl.Float(0, 1, default=0.2, when=when)
            proposed["shape"] = automl.Choice(("linear", "cosine", "step"), when=when)
            stepping = {**when, "shape": ("step",)}
            proposed["knee"] = automl.Float(0.1, 0.9, when=stepping)
        if told := tuple(policy for policy in PREFERRING if policy in policies):
            proposed["preference"] = automl.Float(0.1, 0.9, when={"policy": told})
        ruled = tuple(policy for policy in ("static", "schedule") if policy in policies)
        if self.options.search_composition and ruled:
            fields = [domain.field for domain in self.options.domains]
            # the logit of a domain that is alone in its field would change nothing
            for domain in (d for d in self.options.domains if fields.count(d.field) > 1):
                logit = automl.Float(-3, 3, default=0.0, when={"policy": ruled})
                proposed[f"composition.{domain.name}"] = logit
        return proposed

    @automl.hookimpl
    def prepare(self, job: automl.Job) -> None:
        """Make the corpus, the base model, trajectories, and what the policies need of them."""
        from automl_data_mixing.preparation import prepare

        prepare(job, self.options)

    @automl.hookimpl
    def build(self, job: automl.Job) -> None:
        """Let the job train on the domains, from the base model."""
        from automl_data_mixing import workbench

        options = self.options
        seed = job.seed if options.data_seed is None else options.data_seed
        job.data = workbench.mixture_data(workbench.open_corpus(job, options), options, seed)
        job.trainer |= workbench.trainer_options(options)
        workbench.load_base(job)

    @automl.hookimpl
    def preview(self, job: automl.Job) -> Iterable[automl.Section]:
        """Show the domains as they were read."""
        from automl_data_mixing.reporting import domains

        return [automl.Section("Data domains", (domains(job.data.corpus),))]

    @automl.hookimpl
    def train(self, job: automl.Job) -> bool:
        """Train while the policy re-weights the domains."""
        from automl_data_mixing import choice, workbench

        setting = workbench.setting_of(job.data.corpus, self.options)
        policy = choice.policy(job, self.options, setting)
        course = workbench.steered(job, self.options, policy, job.data.corpus, "train")
        if not job.stopped:
            job.log(**choice.remarks(policy, course))
        return True

    @automl.hookimpl
    def measure(self, job: automl.Job) -> Mapping[str, float]:
        """Measure every domain on rows that no policy has seen, and count what was used."""
        from automl_data_mixing import workbench

        return workbench.measures(job, self.options)

    @automl.hookimpl
    def report(self, history: automl.History) -> Iterable[automl.Section]:
        """Show the front against static mixtures, the mixtures over time, and the agent."""
        from automl_data_mixing.reporting import sections

        return sections(history)
