"""`automl serve`: the report of a study that may still run, in a browser on this machine."""

import sys
from argparse import Namespace
from pathlib import Path

from automl.archive import Archive, open_study
from automl.report import html
from automl.report.serve import Fresh, Server, stamp, warning
from automl.reporting import report_of
from automl.terminal import emit


def main(options: Namespace) -> None:
    """Serve until interrupted."""
    archive = open_study(options.study)
    if said := warning(options.host):
        sys.stderr.write(f"automl: {said}\n")
    with Server(live_page(archive), options.host, options.port) as server:
        emit({"url": server.url} if options.json else f"{server.url} (end with Ctrl-C)")
        sys.stdout.flush()
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return


def live_page(archive: Archive) -> Fresh:
    """Return the page of a study, made again whenever its database changes."""

    def page() -> str:
        return html.render(report_of(archive.history()), live=True)

    def files() -> list[Path]:
        return list(archive.record.folder.glob("study.db*"))

    return Fresh(page, lambda: stamp(files()))
