"""Rewards of a completion that a program can verify: is it right, is it short, is it in form.

A reward function takes prompts, completions and answers of N rollouts, all texts, and returns N
numbers. A study may name functions of its own by their dotted paths.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from types import MappingProxyType
from typing import TypeAlias

import numpy as np

from automl_reward_weights.rewards import Array, Reward, column

Function: TypeAlias = Callable[[Sequence[str], Sequence[str], Sequence[str]], Sequence[float]]
MARK = "####"  # stands before the result, as in GSM8K
LONGEST = 44  # characters at which brevity is 0
WORDS = 3  # words that make a sentence
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
VERIFIED: Mapping[str, str] = MappingProxyType(
    {name: f"{__name__}.{name}" for name in ("accuracy", "brevity", "form")}
)


def result(completion: str) -> str:
    """Return the number after the mark, or the last number where there is no mark."""
    _, mark, after = completion.partition(MARK)
    found = NUMBER.findall(after if mark else completion)
    if not found:
        return ""
    return str(found[0] if mark else found[-1])


def accuracy(
    _prompts: Sequence[str], completions: Sequence[str], answers: Sequence[str]
) -> list[float]:
    """Pay 1 where the result is the answer."""
    pairs = zip(completions, answers, strict=True)
    return [float(result(completion) == answer) for completion, answer in pairs]


def brevity(
    _prompts: Sequence[str], completions: Sequence[str], _answers: Sequence[str]
) -> list[float]:
    """Pay 1 for nothing at all, less in proportion to the length, and 0 for what is too long."""
    return [max(0.0, 1 - len(completion) / LONGEST) for completion in completions]


def form(
    _prompts: Sequence[str], completions: Sequence[str], _answers: Sequence[str]
) -> list[float]:
    """Pay 1 for a sentence of some words followed by the mark and a number."""

    def holds(completion: str) -> bool:
        before, mark, after = completion.partition(MARK)
        words = re.findall(r"[A-Za-z]+", before)
        return bool(mark) and len(words) >= WORDS and NUMBER.fullmatch(after.strip()) is not None

    return [float(holds(completion)) for completion in completions]


def named(paths: Mapping[str, str]) -> dict[str, Function]:
    """Import reward functions by their dotted paths."""
    functions = {}
    for name, path in paths.items():
        module, _, attribute = path.rpartition(".")
        function = getattr(import_module(module), attribute, None) if module else None
        if not callable(function):
            raise ValueError(  # noqa: TRY004 - it is what the study says that is wrong
                f"reward {name!r}: {path!r} is no function; name one as package.module.function"
            )
        functions[name] = function
    return functions


def declared(names: Iterable[str]) -> tuple[Reward, ...]:
    """Return rewards to maximize in [0, 1] by their names."""
    return tuple(Reward(name) for name in names)


def paid(
    functions: Mapping[str, Function],
    prompts: Sequence[str],
    completions: Sequence[str],
    answers: Sequence[str],
) -> Array:
    """Return the (N, K) rewards of N completions."""
    columns = [
        column(name, function(prompts, completions, answers), len(completions))
        for name, function in functions.items()
    ]
    return np.stack(columns, axis=1)
