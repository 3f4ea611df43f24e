"""The trials of a running study, kept in step in memory, in the record and in Optuna."""

import hashlib
import shutil
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from automl.asking import Asker
from automl.clocks import Wall
from automl.errors import AutomlError, TakenError
from automl.events import Outcome, Reported
from automl.failures import Failures
from automl.files import sweep
from automl.halting import rule_of
from automl.history import Report, Trial
from automl.housekeeping import Keeper, remove
from automl.job import JobSpec
from automl.optimizer import Optimizer
from automl.planning import Plan
from automl.record import Record
from automl.rows import trial_folder
from automl.sharing import Sharing
from automl.stopping import replay
from automl.storage import outlast

UNDER_WAY = ("running", "waiting")
RESULT = "result.json"  # what a trial's process leaves before it says that it has ended


class Trials:
    """Proposes trials and takes in how they end; the record is written first, then Optuna told.

    Attributes:
        earlier: trials that had ended before this run.
        broken: why the study must end, if it must.
        again: attempts that come before new trials.
        halted: trials that early stopping has ended.
        sharing: this driver among others, where a study may have several.
        taken: trials that other drivers run.
    """

    def __init__(self, plan: Plan, record: Record, optimizer: Optimizer) -> None:
        self.plan = plan
        self.study = plan.study
        self.record = record
        self.optimizer, self.asker = optimizer, Asker(plan, optimizer)
        self.home, self.clock = record.folder, Wall()
        self.all: dict[int, Trial] = {trial.number: trial for trial in record.trials()}
        self.earlier = frozenset(n for n, one in self.all.items() if one.state not in UNDER_WAY)
        self.proposals = record.proposals()
        self.told: list[int] = []  # since the record was last written
        self.again: deque[JobSpec] = deque()
        self.reports: list[Reported] = []
        self.failures = Failures(self.study.on_failure)
        self.keeper = Keeper(self.study)
        self.halted: set[int] = set()
        self.broken: AutomlError | None = None
        self.sharing = Sharing(record) if record.shared else None
        self.taken: set[int] = set()
        self.elsewhere: list[Trial] = []  # that ended with other drivers, until `tidy`
        self.rule = rule_of(plan)
        if self.rule is not None:
            self.halted |= replay(self.rule, self.all.values())

    def more(self, left: Callable[[], bool]) -> JobSpec | None:
        """Return the next attempt to run: one that was cut, else a new trial if any is left."""
        if self.again:
            return self.resume()
        ask = partial(self.propose, left)
        return outlast(self.record.url, ask, wait=self.record.shared) if left() else None

    def resume(self) -> JobSpec:
        """Start the next attempt of a trial that was cut."""
        spec = self.again.popleft()
        was = self.all[spec.number]
        trial = replace(
            was, state="running", attempts=(*was.attempts, self.clock.begun(spec.attempt))
        )
        self.record.start(trial, None)
        self.all[spec.number] = trial
        return spec

    def propose(self, left: Callable[[], bool], again: bool) -> JobSpec | None:
        """Ask for a point, record it, and make the job that tries it; None if none is left.

        `again` says that an earlier call may have recorded one, and not have heard of it.
        """
        with self.record.turn():
            self.sync()
            if again and (unheard := self.unheard()) is not None:
                return self.spec(unheard, 0)
            number = len(self.all)
            if not left() or not self.asker.left(number):
                return None
            proposal, origin = self.asker.ask(number), self.asker.origin(number)
            seed, folder = seed_of(self.study.search.seed, number), trial_folder(self.home, number)
            begun = (self.clock.begun(0),)
            trial = Trial(number, "running", proposal.params, origin, seed, folder, attempts=begun)
            shutil.rmtree(folder, ignore_errors=True)  # of a trial that the power took away
            self.record.start(trial, proposal.optuna)
        self.all[number] = trial
        self.proposals[number] = proposal.optuna
        return self.spec(trial, 0)

    def ask_ahead(self, left: Callable[[], bool]) -> None:
        """Ask for the next trial while devices are busy; with other drivers its number is open."""
        if not self.again and self.sharing is None and left():
            self.asker.ahead(len(self.all))

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
        if self.rule is None:
            return True
        if not self.rule.report(number, report.step, report.metrics).goes_on:
            self.halted.add(number)
        return number not in self.halted

    def flush(self) -> None:
        """Write the reports that have come in, all in one transaction."""
        try:
            self.record.report(self.reports)
        except TakenError:
            self.sync()
            self.record.report([r for r in self.reports if r.spec.number not in self.taken])
        self.reports = []

    def close(self) -> None:
        """Write what has not been written yet."""
        self.asker.drop()
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
        self.clean(trial)
        self.broken = self.broken or self.failures.count(trial)

    def clean(self, *ended: Trial) -> None:
        """Remove what no longer stays now that trials have ended; others see to their own."""
        gone = self.keeper.ended(*ended)
        for number in gone.keys() - self.taken:
            self.forget(number, gone[number])

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
        # the clock may have been put back since an earlier driver
        ended = max(last.started, self.clock.now() if when is None else when)
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

    def placed(self, spec: JobSpec, host: str) -> None:
        """Keep on which devices an attempt runs, and on which host if not on this one."""
        devices = tuple(f"cuda:{one}" for one in spec.devices) or ("cpu",)
        *earlier, last = self.all[spec.number].attempts
        last = replace(last, devices=devices, host=host or last.host)
        self.all[spec.number] = replace(self.all[spec.number], attempts=(*earlier, last))
        self.record.placed(spec.number, spec.attempt, spec.devices, last.host)

    def tell(self, trial: Trial) -> None:
        """Tell Optuna how a trial ended; telling it twice does no harm."""
        outlast(self.record.url, lambda _: self._tell(trial), wait=self.record.shared)
        self.told.append(trial.number)

    def _tell(self, trial: Trial) -> None:
        proposal = self.proposals.get(trial.number)
        if proposal is None:  # the record was rebuilt, and Optuna knows nothing yet
            with self.record.turn():
                proposal = self.optimizer.ask(trial.number, trial.params).optuna
                self.record.proposed(trial.number, proposal)
            self.proposals[trial.number] = proposal
        if trial.state == "done":
            self.optimizer.tell_done(proposal, trial.metrics)
            known = self.optimizer.points_of(trial.number) if trial.points else set()
            new = [point for point in trial.points if point.name not in known]
            self.optimizer.add(trial, [point for point in new if self.complete(point.metrics)])
        elif trial.state == "stopped":
            self.optimizer.tell_stopped(proposal)
        else:
            self.optimizer.tell_failed(proposal, learn=self.failures.learns(trial.failure))

    def sync(self) -> None:
        """Take in what other drivers have written since the last time."""
        for trial in self.sharing.news() if self.sharing else ():
            was = self.all.get(trial.number)
            self.all[trial.number] = trial
            self.taken.add(trial.number)
            for report in trial.reports[len(was.reports) if was else 0 :]:
                self.goes_on(trial.number, report)
            if trial.state not in UNDER_WAY and (was is None or was.state in UNDER_WAY):
                self.elsewhere.append(trial)

    def tidy(self) -> None:
        """Remove what no longer stays since trials have ended with other drivers."""
        ended, self.elsewhere = self.elsewhere, []
        self.clean(*ended)

    def unheard(self) -> Trial | None:
        """Return a trial of this driver that is in the record, though it never heard so."""
        owned = self.sharing.owned() if self.sharing else set()
        found = self.record.trials(sorted(owned - self.all.keys()))
        self.all |= {trial.number: trial for trial in found}
        self.proposals = self.record.proposals()
        return found[0] if found else None

    def leave(self) -> None:
        """Sign out: other drivers take what is left."""
        if self.sharing:
            self.sharing.leave()

    def under_way(self) -> bool:
        """Say whether any trial is not finished, here or elsewhere."""
        return any(trial.state in UNDER_WAY for trial in self.all.values())

    def complete(self, metrics: Mapping[str, float]) -> bool:
        """Say whether every objective and constraint has a finite value."""
        names = {*self.study.objectives, *self.study.constraints}
        return all(np.isfinite(metrics.get(name, np.nan)) for name in names)


def seed_of(study_seed: int, number: int) -> int:
    """Derive a trial's seed from the study's and its number, so that others stay as they are."""
    text = f"{study_seed}:{number}".encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:4], "big") >> 1
