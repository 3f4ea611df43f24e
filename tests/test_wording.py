from datetime import date
from enum import Enum
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field, ValidationError

from automl.reading.wording import mistakes


class Colour(Enum):
    RED = "red"
    GREEN = "green"


class Circle(BaseModel, extra="forbid"):
    kind: Literal["circle"]
    radius: float = Field(gt=0)


class Square(BaseModel, extra="forbid"):
    kind: Literal["square"]
    side: float


class Options(BaseModel, extra="forbid", strict=True, allow_inf_nan=False):
    """What a stranger's plugin might ask for."""

    width: int = Field(description="how wide", multiple_of=8)
    rate: float = Field(0.1, ge=0, le=1)
    name: str = Field("a", pattern="^[a-z]+$", min_length=1)
    colour: Colour = Field(Colour.RED, strict=False)
    day: date | None = Field(None, strict=False)
    file: Path = Field(Path(), strict=False)
    layers: list[Annotated[int, Field(ge=1)]] = Field([], max_length=3)
    shape: Circle | Square | None = None
    tagged: Annotated[Circle | Square, Field(discriminator="kind")] | None = None
    by_block: dict[str, float] = Field({})
    either: int | list[int] = 3


def said(**data):
    given = {"width": 8} | data
    with pytest.raises(ValidationError) as caught:
        Options.model_validate(given)
    return [one.message for one in mistakes(caught.value, given, Options)]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"width": "8"}, "width: expected a whole number, got '8'; remove the quotes"),
        ({"width": 7}, "width: expected a multiple of 8, got 7"),
        ({"rate": 2}, "rate: must be at most 1, got 2"),
        ({"rate": float("inf")}, "rate: expected a finite number, got inf"),
        ({"name": "A"}, "name: expected a text like ^[a-z]+$, got 'A'"),
        ({"name": ""}, "name: needs at least 1 character, got ''"),
        (
            {"colour": "gren"},
            "colour: expected 'red' or 'green', got 'gren'; did you mean 'green'?",
        ),
        ({"layers": [1, 0]}, "layers.1: must be at least 1, got 0"),
        ({"layers": [1, 1, 1, 1]}, "layers: needs at most 3 entries, got [1, 1, 1, 1]"),
        ({"layers": 3}, "layers: expected a list, got 3"),
        ({"shape": {"kind": "circle", "radius": 0}}, "shape.radius: must be above 0, got 0"),
        (
            {"shape": {"kind": "square", "sdie": 1}},
            "shape: unknown key 'sdie'; did you mean 'side'?",
        ),
        ({"shape": 3}, "shape: expected a mapping, got 3"),
        ({"tagged": {"kind": "square"}}, "tagged: missing key 'side'"),
        ({"by_block": {"b": "x"}}, "by_block.b: expected a number, got 'x'"),
        ({"either": "x"}, "either: expected a whole number or a list, got 'x'"),
        ({"either": [1, "x"]}, "either.1: expected a whole number, got 'x'"),
        ({"rte": 0.1}, "unknown key 'rte'; did you mean 'rate'?"),
        ({"radius": 0.1}, "unknown key 'radius'; did you mean 'shape.radius'?"),
    ],
)
def test_a_slip_in_the_options_of_a_plugin_is_one_mistake(data, message):
    assert said(**data) == [message]


def test_what_has_no_words_of_its_own_is_said_as_pydantic_does():
    (message,) = said(day="tomorrow")
    assert message.startswith("day: expected ")
    assert message.endswith("got 'tomorrow'")


def test_a_missing_key_is_told_with_its_description():
    with pytest.raises(ValidationError) as caught:
        Options.model_validate({})
    (one,) = mistakes(caught.value, {}, Options)
    assert (one.trail, one.message, one.value) == ((), "missing key 'width': how wide", False)


def test_every_mistake_is_told():
    assert len(said(width=1, rate=2, name="A", foo=1)) == 4
