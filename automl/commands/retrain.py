"""`automl retrain`: train a point again with other seeds, to see how far it can be trusted."""

from argparse import Namespace
from pathlib import Path
from statistics import mean, stdev

from automl.archive import open_study
from automl.export import choose, retraining
from automl.launch import run
from automl.live import Live
from automl.report.text import number
from automl.studyfile import of
from automl.terminal import console, emit


def main(options: Namespace) -> None:
    """Run the point as a study of its own and compare its metrics with those it had."""
    history = open_study(options.study).history()
    chosen = choose(history, options.point)
    study = retraining(history, chosen, options.seeds)
    here = history.provenance.get("study folder", ".")
    with Live(study, quiet=options.quiet or options.json) as live:
        again = run(of(study, Path(here)), live.update)
    rows = {name: [trial.metrics[name] for trial in again.finished()] for name in study.objectives}
    if options.json:
        emit({"study": study.name, "before": chosen.metrics, "again": rows})
        return
    out = console()
    for name, values in rows.items():
        spread = f" ± {number(stdev(values))} (standard deviation)" if len(values) > 1 else ""
        text = f"{name}: was {number(chosen.metrics[name])}, now {number(mean(values))}{spread}"
        out.print(text, markup=False)
    out.print(f"the weights are in {again.folder}", markup=False, soft_wrap=True)
