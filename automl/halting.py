"""Makes what decides which trials end early, as a study and its plugins say."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from automl.errors import AutomlError
from automl.instantiate import build
from automl.planning import Plan
from automl.plugins import Plugins
from automl.rungs import Decision, Rule, Rungs, completed
from automl.study import Study


@dataclass(frozen=True, slots=True)
class Patient:
    """A rule of a study's own that is heard only after the grace that the plugins ask for.

    Attributes:
        rule: it is told everything from the start.
        not_before: progress before which no trial is stopped, whatever the rule says.
    """

    rule: Rule
    not_before: float

    def report(self, trial: int, step: float, metrics: Mapping[str, float]) -> Decision:
        """Take what a trial reports, and decide whether it goes on."""
        decision = self.rule.report(trial, step, metrics)
        return decision if step >= self.not_before else Decision(trial, step)


def rule_of(plan: Plan) -> Rule | None:
    """Return the rule of stopping of a study, or None if it stops no trial early.

    Raises:
        AutomlError: what the study names is no rule.
    """
    study = plan.study
    if study.fidelity is None or study.fidelity.stop == "off":
        return None
    not_before = grace_of(plan.plugins, study)
    if not isinstance(study.fidelity.stop, str):
        made = study.fidelity.stop
        rule = build(made.class_path, made.init_args)
        if not callable(getattr(rule, "report", None)):
            raise AutomlError(f"fidelity.stop: {made.class_path} has no method 'report'; give one")
        return Patient(cast(Rule, rule), not_before)
    return Rungs(
        completed(study.fidelity, study.trainer),
        study.objectives,
        study.constraints,
        seed=study.search.seed,
        not_before=not_before,
    )


def grace_of(plugins: Plugins, study: Study) -> float:
    """Return the progress before which some plugin lets no trial be stopped."""
    found = list(plugins.ask("grace", study=study))
    if wrong := [pair for pair in found if not isinstance(pair[1], int | float)]:
        raise wrong[0][0].kind.blame(f"must return a number from grace, got {wrong[0][1]!r}")
    return max((float(steps) for _, steps in found), default=0.0)
