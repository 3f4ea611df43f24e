"""A new plugin's package, which installs, runs in seconds and is tested from its first minute."""

import keyword
import re
from importlib.resources import files
from pathlib import Path
from string import Template

from automl.errors import AutomlError
from automl.files import write_text
from automl.hooks import API
from automl.plugins import RESERVED, find

STAGES = ("build", "train", "refine")
FILES = {
    "pyproject.toml": "pyproject.toml.txt",
    "README.md": "README.md",
    "study.yaml": "study.yaml",
    "tests/test_contract.py": "test_contract.py.txt",
    ".github/workflows/test.yml": "test.yml",
}


def write(name: str, stage: str, parent: Path, licence: str = "MIT") -> Path:
    """Write the package of a new plugin and return its folder.

    Args:
        name: what studies will call the plugin; becomes `automl_<name>`.
        stage: `build`, `train` or `refine`: where it takes part.
        parent: where the folder `automl-<name>` is made.
        licence: `MIT`, `Apache-2.0` or `none`.

    Raises:
        AutomlError: the name cannot be a plugin's or is taken, or the folder is there already.
    """
    check(name)
    folder = parent / f"automl-{name.replace('_', '-')}"
    if folder.exists():
        raise AutomlError(f"plugin new: {folder} is there already; give another name or -o")
    words = {
        "name": name,
        "package": f"automl_{name}",
        "project": folder.name,
        "licence": "" if licence == "none" else f'license = "{licence}"',
        "api": str(API),
        "title": "".join(part.title() for part in name.split("_")),
    }
    for target, template in FILES.items():
        write_text(folder / target, filled(template, words))
    if licence != "none":
        write_text(folder / "LICENSE", filled(f"LICENSE-{licence}", words))
    package = folder / f"automl_{name}"
    write_text(package / "__init__.py", filled(f"{stage}.py.txt", words))
    if stage == "build":
        write_text(package / "callback.py", filled("callback.py.txt", words))
    return folder


def check(name: str) -> None:
    """Refuse a name that no study could use, and one that an installed plugin has."""
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,40}", name) or keyword.iskeyword(name):
        near = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_0123456789")[:32] or "mine"
        free = f"{near}_plugin" if keyword.iskeyword(near) else near
        raise AutomlError(
            f"plugin new: {name!r} must be lower case letters, digits and _, and no word of "
            f"Python; try {free}"
        )
    if name in RESERVED:
        raise AutomlError(f"plugin new: {name!r} is the head of a path in studies; give another")
    if name in (taken := find()):
        raise AutomlError(
            f"plugin new: {name!r} is installed, by {taken[name].distribution}; give another name"
        )


def filled(template: str, words: dict[str, str]) -> str:
    """Return a template with the plugin's names in it."""
    text = (files("automl.scaffold") / "template" / template).read_text(encoding="utf-8")
    return Template(text).substitute(words)
