"""`automl run`: run a study, show how it goes, and write its report."""

from argparse import Namespace
from pathlib import Path

from automl.history import History
from automl.launch import run
from automl.live import Live
from automl.report import html, tables, terminal
from automl.report.records import Facts
from automl.reporting import report_of
from automl.studyfile import read
from automl.terminal import console, emit

REPORT = "report.html"


def main(options: Namespace) -> None:
    """Run a study to the end of its budget."""
    file = read(options.study, options.set)
    with Live(file.study, quiet=options.quiet or options.json) as live:
        history = run(file, live.update, fresh=options.fresh)
    found = report_of(history)
    path = None if options.no_report else write_report(history, found)
    if options.json:
        emit(tables.as_json(found))
        return
    out = console()
    if not options.quiet:
        terminal.show(found, out)
    if path is not None:
        out.print(f"report: {path}", markup=False, highlight=False, soft_wrap=True)


def write_report(history: History, found: Facts) -> Path:
    """Write the report into the study's folder."""
    from automl.files import disk_faults, write_text

    path = history.folder / REPORT
    with disk_faults():
        write_text(path, html.render(found))
    return path
