"""Scalars of YAML 1.2: what a text without quotes means, and how a value is shown in a message."""

import re
from typing import Any

DIGITS = 19  # of a whole number; 2**63 has as many

GROUPED = r"\d{1,3}(?:_\d{3})+"  # 200_000; other underscores make a text
INT = re.compile(rf"[-+]?(?:\d+|{GROUPED})|0o[0-7]+|0x[0-9a-fA-F]+", re.ASCII)
FLOAT = re.compile(
    rf"[-+]?(?:\.\d+|(?:\d+|{GROUPED})(?:\.\d*)?)(?:[eE][-+]?\d+)?"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
    re.ASCII,
)
NUMERIC = frozenset("+-.0123456789")  # what a number begins with
WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


class TooLongError(ValueError):
    """A whole number of more digits than a study can mean."""


def scalar(text: str) -> Any:
    """Resolve a text without quotes by the core schema of YAML 1.2; `200_000` is a number too.

    Raises:
        TooLongError: a whole number is not below 2**63.
    """
    if text in WORDS:
        return WORDS[text]
    if text[0] not in NUMERIC:
        return text
    if INT.fullmatch(text):
        return whole(text)
    if FLOAT.fullmatch(text):
        named = text[-1] in "fFnN"
        return float(text.replace(".", "") if named else text.replace("_", ""))
    return text


def whole(text: str) -> int:
    """Read a whole number in base 10, 8 or 16."""
    base = {"0o": 8, "0x": 16}.get(text[:2], 10)
    digits = text.lstrip("+-").replace("_", "")
    if len(digits.lstrip("0")) > 64 or abs(number := int(text.replace("_", ""), base)) >= 2**63:
        raise TooLongError(f"a whole number of {len(digits)} digits; quote it if it is a text")
    return number


def short(value: Any, longest: int = 60) -> str:
    """Write a value for a message: as a study file does, on one line, not too long."""
    if isinstance(value, str):
        return repr(value if len(value) <= longest else value[: longest - 1] + "…")
    if value is None or isinstance(value, bool):
        return {None: "nothing", True: "true", False: "false"}[value]
    return _clipped(value, longest)


def bare(text: str, longest: int = 100) -> str:
    """Write a text for a message without quotes: what cannot be seen is escaped."""
    return short(text, longest)[1:-1]


def _clipped(value: Any, longest: int) -> str:
    if isinstance(value, dict):
        text = "{" + ", ".join(f"{key}: {short(item, 20)}" for key, item in _few(value)) + "}"
    elif isinstance(value, list | tuple):
        text = "[" + ", ".join(short(item, 20) for item in value[:9]) + "]"
    else:
        text = repr(value)
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _few(mapping: dict[Any, Any]) -> list[tuple[Any, Any]]:
    return [(short(key, 20).strip("'"), mapping[key]) for key in list(mapping)[:9]]
