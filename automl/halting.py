"""Makes what decides which trials end early, as a study and its plugins say."""

from typing import cast

from automl.instantiate import build
from automl.planning import Plan
from automl.rungs import Rungs, completed


def rungs_of(plan: Plan) -> Rungs | None:
    """Return the rungs of a study, or None if it stops no trial early."""
    study = plan.study
    if study.fidelity is None or study.fidelity.stop == "off":
        return None
    if not isinstance(study.fidelity.stop, str):
        made = study.fidelity.stop
        return cast(Rungs, build(made.class_path, made.init_args))
    grace = [float(found) for _, found in plan.plugins.call("grace", study=study)]
    return Rungs(
        completed(study.fidelity, study.trainer),
        study.objectives,
        study.constraints,
        seed=study.search.seed,
        not_before=max(grace, default=0.0),
    )
