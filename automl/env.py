"""Secrets in a study: `${env:NAME}` stands for them until the last moment; `mask` hides them."""

import os
import re
from collections.abc import Iterator
from typing import Any

from automl.errors import AutomlError
from automl.reading.marks import Trail
from automl.reading.scalars import short
from automl.suggest import distance

NAMED = re.compile(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}")
ATTEMPT = re.compile(r"\$\{\s*(\w{1,8})\s*:[^}]{0,100}\}?")
LOGIN = re.compile(r"(\b[a-z][a-z0-9+.-]{0,30}://[^\s:/@'\"]*):[^\s'\"]*@", re.IGNORECASE)
SOUNDS_SECRET = re.compile(
    r"passw|pwd|passphrase|secret|token|credential|(?:api|access|private)_?key", re.IGNORECASE
)
FOLDERS = ("PWD", "OLDPWD")  # which every shell sets
SHORTEST = 4  # characters of a value that is hidden wherever it stands; less is no secret
SECRET = re.compile(
    r"([\w-]{0,40}(?:password|passwd|passphrase|pwd|secret|token|api_?key|access_?key|sslkey)"
    r"[\w-]{0,40}=)[^\s&'\";]+",
    re.IGNORECASE,
)


def problems(value: Any, trail: Trail = ()) -> Iterator[tuple[Trail, str]]:
    """Say which texts of a tree name variables that are not set, or name them wrongly."""
    if isinstance(value, str):
        if wrong := problem(value):
            yield trail, wrong
    elif isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from problems(item, (*trail, key))


def problem(text: str) -> str | None:
    """Say what is wrong with the `${env:NAME}` of a text, or None."""
    for name in NAMED.findall(text):
        if name not in os.environ:
            return f"environment variable {name} is not set"
    for match in ATTEMPT.finditer(NAMED.sub("", text)):
        if distance(match[1].lower(), "env") <= 1:
            return f"{short(match[0])} is not understood; write ${{env:NAME}}"
    return None


def resolve(text: str) -> str:
    """Put the environment's values in for every `${env:NAME}`; the result is never stored."""
    if wrong := problem(text):
        raise AutomlError(wrong)
    return NAMED.sub(lambda match: os.environ[match[1]], text)


def resolved(value: Any) -> Any:
    """Resolve every text of a tree of lists and mappings."""
    match value:
        case str():
            return resolve(value)
        case dict():
            return {key: resolved(item) for key, item in value.items()}
        case list():
            return [resolved(item) for item in value]
    return value


def sounds_secret(name: str) -> bool:
    """Say whether a variable's name tells that its value is to be hidden."""
    return name not in FOLDERS and SOUNDS_SECRET.search(name) is not None


def mask(text: str) -> str:
    """Hide passwords of URLs, and values of keys and variables whose names sound like secrets."""
    for name, value in os.environ.items():
        if len(value) >= SHORTEST and value in text and sounds_secret(name):
            text = text.replace(value, "***")
    return SECRET.sub(r"\1***", LOGIN.sub(r"\1:***@", text))
