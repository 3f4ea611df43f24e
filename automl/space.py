"""The space of a study: parameters, conditions between them and points that are forbidden."""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from graphlib import CycleError, TopologicalSorter
from typing import Any, TypeAlias

from automl.forbid import Forbid

Value: TypeAlias = Any  # a scalar; an option of a choice may be any JSON value
When: TypeAlias = Mapping[str, tuple[Value, ...]]


@dataclass(frozen=True, slots=True)
class Float:
    """A real number in [low, high], uniform in its logarithm if `log`, on a grid if `step`."""

    low: float
    high: float
    log: bool = False
    step: float | None = None
    default: float | None = None
    when: When = field(default_factory=dict)

    def __post_init__(self) -> None:
        settle(self, low=real(self.low), high=real(self.high), default=real(self.default))
        check_range(self)

    def middle(self) -> float:
        """Return the middle of the range, the geometric one on a log scale."""
        middle = middle_of(self)
        return (
            self.low + round((middle - self.low) / self.step) * self.step if self.step else middle
        )

    def contains(self, value: Value) -> bool:
        """Say whether `value` is a number of this range."""
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and self.low <= value <= self.high and on_grid(value, self.low, self.step)


@dataclass(frozen=True, slots=True)
class Int:
    """A whole number in [low, high], uniform in its logarithm if `log`, on a grid if `step`."""

    low: int
    high: int
    log: bool = False
    step: int | None = None
    default: int | None = None
    when: When = field(default_factory=dict)

    def __post_init__(self) -> None:
        settle(self)
        check_range(self)

    def middle(self) -> int:
        """Return the middle of the range, the geometric one on a log scale."""
        step = self.step or 1
        return self.low + int((middle_of(self) - self.low) // step) * step

    def contains(self, value: Value) -> bool:
        """Say whether `value` is a whole number of this range."""
        whole = isinstance(value, int) and not isinstance(value, bool)
        return whole and self.low <= value <= self.high and on_grid(value, self.low, self.step)


@dataclass(frozen=True, slots=True)
class Choice:
    """One of the options, in no order; the first is the default."""

    options: tuple[Value, ...]
    default: Value = None
    when: When = field(default_factory=dict)

    def __post_init__(self) -> None:
        settle(self, options=tuple(self.options))
        if not self.options:
            raise ValueError("a choice needs at least one option, got none")
        texts = [option_text(option) for option in self.options]
        text, times = Counter(texts).most_common(1)[0]
        if times > 1:
            raise ValueError(f"option {text} is given twice")
        if self.default is not None and not self.contains(self.default):
            raise ValueError(f"default {self.default!r} is not {shown(self)}")

    def middle(self) -> Value:
        """Return the first option: options have no middle."""
        return self.options[0]

    def contains(self, value: Value) -> bool:
        """Say whether `value` is one of the options; 1, 1.0 and true are different ones."""
        return option_text(value) in {option_text(option) for option in self.options}


@dataclass(frozen=True, slots=True)
class Fixed:
    """A value that is set, not searched."""

    value: Value
    when: When = field(default_factory=dict)

    def __post_init__(self) -> None:
        settle(self)

    @property
    def default(self) -> Value:
        """The value itself."""
        return self.value

    def middle(self) -> Value:
        """Return the value itself."""
        return self.value

    def contains(self, value: Value) -> bool:
        """Say whether `value` is the one that is set."""
        return option_text(value) == option_text(self.value)


Parameter: TypeAlias = Float | Int | Choice | Fixed


def settle(parameter: Parameter, **values: Any) -> None:
    """Set the fields of a new parameter to their exact kinds, conditions to tuples of values."""
    for name, allowed in parameter.when.items():
        if isinstance(allowed, list | tuple | set) and not allowed:
            raise ValueError(f"the condition on {name!r} allows no value")
    for name, value in {**values, "when": conditions(parameter.when)}.items():
        object.__setattr__(parameter, name, value)


def conditions(when: Mapping[str, Any]) -> dict[str, tuple[Value, ...]]:
    """Return conditions with a tuple of values each, where one value may have been given."""
    many = (list, tuple, set)
    return {name: tuple(v) if isinstance(v, many) else (v,) for name, v in when.items()}


def real(value: Any) -> Any:
    """Return a whole number as a float, so that 1 and 1.0 make the same parameter."""
    return float(value) if type(value) is int else value


def middle_of(parameter: Float | Int) -> float:
    """Return the arithmetic or geometric middle of a range, whatever its size."""
    low, high = parameter.low, parameter.high
    if parameter.log:
        product = low * high
        exact = 0 < product < math.inf
        middle = math.sqrt(product) if exact else math.sqrt(low) * math.sqrt(high)
    else:
        middle = low + (high - low) / 2 if high - low < math.inf else low / 2 + high / 2
    return min(max(middle, low), high)


def check_range(parameter: Float | Int) -> None:
    """Refuse a range that is empty, not finite, or not positive on a log scale."""
    low, high, step = parameter.low, parameter.high, parameter.step
    kind, words = (int, "whole numbers") if isinstance(parameter, Int) else (float, "finite")
    if not all(type(bound) is kind and math.isfinite(bound) for bound in (low, high)):
        raise ValueError(f"bounds must be {words}, got low={low!r} and high={high!r}")
    if low > high:
        raise ValueError(f"low must not be above high, got low={low} and high={high}")
    if parameter.log and low <= 0:
        raise ValueError(f"a log scale needs low > 0, got low={low}")
    if parameter.log and step is not None:
        raise ValueError(f"a log scale has no step, got step={step}")
    if step is not None and not 0 < step < math.inf:
        raise ValueError(f"step must be above 0 and finite, got step={step}")
    default = parameter.default
    if default is not None and not parameter.contains(default):
        raise ValueError(f"default {default!r} is not {shown(parameter)}")


def shown(parameter: Parameter) -> str:
    """Say in words which values a parameter may have."""
    match parameter:
        case Choice(options=options):
            texts = ", ".join(map(option_text, options[:9])) + (", …" if len(options) > 9 else "")
            return f"one of {texts}"
        case Fixed(value=value):
            return option_text(value)
        case Float() | Int():
            grid = f" in steps of {parameter.step}" if parameter.step else ""
            whole = "a whole number " if isinstance(parameter, Int) else ""
            return f"{whole}in [{parameter.low}, {parameter.high}]{grid}"


def on_grid(value: float, low: float, step: float | None) -> bool:
    """Say whether `value` is a whole number of steps above `low`, up to rounding."""
    if step is None:
        return True
    steps = (value - low) / step
    return abs(steps - round(steps)) < 1e-6


def option_text(option: Value) -> str:
    """Write an option as JSON, which tells 1 from 1.0, true and '1'."""
    return json.dumps(option, sort_keys=True, default=str)


@dataclass(frozen=True, slots=True)
class Space(Mapping[str, Parameter]):
    """Parameters by dotted name, and the combinations of values that are forbidden."""

    parameters: Mapping[str, Parameter]
    forbid: tuple[Forbid, ...] = ()

    def __post_init__(self) -> None:
        for name, parameter in self.parameters.items():
            if lost := [other for other in parameter.when if other not in self.parameters]:
                raise ValueError(f"{name} depends on {lost[0]!r}, which is not in the space")
        try:
            self.order()
        except CycleError as error:
            raise ValueError(f"conditions go in a circle: {' -> '.join(error.args[1])}") from error

    def __getitem__(self, name: str) -> Parameter:
        return self.parameters[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.parameters)

    def __len__(self) -> int:
        return len(self.parameters)

    def order(self) -> tuple[str, ...]:
        """Return the names so that each comes after those that its condition names."""
        graph = {name: list(parameter.when) for name, parameter in self.parameters.items()}
        return tuple(TopologicalSorter(graph).static_order())

    def conditional(self) -> bool:
        """Say whether any parameter depends on another."""
        return any(parameter.when for parameter in self.parameters.values())

    def searched(self) -> tuple[str, ...]:
        """Return the names of the parameters that are not fixed."""
        return tuple(name for name in self if not isinstance(self[name], Fixed))

    def active(self, name: str, params: Mapping[str, Value]) -> bool:
        """Say whether `name` matters, given the values of the parameters that it depends on."""
        when = self[name].when
        return all(
            other in params and option_text(params[other]) in {option_text(v) for v in allowed}
            for other, allowed in when.items()
        )

    def default(self) -> dict[str, Value]:
        """Return the default point: what the study would train if nothing were searched."""
        params: dict[str, Value] = {}
        for name in self.order():
            if self.active(name, params):
                chosen = self[name].default
                params[name] = self[name].middle() if chosen is None else chosen
        return {name: params[name] for name in self if name in params}

    def completed(self, some: Mapping[str, Value]) -> dict[str, Value]:
        """Return the point that has these values, and the defaults where it says nothing."""
        params: dict[str, Value] = {}
        default = self.default()
        for name in self.order():
            if self.active(name, params):
                params[name] = some.get(name, default.get(name, self[name].middle()))
        return {name: params[name] for name in self if name in params}

    def forbidden(self, params: Mapping[str, Value]) -> Forbid | None:
        """Return the first rule that forbids this point, or None."""
        return next((rule for rule in self.forbid if rule(params)), None)

    def problems(self, params: Mapping[str, Value]) -> list[str]:
        """Say what keeps `params` from being a point of this space; nothing if it is one."""
        found = [f"{name}: no such parameter" for name in params if name not in self]
        for name in self.order():
            active = self.active(name, params)
            if active and name not in params:
                found.append(f"{name}: no value")
            elif name in params and not active:
                found.append(f"{name}: has a value, but its condition does not hold")
            elif name in params and not self[name].contains(params[name]):
                found.append(f"{name}: {params[name]!r} is not {shown(self[name])}")
        if not found and (rule := self.forbidden(params)):
            found.append(f"forbidden by {rule.text!r}")
        return found

    def fingerprint(self) -> str:
        """Return a short hash that changes when a range, option, condition or rule does."""
        plain = {
            n: p if isinstance(p, Fixed) else replace(p, default=None) for n, p in self.items()
        }
        parts = [f"{name}={plain[name]!r}" for name in sorted(plain)]
        text = "\n".join([*parts, *sorted(rule.text for rule in self.forbid)])
        return hashlib.sha256(text.encode()).hexdigest()[:16]
