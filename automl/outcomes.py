"""Outcomes and points as JSON, for the result file of a trial and for the record."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from automl.events import Outcome
from automl.history import Failure, Point


def to_json(outcome: Outcome) -> dict[str, Any]:
    """Return an outcome of a trial as JSON data."""
    return {
        "state": outcome.state,
        "metrics": dict(outcome.metrics),
        "points": [point_to_json(point) for point in outcome.points],
        "failure": asdict(outcome.failure) if outcome.failure else None,
        "artifact": outcome.artifact,
        "message": outcome.message,
    }


def from_json(data: Mapping[str, Any]) -> Outcome:
    """Read an outcome back."""
    return Outcome(
        data["state"],
        data["metrics"],
        tuple(point_from_json(point) for point in data["points"]),
        Failure(**data["failure"]) if data["failure"] else None,
        data["artifact"],
        data["message"],
    )


def point_to_json(point: Point) -> dict[str, Any]:
    """Return a point as JSON data."""
    return {
        "metrics": dict(point.metrics),
        "params": dict(point.params),
        "artifact": point.artifact,
        "name": point.name,
    }


def point_from_json(data: Mapping[str, Any]) -> Point:
    """Read a point back."""
    return Point(data["metrics"], data["params"], data["artifact"], data["name"])
