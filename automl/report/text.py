"""Words and numbers of a report: secrets masked, invisible characters shown, numbers readable."""

import math
import re
import unicodedata
from collections.abc import Mapping
from typing import Any

URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"<>]+")
USER = re.compile(r"(://)[^\s/]*@")
QUERY = re.compile(r"([?&;][^=&;#\s]+=)[^&;#\s]*")
SECRET = re.compile(r"(?i)(password|passwd|secret|token|api_?key|access_?key|credential)$")
ASSIGNED = re.compile(
    r"(?i)((?:password|passwd|secret|token|api[_-]?key|access[_-]?key|credential)"
    r"['\"]?\s*[=:]\s*['\"]?)[^\s'\",;&#]+"
)
UNITS = {
    "_ms": "ms",
    "_us": "µs",
    "_seconds": "s",
    "_s": "s",
    "_minutes": "min",
    "_hours": "h",
    "_mb": "MB",
    "_gb": "GB",
    "_kb": "kB",
    "_bytes": "B",
    "_percent": "%",
}
COUNTS = {"macs": "MACs", "flops": "FLOPs", "tokens": "tokens"}
HARMLESS = "\n\t"


def masked(value: Any, key: str = "") -> Any:
    """Return a text, or a tree of mappings and lists, without passwords.

    Users, passwords and queries of URLs become `***`, and so does what stands behind a name such
    as `password` or `api_key`.
    """
    match value:
        case str():
            return "***" if value and SECRET.search(key) else _masked_text(value)
        case Mapping():
            return {str(k): masked(v, str(k)) for k, v in value.items()}
        case list() | tuple():
            return [masked(item, key) for item in value]
    return value


def _masked_text(text: str) -> str:
    if ":" not in text and "=" not in text:
        return text
    text = URL.sub(lambda found: QUERY.sub(r"\1***", USER.sub(r"\1***@", found[0])), text)
    return ASSIGNED.sub(r"\1***", text)


def clean(text: Any) -> str:
    r"""Mask secrets, and show control and reordering characters as `\x1b` or `\u202e`."""
    shown = _masked_text(str(text))
    return shown if shown.isprintable() else "".join(map(_visible, shown))


def _visible(character: str) -> str:
    if character.isprintable() or character in HARMLESS:
        return character
    if unicodedata.category(character) == "Zs":
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def one_line(text: Any, longest: int = 160) -> str:
    """Return a text that fits on one line, cut where it is too long."""
    line = " ".join(clean(text).split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def unit(metric: str) -> str:
    """Return the unit that a metric's name tells, or nothing."""
    name = metric.lower()
    if name.rsplit("/", 1)[-1] in COUNTS:
        return COUNTS[name.rsplit("/", 1)[-1]]
    return next((unit for end, unit in UNITS.items() if name.endswith(end)), "")


def number(value: float | None) -> str:
    """Write a number in about four digits: 0.9731, 12,400, 1.25e+08."""
    if value is None or math.isnan(value):
        return "-"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    size = abs(value)
    if value == int(value) and size < 1e7:
        text = f"{int(value):,}"
    elif size >= 1e7 or size < 1e-3:
        text = re.sub(r"\.?0*e", "e", f"{value:.3e}")
    elif size >= 1000:
        text = f"{value:,.0f}"
    else:
        text = f"{value:.4g}"
    return text


def value_text(value: Any) -> str:
    """Write the value of a parameter or the cell of a table."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "-"}[value]
    return number(value) if isinstance(value, int | float) else clean(value)


def duration(seconds: float) -> str:
    """Write seconds as 850 ms, 12.3 s, 4 min 10 s, 3 h 05 min or 2 d 4 h."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"
