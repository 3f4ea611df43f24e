"""Parameters and their values in Optuna's words."""

from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from automl.space import Choice, Fixed, Float, Int, Parameter, Value, option_text


def distribution(parameter: Parameter) -> BaseDistribution:
    """Say a parameter in Optuna's words."""
    match parameter:
        case Float(low, high, log, step):
            return FloatDistribution(low, high, log=log, step=step)
        case Int(low, high, log, step):
            return IntDistribution(low, high, log=log, step=step or 1)
        case Choice(options):
            return CategoricalDistribution([encode(option) for option in options])
        case Fixed(value):
            return CategoricalDistribution([encode(value)])


def encode(option: Value) -> Any:
    """Write an option so that Optuna can store it: scalars as they are, others as JSON text."""
    return option if isinstance(option, bool | int | float | str | None) else option_text(option)


def decode(parameter: Parameter, value: Any) -> Value:
    """Return the option that Optuna's value stands for."""
    match parameter:
        case Choice(options):
            return next(option for option in options if _same(encode(option), value))
        case Fixed(fixed):
            return fixed
    return value


def _same(left: Any, right: Any) -> bool:
    return type(left) is type(right) and left == right
