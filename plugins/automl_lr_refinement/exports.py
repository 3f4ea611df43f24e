"""Write the schedules of a trial: those that it used, and those that are worth using again."""

from collections.abc import Sequence
from typing import Any

from automl import Job
from automl_lr_refinement import confirmation, runs, schedules, verdict
from automl_lr_refinement.norms import NormLog
from automl_lr_refinement.options import Options
from automl_lr_refinement.schedules import Schedule


def export(job: Job, options: Options, follow: Sequence[Schedule], logs: Sequence[NormLog]) -> None:
    """Write what the trial used to its `lr_refinement`, and what to use again beside its weights.

    Args:
        job: whose model has been trained.
        options: of the plugin.
        follow: the schedule of each optimizer, or one for all.
        logs: what the training under them has logged, for each optimizer.
    """
    for number, schedule in enumerate(follow):
        schedule.write(runs.place(job) / f"used-{number}.json")
    best, factor = follow, options.peak
    notes: dict[str, Any] = {}
    if options.shape == "refined":
        best, factor, notes = chosen(job, options, follow)
    for number, log in enumerate(logs):
        used, one = (these[min(number, len(these) - 1)] for these in (follow, best))
        rates = [rate * factor / options.peak for rate in runs.peak_rates(log, used)]
        noted = one.noting(**notes, optimizer=log.optimizer, peak={"factor": factor, "lr": rates})
        noted.write(job.folder / schedules.file_name(number))


def chosen(
    job: Job, options: Options, follow: Sequence[Schedule]
) -> tuple[Sequence[Schedule], float, dict[str, Any]]:
    """Choose between refined schedules and linear decay, on fresh seeds if the study asks for it.

    Returns:
        The schedules, the factor on their peak, and why it is these.
    """
    is_linear = all(one.provenance["fell_back"] for one in follow)
    asked = options.confirm > 0 and not is_linear
    compared = confirmation.confirm(job, options, follow) if asked else None
    notes = {"confirmation": verdict.why(compared, is_linear=is_linear)}
    if compared is not None:
        verdict.write(runs.place(job) / "confirm.json", compared)
        if compared.case() == "better":
            return follow, compared.peak, notes
    line = schedules.linear(0.0 if is_linear else options.control_warmup)
    return [line], compared.control_peak if compared else options.peak, notes
