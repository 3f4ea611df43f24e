"""A parameter as a study file writes it, and as Python does."""

from typing import Any

from pydantic import Field, model_serializer, model_validator

from automl.fields import Given, Record, like
from automl.space import Choice, Fixed, Float, Int, Parameter, conditions

KINDS = ("float", "int", "choice", "fixed")
SPELT = {"float": "float_", "int": "int_"}  # kinds whose field may not be named like the type


class ParameterSpec(Record):
    """A parameter as a study file writes it: one kind and its modifiers."""

    model_config = like({"float": [1e-4, 1e-1], "log": True})

    float_: tuple[float, float] | None = Field(
        None, alias="float", strict=False, description="[low, high]", examples=[[1e-4, 1e-1]]
    )
    int_: tuple[int, int] | None = Field(
        None, alias="int", strict=False, description="[low, high]", examples=[[8, 64]]
    )
    choice: tuple[Given, ...] | None = Field(
        None,
        strict=False,
        description="options; the first is the default",
        examples=[["sgd", "adamw"]],
    )
    fixed: Given = Field(None, description="a value that is set, not searched")
    log: bool = Field(False, description="uniform in the logarithm")
    step: float | int | None = Field(None, description="distance of the grid")
    default: Given = Field(
        None, description="value of trial 0; else the middle of the range, or the first option"
    )
    when: dict[str, Given] = Field(
        default_factory=dict,
        description="searched only while these parameters have this value, or one of a list",
    )

    @model_serializer
    def written(self) -> dict[str, Any]:
        """Return the kind and the modifiers that belong to it, as a study file writes them."""
        (kind,) = self._kinds()
        values: dict[str, Any] = {kind: getattr(self, SPELT.get(kind, kind))}
        if kind in SPELT:
            values |= {"log": self.log} | ({} if self.step is None else {"step": self.step})
        values |= {} if self.default is None else {"default": self.default}
        return values | ({"when": self.when} if self.when else {})

    @model_validator(mode="after")
    def check_kind(self) -> "ParameterSpec":
        """Refuse none or two kinds, modifiers of another kind, and impossible ranges."""
        self.parameter()
        return self

    def parameter(self) -> Parameter:
        """Build the parameter; raises ValueError with what is wrong."""
        kind = self._kind()
        when = conditions(self.when)
        match kind:
            case "float" if self.float_ is not None:
                return Float(*self.float_, self.log, self.step, self.default, when)
            case "int" if self.int_ is not None:
                step = None if self.step is None else whole(self.step)
                return Int(*self.int_, self.log, step, self.default, when)
            case "choice" if self.choice is not None:
                return Choice(self.choice, self.default, when)
            case "fixed":
                return Fixed(self.fixed, when)
        raise ValueError(f"{kind} needs a value, got nothing")

    def _kind(self) -> str:
        """Return the one kind that was given, once its modifiers are known to belong to it."""
        given = self._kinds()
        if len(given) != 1:
            got = " and ".join(given) or "none"
            raise ValueError(f"give one of float, int, choice, fixed, got {got}")
        if given[0] not in SPELT and (self.log or self.step is not None):
            raise ValueError(f"log and step belong to float and int, not to {given[0]}")
        if given[0] == "fixed" and self.default is not None:
            raise ValueError("a fixed parameter has no default: its value is set already")
        return given[0]

    def _kinds(self) -> list[str]:
        """Return the kinds that were given; exactly one in a parameter that is valid."""
        return [kind for kind in KINDS if SPELT.get(kind, kind) in self.model_fields_set]


def whole(step: float) -> int:
    """Return the step of a range of whole numbers."""
    if step != int(step):
        raise ValueError(f"the step of an int is a whole number, got {step}")
    return int(step)


def spec_of(value: Any) -> Any:
    """Let Python callers give `Float(…)`, `Int(…)`, `Choice(…)` or `Fixed(…)` for a parameter."""
    match value:
        case Float():
            kind: dict[str, Any] = {"float": (value.low, value.high)}
        case Int():
            kind = {"int": (value.low, value.high)}
        case Choice():
            kind = {"choice": value.options, "default": value.default}
        case Fixed():
            kind = {"fixed": value.value}
        case _:
            return value
    if isinstance(value, Float | Int):
        kind |= {"log": value.log, "step": value.step, "default": value.default}
    when = {name: list(allowed) for name, allowed in value.when.items()}
    return ParameterSpec(**kind, when=when)
