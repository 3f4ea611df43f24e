"""The trials of a running study, kept in step in memory, in the record and in Optuna."""

import hashlib
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import numpy as np

from automl.errors import AutomlError
from automl.events import Outcome, Reported
from automl.failures import Failures
from automl.files import sweep
from automl.history import Attempt, Report, Trial
from automl.housekeeping import Keeper, remove
from automl.instantiate import build
from automl.job import JobSpec
from automl.optimizer import Optimizer
from automl.planning import Plan
from automl.provenance import host
from automl.record import Record, trial_folder
from automl.rungs import Rungs, completed
from automl.space import Value
from automl.stopping import replay

RESULT = "result.json"  # what a trial's process leaves before it says that it has ended


class Trials:
    """Proposes trials and takes in how they end; the record is written first, then Optuna told.

    Attributes:
        broken: why the study must end, if it must.
        again: attempts that come before new trials.
        halted: trials that early stopping has ended.
    """

    def __init__(self, plan: Plan, record: Record, optimizer: Optimizer) -> None:
        self.plan = plan
        self.study = plan.study
        self.record = record
        self.optimizer = optimizer
        self.home = record.folder
        self.all: dict[int, Trial] = {trial.number: trial for trial in record.trials()}
        self.proposals = record.proposals()
        self.told: list[int] = []  # since the record was last written
        self.again: deque[JobSpec] = deque()
        self.reports: list[Reported] = []
        self.failures = Failures(self.study.on_failure)
        self.keeper = Keeper(self.study)
        self.halted: set[int] = set()
        self.broken: AutomlError | None = None
        self.rungs = stopping(plan)
        if isinstance(self.rungs, Rungs):
            replay(self.rungs, self.all.values())

    def more(self) -> JobSpec:
        """Return the next attempt to run: one that was cut, else a new trial."""
        if not self.again:
            return self.propose()
        spec = self.again.popleft()
        was = self.all[spec.number]
        trial = replace(was, state="running", attempts=(*was.attempts, begun(spec.attempt)))
        self.record.start(trial, None)
        self.all[spec.number] = trial
        return spec

    def propose(self) -> JobSpec:
        """Ask for a point, record it, and make the job that tries it."""
        number = len(self.all)
        given, origin = self.given(number)
        proposal = self.optimizer.ask(number, given)
        seed = seed_of(self.study.search.seed, number)
        folder = trial_folder(self.home, number)
        trial = Trial(
            number, "running", proposal.params, origin, seed, folder, attempts=(begun(0),)
        )
        self.record.start(trial, proposal.optuna)
        self.all[number] = trial
        self.proposals[number] = proposal.optuna
        return self.spec(trial, 0)

    def given(self, number: int) -> tuple[dict[str, Value] | None, str]:
        """Return the point that trial `number` must take, if any, and who proposes it."""
        if number == 0:
            return self.plan.space.default(), "default"
        enqueued = self.study.search.enqueue
        if number <= len(enqueued):
            return self.plan.space.completed(enqueued[number - 1]), "enqueued"
        return None, self.optimizer.name

    def spec(self, trial: Trial, attempt: int) -> JobSpec:
        """Make the job of one attempt of a trial."""
        return JobSpec(
            study=self.study,
            kind="trial",
            number=trial.number,
            attempt=attempt,
            params=trial.params,
            seed=trial.seed,
            folder=trial.folder,
            shared=self.home / "shared",
            here=self.plan.here,
        )

    def report(self, event: Reported) -> bool:
        """Keep a report, which `flush` writes, and say whether the trial goes on."""
        self.reports.append(event)
        trial = self.all[event.spec.number]
        report = Report(event.step, event.seconds, event.metrics)
        self.all[trial.number] = replace(trial, reports=(*trial.reports, report))
        return self.goes_on(trial.number, report)

    def goes_on(self, number: int, report: Report) -> bool:
        """Compare a trial with the others at its rung, if the study stops trials early."""
        if self.rungs is None:
            return True
        goes_on = self.rungs.report(number, report.step, report.metrics).goes_on
        if not goes_on:
            self.halted.add(number)
        return goes_on

    def flush(self) -> None:
        """Write the reports that have come in, all in one transaction."""
        self.record.report(self.reports)
        self.reports = []

    def close(self) -> None:
        """Write what has not been written yet."""
        self.flush()
        self.record.told(self.told)
        self.told = []

    def put_back(self, spec: JobSpec, outcome: Outcome, when: float | None = None) -> None:
        """Record that an attempt has ended and that another one is to come."""
        self.remember(spec.number, outcome, "waiting", when)

    def run_again(self, spec: JobSpec) -> None:
        """Have the next attempt of a trial run before any new trial."""
        self.again.append(replace(spec, attempt=spec.attempt + 1, devices=()))

    def end(self, spec: JobSpec, outcome: Outcome, when: float | None = None) -> None:
        """Record how a trial ended, then tell Optuna, or have it run again."""
        if outcome.state == "broken":
            self.broken = self.broken or AutomlError(outcome.message)
            outcome = replace(outcome, state="failed")
        failure = outcome.failure if outcome.state == "failed" else None
        if failure is not None and failure.kind not in {"user", "nan"}:
            sweep(self.all[spec.number].folder)
        if self.failures.again(self.all[spec.number], failure):
            self.put_back(spec, outcome, when)
            self.run_again(spec)
            return
        self.remember(spec.number, outcome, outcome.state, when)
        trial = self.all[spec.number]
        self.tell(trial)
        for number, names in self.keeper.ended(trial).items():
            self.forget(number, names)
        self.broken = self.broken or self.failures.count(trial)

    def forget(self, number: int, names: set[str]) -> None:
        """Remove artefacts of a trial, first from the record: it never names what is gone."""
        trial = self.all[number]
        paths = {"": trial.artifact} | {point.name: point.artifact for point in trial.points}
        points = tuple(replace(p, artifact=None) if p.name in names else p for p in trial.points)
        own = None if "" in names else trial.artifact
        self.all[number] = replace(trial, artifact=own, points=points)
        self.record.keep(number, Outcome("done", trial.metrics, points, artifact=own))
        for name in names:
            remove(trial.folder, paths[name] or "")

    def remember(self, number: int, outcome: Outcome, state: Any, when: float | None) -> None:
        """Write the end of a trial into the record, and keep it at hand."""
        self.flush()
        done = state == "done"
        word = outcome.failure.kind if outcome.failure else outcome.state
        *earlier, last = self.all[number].attempts
        # the clock may have been put back since
        ended = max(last.started, time.time() if when is None else when)
        trial = replace(
            self.all[number],
            state=state,
            metrics=outcome.metrics if done else {},
            points=outcome.points if done else (),
            failure=outcome.failure,
            artifact=outcome.artifact if done else None,
            attempts=(*earlier, replace(last, ended=ended, outcome=word)),
        )
        self.record.end(trial, outcome, self.told)
        self.told = []
        self.all[number] = trial

    def placed(self, spec: JobSpec) -> None:
        """Keep on which devices an attempt runs."""
        trial = self.all[spec.number]
        devices = tuple(f"cuda:{one}" for one in spec.devices)
        *earlier, last = trial.attempts
        self.all[spec.number] = replace(trial, attempts=(*earlier, replace(last, devices=devices)))
        self.record.placed(spec.number, spec.attempt, spec.devices)

    def tell(self, trial: Trial) -> None:
        """Tell Optuna how a trial ended; telling it twice does no harm."""
        proposal = self.proposals.get(trial.number)
        if proposal is None:  # the record was rebuilt, and Optuna knows nothing yet
            proposal = self.optimizer.ask(trial.number, trial.params).optuna
            self.proposals[trial.number] = proposal
            self.record.proposed(trial.number, proposal)
        if trial.state == "done":
            self.optimizer.tell_done(proposal, trial.metrics)
            known = self.optimizer.points_of(trial.number) if trial.points else set()
            new = [point for point in trial.points if point.name not in known]
            self.optimizer.add(trial, [point for point in new if self.complete(point.metrics)])
        elif trial.state == "stopped":
            self.optimizer.tell_stopped(proposal)
        else:
            self.optimizer.tell_failed(proposal, learn=self.failures.learns(trial.failure))
        self.told.append(trial.number)

    def complete(self, metrics: Mapping[str, float]) -> bool:
        """Say whether every objective and constraint has a finite value."""
        names = {*self.study.objectives, *self.study.constraints}
        return all(np.isfinite(metrics.get(name, np.nan)) for name in names)


def stopping(plan: Plan) -> Rungs | None:
    """Return the rungs of a study, or None if it stops no trial early."""
    study = plan.study
    if study.fidelity is None or study.fidelity.stop == "off":
        return None
    if not isinstance(study.fidelity.stop, str):
        made = study.fidelity.stop
        return cast(Rungs, build(made.class_path, made.init_args))
    grace = [float(found) for _, found in plan.plugins.call("grace", study=study)]
    return Rungs(
        completed(study.fidelity, study.trainer),
        study.objectives,
        study.constraints,
        seed=study.search.seed,
        not_before=max(grace, default=0.0),
    )


def begun(number: int) -> Attempt:
    """Return an attempt that starts now, on this machine, on no GPU yet."""
    return Attempt(number, time.time(), None, ("cpu",), host(), "")


def seed_of(study_seed: int, number: int) -> int:
    """Derive a trial's seed from the study's and its number, so that others stay as they are."""
    text = f"{study_seed}:{number}".encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:4], "big") >> 1
