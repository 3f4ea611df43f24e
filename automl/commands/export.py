"""`automl export`: a point's weights, settings and metrics in a folder of their own."""

from argparse import Namespace
from pathlib import Path

from automl.archive import open_study
from automl.export import export, write_program
from automl.terminal import emit


def main(options: Namespace) -> None:
    """Write the folder and say how to load it."""
    history = open_study(options.study).history()
    name = options.point.replace("/", "-")
    target = Path(options.output or f"{history.study.name}-{name}")
    folder = export(history, options.point, target)
    if options.program:
        write_program(folder, history.study, Path(history.provenance.get("study folder", ".")))
    how = f'python -c "import automl; model = automl.load({str(folder)!r})"'
    emit(
        {"folder": str(folder), "load": how} if options.json else f"wrote {folder}; load it: {how}"
    )
