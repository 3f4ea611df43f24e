"""Where tests find the larger data sets that are not part of the project."""

from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[1].parent / "shared" / "data"


def shared(name: str) -> Path:
    """Return the path of a data file beside the checkout, or skip the test that asks."""
    path = FOLDER / name
    if not path.exists():
        pytest.skip(f"{name} is not beside this checkout, in ../shared/data")
    return path
