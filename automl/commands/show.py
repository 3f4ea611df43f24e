"""`automl show`: the trials of a study and its front."""

from argparse import Namespace

from automl.archive import open_study
from automl.report import tables, terminal
from automl.reporting import report_of
from automl.terminal import console, emit


def main(options: Namespace) -> None:
    """Show a study that has run or runs."""
    found = report_of(open_study(options.study).history())
    if options.json:
        emit(tables.as_json(found))
    else:
        out = console()
        if found.lines and not options.quiet:
            out.print(terminal.trials(found))
            out.print()
        terminal.show(found, out)
