"""What the page's script is given: the facts as columns of JSON, every text cleaned."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from automl.report.records import Curves, Facts, Point, Span, Step
from automl.report.text import clean, unit

MOST_SPANS = 4000
MOST_STEPS = 600
DIGITS = 6


def compact(value: Any) -> Any:
    """Return a value as JSON can hold it in few characters: six digits, `"NaN"` and `"inf"`."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float):
        if not math.isfinite(value):
            return str(float(value))
        rounded = float(f"{value:.{DIGITS}g}")
        return int(rounded) if rounded == int(rounded) else rounded
    return clean(value)


def payload(facts: Facts) -> dict[str, Any]:
    """Return everything that the page draws."""
    return {
        "objectives": [
            {
                "name": clean(o.name),
                "goal": o.goal,
                "unit": o.unit,
                "ref": compact(o.ref),
                "default": compact(o.default),
            }
            for o in facts.objectives
        ],
        "constraints": [
            {"metric": clean(c.metric), "min": compact(c.min), "max": compact(c.max)}
            for c in facts.constraints
        ],
        "columns": columns(facts),
        "points": points(facts),
        "where": clean(facts.where),
        "knee": facts.knee and clean(facts.knee),
        "default": facts.default and clean(facts.default),
        "trace": trace(facts.trace),
        "hypervolume": facts.hypervolume is not None,
        "curves": [curves(c) for c in facts.curves],
        "fidelity": facts.fidelity,
        "timeline": timeline(facts.spans),
        "figures": [],
    }


def columns(facts: Facts) -> list[dict[str, Any]]:
    """Return the columns of the points: objectives, other metrics, parameters."""
    rows, names = facts.points, [o.name for o in facts.objectives]
    found = [
        _numbers(o.name, "objective", [row.values[i] for row in rows]) | {"goal": o.goal}
        for i, o in enumerate(facts.objectives)
    ]
    metrics = dict.fromkeys(name for row in rows for name in row.metrics if name not in names)
    found += [_numbers(n, "metric", [r.metrics.get(n) for r in rows]) for n in metrics]
    params = dict.fromkeys([*facts.parameters, *(name for row in rows for name in row.params)])
    return found + [_parameter(name, facts.parameters.get(name, {}), rows) for name in params]


def _numbers(name: str, group: str, values: Iterable[float | None]) -> dict[str, Any]:
    kept = [compact(value) for value in values]
    return {"name": clean(name), "group": group, "unit": unit(name), "values": kept}


def _parameter(name: str, known: Mapping[str, Any], rows: Sequence[Point]) -> dict[str, Any]:
    values = [row.params.get(name) for row in rows]
    if all(isinstance(v, int | float) and not isinstance(v, bool) for v in values if v is not None):
        return _numbers(name, "parameter", values) | {"log": bool(known.get("log"))}
    texts = [None if value is None else _option(value) for value in values]
    options = list(dict.fromkeys([*map(_option, known.get("options", ())), *filter(None, texts)]))
    index = {option: number for number, option in enumerate(options)}
    kept = [None if text is None else index[text] for text in texts]
    return {"name": clean(name), "group": "parameter", "options": options, "values": kept}


def _option(value: Any) -> str:
    return clean(value if isinstance(value, str) else json.dumps(value, default=str))


def points(facts: Facts) -> dict[str, Any]:
    """Return what the points have beside their columns; rare facts by index."""
    rows, chances = facts.points, dict(facts.noise.chances)
    return {
        "label": [clean(row.label) for row in rows],
        "trial": [row.trial for row in rows],
        "kind": [0 if row.front else 1 if row.feasible else 2 for row in rows],
        "beyond": {i: 1 for i, row in enumerate(rows) if not row.counts},
        "child": [int(bool(row.name)) for row in rows],
        "origin": [clean(row.origin) for row in rows],
        "seconds": [compact(row.seconds) for row in rows],
        "violated": {i: list(map(clean, r.violated)) for i, r in enumerate(rows) if r.violated},
        "artifact": {i: clean(row.artifact) for i, row in enumerate(rows) if row.artifact},
        "contribution": {
            i: compact(row.contribution)
            for i, row in enumerate(rows)
            if row.contribution is not None
        },
        "chance": {
            i: compact(chances[row.label]) for i, row in enumerate(rows) if row.label in chances
        },
    }


def trace(steps: Sequence[Step]) -> list[list[Any]]:
    """Return the steps as rows, thinned where nothing changes for long."""
    last, stride = len(steps) - 1, max(1, len(steps) // MOST_STEPS)
    kept = [
        step
        for index, step in enumerate(steps)
        if index in {0, last}
        or index % stride == 0
        or steps[index - 1].hypervolume != step.hypervolume
    ]
    return [
        [s.trials, compact(s.seconds), compact(s.gpu_hours), compact(s.hypervolume), s.front]
        + [compact(best) for best in s.best]
        for s in kept
    ]


def curves(found: Curves) -> dict[str, Any]:
    """Return the curves of one metric."""
    return {
        "metric": clean(found.metric),
        "left_out": found.left_out,
        "curves": [
            {
                "trial": curve.trial,
                "state": curve.state,
                "front": curve.front,
                "x": [compact(step) for step in curve.steps],
                "y": [compact(value) for value in curve.values],
            }
            for curve in found.curves
        ],
    }


def timeline(spans: Sequence[Span]) -> dict[str, Any]:
    """Return the attempts as rows; the last ones are left out where there are too many."""
    kept = spans[:MOST_SPANS]
    devices = sorted({clean(span.device) for span in kept})  # those of one node together
    outcomes = list(dict.fromkeys(clean(span.outcome) for span in kept))
    rows = [
        [
            devices.index(clean(span.device)),
            span.lane,
            span.trial,
            compact(span.start),
            compact(span.end),
            outcomes.index(clean(span.outcome)),
        ]
        for span in kept
    ]
    left_out = len(spans) - len(kept)
    return {"devices": devices, "outcomes": outcomes, "spans": rows, "left_out": left_out}
