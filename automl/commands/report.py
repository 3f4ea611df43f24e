"""`automl report`: write the report of a study in the form that the file's ending names."""

from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

from automl.archive import open_study
from automl.errors import AutomlError
from automl.files import write_text, write_with
from automl.report import html, tables
from automl.report.records import Facts
from automl.reporting import report_of
from automl.terminal import emit

TEXTS: dict[str, Callable[[Facts], str]] = {
    ".html": html.render,
    ".md": tables.markdown,
    ".json": tables.as_json,
    ".csv": tables.csv,
}


def main(options: Namespace) -> None:
    """Write a report; the study may still run."""
    history = open_study(options.study).history()
    found = report_of(history)
    path = Path(options.output) if options.output else history.folder / "report.html"
    if path.suffix in TEXTS:
        write_text(path, TEXTS[path.suffix](found))
    elif path.suffix == ".parquet":
        write_with(path, lambda temporary: tables.parquet(found, temporary))
    else:
        known = ", ".join([*TEXTS, ".parquet"])
        raise AutomlError(f"--output: {path.name!r} must end in one of {known}")
    emit({"report": str(path)} if options.json else f"report: {path}")
