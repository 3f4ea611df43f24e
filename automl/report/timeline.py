"""What the devices did, and what went wrong: attempts over time, utilization and failures."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from automl.history import History, Trial
from automl.report.records import Device, FailureGroup, Span
from automl.report.text import masked

NOWHERE = "without a device"


def latest(history: History) -> float:
    """Return the last moment that the history knows of, in Unix seconds; 0 if none."""
    return max(
        (
            moment
            for trial in history.trials
            for a in trial.attempts
            for moment in (a.started, a.ended or _heard(trial, a.started))
        ),
        default=0.0,
    )


def _heard(trial: Trial, started: float) -> float:
    return started + max((report.seconds for report in trial.reports), default=0.0)


def spans(history: History) -> tuple[Span, ...]:
    """Lay the attempts out by device; those of one device at one time get a lane each.

    An attempt that has not ended goes on until the last moment that the history knows of.
    """
    start = min((a.started for t in history.trials for a in t.attempts), default=0.0)
    end, named = latest(history), several_hosts(history)
    gpus = history.study.resources.gpus

    def name(host: str, device: str) -> str:
        if gpus and device == "cpu":  # a trial that wants one was lost before it had it
            return NOWHERE
        return str(masked(f"{host}:{device}" if named else device))

    found = [
        Span(
            device=name(attempt.host, device),
            lane=0,
            trial=trial.number,
            start=attempt.started - start,
            end=max(attempt.ended or end, attempt.started) - start,
            outcome=attempt.outcome or trial.state,
        )
        for trial in history.trials
        for attempt in trial.attempts
        for device in attempt.devices or ("cpu",)
    ]
    return tuple(_in_lanes(sorted(found, key=lambda span: (span.start, span.trial))))


def several_hosts(history: History) -> bool:
    """Say whether the trials ran on more than one machine."""
    return len({a.host for trial in history.trials for a in trial.attempts}) > 1


def _in_lanes(spans: Iterable[Span]) -> list[Span]:
    ends: defaultdict[str, list[float]] = defaultdict(list)
    placed = []
    for span in spans:
        lanes = ends[span.device]
        lane = next((i for i, end in enumerate(lanes) if end <= span.start), len(lanes))
        lanes[lane:] = [span.end, *lanes[lane + 1 :]]
        placed.append(replace(span, lane=lane))
    return placed


def devices(found: Sequence[Span]) -> tuple[Device, ...]:
    """Measure how long each device worked, from the first start to the last end of the study."""
    whole = max((span.end for span in found), default=0.0)
    by_device: defaultdict[str, list[Span]] = defaultdict(list)
    for span in found:
        if span.device != NOWHERE:
            by_device[span.device].append(span)
    return tuple(
        Device(name, busy, busy / whole if whole else 0.0, len(its), 1 + max(s.lane for s in its))
        for name, its in sorted(by_device.items())
        for busy in [covered((span.start, span.end) for span in its)]
    )


def covered(intervals: Iterable[tuple[float, float]]) -> float:
    """Return the length of the union of intervals."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(intervals):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total


def failures(history: History) -> tuple[FailureGroup, ...]:
    """Group the failed trials by kind, the most frequent first."""
    groups: defaultdict[str, list[Trial]] = defaultdict(list)
    for trial in history.trials:
        if trial.state == "failed":
            groups[trial.failure.kind if trial.failure else "unknown"].append(trial)
    ordered = sorted(groups.items(), key=lambda group: (-len(group[1]), group[0]))
    return tuple(_group(kind, trials) for kind, trials in ordered)


def _group(kind: str, trials: Sequence[Trial]) -> FailureGroup:
    last = trials[-1]
    message = last.failure.message if last.failure else "no reason was recorded"
    traceback = last.failure.traceback if last.failure else ""
    numbers = tuple(trial.number for trial in trials)
    return FailureGroup(kind, numbers, masked(message), masked(traceback), masked(last.params))
