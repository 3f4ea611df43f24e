"""`automl show`: the trials of a study and its front."""

from argparse import Namespace

from automl.archive import open_study
from automl.report import terminal
from automl.report.facts import facts
from automl.report.tables import to_json
from automl.terminal import console, emit


def main(options: Namespace) -> None:
    """Show a study that has run or runs."""
    found = facts(open_study(options.study).history())
    if options.json:
        emit(to_json(found))
    else:
        terminal.show(found, console())
