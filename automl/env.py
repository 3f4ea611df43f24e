"""Secrets in a study: `${env:NAME}` stands for them until the last moment; `mask` hides them."""

import os
import re
from typing import Any

from automl.errors import AutomlError
from automl.suggest import distance

NAMED = re.compile(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}")
ATTEMPT = re.compile(r"\$\{\s*(\w*)\s*:[^}]*\}?")
LOGIN = re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s:/@]*):[^\s'\"]*@", re.IGNORECASE)
SECRET = re.compile(
    r"(\b[\w-]*(?:password|passwd|pwd|passphrase|secret|token|api_?key|access_?key|sslkey)[\w-]*=)"
    r"[^\s&'\";]+",
    re.IGNORECASE,
)


def problem(text: str) -> str | None:
    """Say what is wrong with the `${env:NAME}` of a text, or None."""
    for name in NAMED.findall(text):
        if name not in os.environ:
            return f"environment variable {name} is not set"
    for match in ATTEMPT.finditer(NAMED.sub("", text)):
        if distance(match[1].lower()[:8], "env") <= 1:
            return f"{match[0]!r} is not understood; write ${{env:NAME}}"
    return None


def resolve(text: str) -> str:
    """Put the environment's values in for every `${env:NAME}`; what returns is not to be stored."""
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


def mask(text: str) -> str:
    """Hide the passwords of URLs, and whatever is set by a key that sounds like a secret."""
    return SECRET.sub(r"\1***", LOGIN.sub(r"\1:***@", text))
