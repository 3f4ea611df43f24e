"""`automl completion`: a script that completes commands and options in a shell."""

from argparse import Namespace

import shtab

from automl.cli import parser
from automl.terminal import emit


def main(options: Namespace) -> None:
    """Print the script; add it to your shell's start-up file."""
    emit(shtab.complete(parser(), shell=options.shell))
