"""`automl compare`: several studies by one reference."""

from argparse import Namespace
from pathlib import Path

from automl.archive import open_study
from automl.errors import AutomlError
from automl.files import write_text
from automl.report.compare import compare, numbers, payload, render, show
from automl.terminal import console, emit


def main(options: Namespace) -> None:
    """Compare studies in the terminal, as JSON, or as a page."""
    histories = [open_study(name).history() for name in options.studies]
    try:
        found = compare(histories)
    except ValueError as error:
        raise AutomlError(f"compare: {error}") from error
    if options.output:
        write_text(Path(options.output), render(found))
        emit(f"comparison: {options.output}")
    elif options.json:
        emit(payload(found) | numbers(found))
    else:
        show(found, console())
