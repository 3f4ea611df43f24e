"""`automl serve`: the report of a study that may still run, in a browser on this machine."""

import sys
from argparse import Namespace
from collections import Counter

from automl.archive import Archive, open_study
from automl.errors import AutomlError
from automl.report import html
from automl.report.serve import Fresh, Server, stamp, warning
from automl.reporting import report_of
from automl.terminal import emit


def main(options: Namespace) -> None:
    """Serve until interrupted."""
    archive = open_study(options.study)
    if said := warning(options.host):
        sys.stderr.write(f"automl: {said}\n")
    with opened(archive, options.host, options.port) as server:
        emit({"url": server.url} if options.json else f"{server.url} (end with Ctrl-C)")
        sys.stdout.flush()
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return


def opened(archive: Archive, host: str, port: int) -> Server:
    """Listen on an address.

    Raises:
        AutomlError: there is no such address or port here, or it is taken.
    """
    try:
        return Server(live_page(archive), host, port)
    except (OSError, OverflowError) as error:
        raise AutomlError(f"cannot serve on {host!r}, port {port}: {error}") from error


def live_page(archive: Archive) -> Fresh:
    """Return the page of a study, made again whenever its database changes."""

    def page() -> str:
        return html.render(report_of(archive.history()), live=True)

    def state() -> str:
        files = archive.record.folder.glob("study.db*")  # none where a server has the database
        return stamp(files) or str(Counter(trial.state for trial in archive.record.trials()))

    return Fresh(page, state)
