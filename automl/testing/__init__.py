"""For plugins' tests: `test_contract = contract("name", "study.yaml")` turns all checks on."""

from collections.abc import Callable
from pathlib import Path
from typing import Any


def contract(name: str, study: str | Path) -> Callable[..., None]:
    """Return a test function, one case for each thing that a plugin owes its host.

    Args:
        name: of the plugin, as studies name it.
        study: a small study that names it and runs on a CPU in seconds.
    """
    import pytest

    from automl.testing.contract import CHECKS, Subject

    subject = Subject(name, Path(study).absolute())

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    def test(check: Callable[[Subject, Path], None], tmp_path: Path) -> None:
        check(subject, tmp_path)

    made: Any = test
    return made  # type: ignore[no-any-return]
