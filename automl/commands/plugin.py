"""`automl plugin`: begin a plugin of your own, and check what it owes its host."""

import tempfile
from argparse import Namespace
from pathlib import Path

from automl.errors import AutomlError
from automl.terminal import console, emit


def main(options: Namespace) -> int:
    """Make a new package, or check a plugin."""
    return new(options) if options.act == "new" else check(options)


def new(options: Namespace) -> int:
    """Write a package that installs, runs and is tested."""
    from automl.scaffold import write

    folder = write(options.name, options.stage, Path(options.output or "."), options.license)
    study = folder / "study.yaml"
    if options.json:
        emit({"folder": str(folder), "study": str(study)})
        return 0
    emit(f"wrote {folder}. Go on with:\n  cd {folder}\n  pip install -e . pytest")
    emit("  python -m pytest -q\n  automl run study.yaml")
    return 0


def check(options: Namespace) -> int:
    """Run every check of the contract; the exit code is 2 if one fails.

    Raises:
        AutomlError: there is no such study, or it does not name the plugin.
    """
    from automl.testing.contract import Subject, checked

    subject = Subject(options.name, Path(options.study))
    if options.name not in subject.file().study.plugins:
        raise AutomlError(
            f"plugin check: {options.study} does not name the plugin {options.name!r}; give a "
            "small study that does"
        )
    found = []
    with tempfile.TemporaryDirectory(prefix="automl-check-") as folder:
        for name, wrong in checked(subject, Path(folder)):
            found.append({"check": name, "wrong": wrong})
            if not options.json:
                line = f"FAIL {name}: {wrong}" if wrong else f"ok   {name}"
                console().print(line, markup=False, soft_wrap=True)
    if options.json:
        emit(found)
    return 2 if any(one["wrong"] for one in found) else 0
