"""`automl repair`: rebuild a study's database from the files beside it."""

from argparse import Namespace

from automl.repair import repair
from automl.terminal import console, emit


def main(options: Namespace) -> None:
    """Rebuild the database of a study that has run."""
    said = repair(options.study)
    if options.json:
        emit({"done": said})
    else:
        console().print(said, markup=False, highlight=False, soft_wrap=True)
