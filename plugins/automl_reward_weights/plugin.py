"""The plugin: rewards are weighed anew while a policy trains, and its archive becomes points."""

import warnings
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import automl
from automl_reward_weights import options as settings
from automl_reward_weights.rewards import default_preference, reference

if TYPE_CHECKING:
    from automl_reward_weights.scalarize import Rules

START = "reward_weights/start.pt"  # below the study's shared folder


class RewardWeights:
    """Weigh several rewards while a policy trains, and keep every vector that nothing beats."""

    Options = settings.Options

    def __init__(self, options: settings.Options) -> None:
        self.options = options

    @automl.hookimpl
    def space(self) -> Mapping[str, settings.Parameter]:
        """Propose weighters, aggregations, estimators and preferences."""
        return settings.space(self.options)

    @automl.hookimpl
    def prepare(self, job: automl.Job) -> None:
        """Train the network of a model that starts from demonstrations, once for all trials."""
        if not hasattr(job.model, "pretrained") or (job.shared / START).exists():
            return
        import torch

        network = job.model.pretrained(job.data)
        if network is None:
            return
        job.fit(network, phase="pretrain", callbacks=[], **self.options.pretrain)
        if not job.stopped:
            (job.shared / START).parent.mkdir(parents=True, exist_ok=True)
            torch.save(network.state_dict(), job.shared / START)

    @automl.hookimpl
    def build(self, job: automl.Job) -> None:
        """Give the model its scalarizer and the fit its archive."""
        from automl_reward_weights.keeper import STORE, Keeper
        from automl_reward_weights.scalarize import Scalarizer

        if not hasattr(job.model, "scalarizer") or not hasattr(job.model, "rewards"):
            raise automl.PluginError(
                f"reward_weights: the model {type(job.model).__name__} has no rewards and no "
                "scalarizer; use EnvironmentPolicy or TextPolicy of automl_reward_weights, or "
                "write these two attributes as docs/plugins/reward_weights.md shows"
            )
        job.model.scalarizer = Scalarizer(self.rules(job))
        job.model.rewards = job.model.scalarizer.rules.rewards
        if hasattr(job.model, "start") and (job.shared / START).exists():
            job.model.start(job.shared / START)
        if self.options.evaluate_every is not None:
            job.trainer |= {
                "val_check_interval": self.options.evaluate_every,
                "check_val_every_n_epoch": None,
            }
        job.callbacks.append(Keeper(job.model.scalarizer, job.folder, job.folder / STORE))

    def rules(self, job: automl.Job) -> "Rules":
        """Return what this trial does not change."""
        from automl_reward_weights.advantages import scale_invariant
        from automl_reward_weights.scalarize import Rules

        options = self.options
        if options.weighter == "hv_scale" and scale_invariant(
            options.estimator, options.aggregation
        ):
            how = options.estimator if options.aggregation == "sum" else options.aggregation
            warnings.warn(
                f"reward_weights: hv_scale multiplies all rewards alike, which {how} cancels; it "
                "scales the loss instead, and an adaptive optimizer removes most of that",
                stacklevel=2,
            )
        try:
            rewards = options.merged(job.model.rewards)
            objectives = job.study.objectives
            refs = [objectives[r.metric].ref if r.metric in objectives else None for r in rewards]
            return Rules(
                rewards=rewards,
                preference=tuple(default_preference(rewards, options.preference).tolist()),
                weighter=options.made(),
                estimator=options.estimator,
                aggregation=options.aggregation,
                reference=tuple(reference(rewards, refs).tolist()),
                caution=options.caution,
                patience=options.patience,
                seed=job.seed,
            )
        except ValueError as error:
            raise automl.PluginError(f"reward_weights: {error}") from error

    @automl.hookimpl
    def preview(self, job: automl.Job) -> Iterable[automl.Section]:
        """List the rewards: which way is better, their range, what gates them, their reference."""
        rules, rows = job.model.scalarizer.rules, []
        for one, share, away in zip(rules.rewards, rules.preference, rules.reference, strict=True):
            bounds = f"{one.bounds[0]:g} to {one.bounds[1]:g}"
            told = (one.name, one.goal, bounds, one.gate, one.threshold, share, one.raw(away))
            rows.append(told)
        columns = ("reward", "goal", "bounds", "gate", "threshold", "importance", "reference")
        table = automl.Table("Rewards", columns, tuple(rows))
        return [automl.Section("Rewards that are weighed", (table,))]

    @automl.hookimpl
    def refine(self, job: automl.Job) -> Iterable[automl.Point]:
        """Yield one point for each archived policy; the preferred one becomes the trial's own."""
        from automl_reward_weights.refine import points

        return points(job, rescore=self.options.rescore)

    @automl.hookimpl
    def report(self, history: automl.History) -> Iterable[automl.Section]:
        """Show the merged front with its origin, hypervolumes, weights and utilities."""
        from automl_reward_weights.report import sections

        return sections(history)
