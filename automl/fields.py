"""The kinds of fields that records of a study have: times, sizes, names and values."""

import math
import re
from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

NAME = r"[A-Za-z0-9][\w.-]{0,63}"  # what may become a folder
TIME_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
SIZE_UNITS = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12} | {
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}


def seconds(value: Any) -> Any:
    """Read `90`, `30m` or `1h30m` as seconds; leave what is not text to the type check."""
    if not isinstance(value, str):
        return value
    parts = re.findall(r"(\d+(?:\.\d+)?)([smhd])", value)
    if not parts or "".join(map("".join, parts)) != value.replace(" ", ""):
        raise ValueError(f"expected a time such as 90, 30m or 1h30m, got {value!r}")
    return sum(float(number) * TIME_UNITS[unit] for number, unit in parts)


def octets(value: Any) -> Any:
    """Read `8GB` or `512MiB` as bytes; leave what is not text to the type check."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-zA-Z]+)", value)
    if match is None or match[2] not in SIZE_UNITS:
        raise ValueError(f"expected a size such as 8GB or 512MiB, got {value!r}")
    return int(float(match[1]) * SIZE_UNITS[match[2]])


Seconds = Annotated[
    float,
    BeforeValidator(seconds),
    Field(gt=0),
    WithJsonSchema({"type": ["number", "string"], "examples": [90, "30m", "1h30m"]}),
]
Bytes = Annotated[
    int,
    BeforeValidator(octets),
    Field(gt=0),
    WithJsonSchema({"type": ["integer", "string"], "examples": ["8GB", "512MiB"]}),
]


def folder_name(value: str) -> str:
    """Check that a name may become a folder."""
    if not re.fullmatch(NAME, value, re.ASCII):
        raise ValueError(
            f"expected 1 to 64 letters, digits, '.', '_' or '-', the first a letter or digit, "
            f"got {value!r}"
        )
    return value


def dotted(value: str) -> str:
    """Check that a text can name a class of a module."""
    if not re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)+", value):
        raise ValueError(
            f"expected a class with its module, such as 'my_module.MyClass', got {value!r}"
        )
    return value


def finite(value: Any) -> Any:
    """Refuse nan and infinity, however deep: no parameter has such a value."""
    inner = value.values() if isinstance(value, dict) else value
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"expected a finite number, got {value}")
    if isinstance(value, list | tuple | dict):
        for item in inner:
            finite(item)
    return value


Name = Annotated[
    str, AfterValidator(folder_name), WithJsonSchema({"type": "string", "pattern": f"^{NAME}$"})
]
ClassPath = Annotated[str, AfterValidator(dotted)]
Given: TypeAlias = Annotated[Any, AfterValidator(finite)]  # a value of a parameter


class Record(BaseModel):
    """A part of a study: frozen, exact about types, refusing keys it does not know."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, populate_by_name=True
    )


def like(*examples: Any) -> ConfigDict:
    """Configure a record with examples for editors and messages."""
    return ConfigDict(json_schema_extra={"examples": list(examples)})
