"""Where the files of a study are: in a folder of this machine, which may stand for a URL."""

import os
import re
from pathlib import Path


def is_remote(folder: str) -> bool:
    """Say whether a folder is a URL."""
    return "://" in folder


def working(folder: str) -> Path:
    """Return where the files of a folder are on this machine: a URL has a working copy.

    It is below `AUTOML_CACHE`, or `~/.cache/automl`.
    """
    if not is_remote(folder):
        return Path(folder)
    cache = os.environ.get("AUTOML_CACHE") or Path.home() / ".cache" / "automl"
    return Path(cache) / re.sub(r"[^\w.-]+", "-", folder.rstrip("/"))
