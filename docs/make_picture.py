# noqa: INP001 - a script beside the pages that show what it makes
"""Make the picture of a report: `python docs/make_picture.py runs/quickstart docs/report.png`.

Needs Chromium (on Debian: `apt-get install chromium`).
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from automl.archive import open_study
from automl.report.html import render
from automl.reporting import report_of

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--force-device-scale-factor=1.5",
    "--virtual-time-budget=4000",
)


def take(page: Path, picture: Path, size: str, profile: str) -> None:
    """Photograph the top of a page: what was gained, and the front."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        sys.exit("make_picture: Chromium is not installed; on Debian: apt-get install chromium")
    command = [chromium, *FLAGS, f"--user-data-dir={profile}", f"--window-size={size}"]
    subprocess.run(  # noqa: S603 - a browser, on a page of our own
        [*command, f"--screenshot={picture}", page.as_uri()],
        check=True,
        capture_output=True,
        timeout=120,
    )


def main() -> None:
    """Render the report of a study and photograph its top."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("study", help="name or folder of a study that has run")
    parser.add_argument("picture", type=Path, nargs="?", default=Path("docs/report.png"))
    parser.add_argument("--size", default="1280,1400", help="width,height in pixels of the page")
    options = parser.parse_args()
    history = open_study(options.study).history()
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        page.write_text(render(report_of(history)), encoding="utf-8")
        take(page, options.picture.resolve(), options.size, f"{folder}/profile")


if __name__ == "__main__":
    main()
