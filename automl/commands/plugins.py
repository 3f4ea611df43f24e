"""`automl plugins`: which plugins are installed, which hooks they have, and whether they load."""

from argparse import Namespace
from pathlib import Path
from typing import Any

from rich.table import Table

from automl import plugins
from automl.errors import AutomlError
from automl.terminal import console, emit


def main(options: Namespace) -> None:
    """List plugins; only `--verbose` imports them."""
    rows = [describe(found, load=options.verbose) for found in plugins.find().values()]
    if options.json:
        emit(rows)
        return
    table = Table(box=None, pad_edge=False)
    for column in rows[0] if rows else ("name",):
        table.add_column(column)
    for row in rows:
        table.add_row(*(", ".join(v) if isinstance(v, list) else str(v) for v in row.values()))
    console().print(table)


def describe(found: plugins.Found, *, load: bool) -> dict[str, Any]:
    """Return what is known of a plugin."""
    known: dict[str, Any] = {
        "name": found.name,
        "version": found.version,
        "distribution": found.distribution,
    }
    if not load:
        return known | {"class": found.entry.value}
    try:
        kind = plugins.kind(found.name, Path.cwd())
        hooks = [one for one in plugins.hook_names() if hasattr(kind.make, one)]
    except AutomlError as error:
        return known | {"hooks": [], "status": str(error)}
    return known | {"hooks": hooks, "status": "ok"}
