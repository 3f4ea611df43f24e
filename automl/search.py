"""The loop of a study: submit jobs, listen to them, stop them in time."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import FrameType

from automl.errors import AutomlError, StorageError, TakenError
from automl.events import Asked, Ended, Engine, Event, Outcome, Reported, Started
from automl.failures import all_failed
from automl.files import held, write_json
from automl.history import Failure, History, Trial
from automl.job import JobSpec
from automl.mapping import specs
from automl.orphans import end_orphans
from automl.recovery import recover, signed, take_over
from automl.space import Fixed
from automl.spending import Spending
from automl.storage import file_of
from automl.study import Retry
from automl.timing import last
from automl.trials import Trials, seed_of

TICK = 0.5  # seconds between two looks at clocks and signals
PULSE = 5.0  # seconds between two writes of how long the study has taken
MEETING = 1.0  # seconds between two looks at what other drivers do
GRACE = 20.0  # seconds that jobs have after an interrupt to save and end by themselves
PREPARED = "prepared.json"

Watch = Callable[["Search"], None]


class Search:
    """One run of a study.

    Args:
        trials: the study's trials, so far and to come.
        engine: where jobs run.
        watch: called after every change, for a live view.
    """

    def __init__(self, trials: Trials, engine: Engine, watch: Watch) -> None:
        self.trials = trials
        self.study = trials.study
        self.engine = engine
        self.watch = watch
        self.running: dict[str, JobSpec] = {}
        self.since: dict[str, float] = {}  # when each running job started, by its key
        self.late: set[str] = set()
        self.maps: dict[str, list[JobSpec]] = {}
        self.again: list[JobSpec] = []  # items of maps whose process has died
        self.interrupts = 0
        self.interrupted = float("inf")  # when
        self.pulse = self.met = time.monotonic()
        self.spending = Spending(trials, self.since)

    def run(self) -> History:
        """Run until the budget is spent; what an earlier run left unfinished comes first.

        Raises:
            AutomlError: a broken contract, too many failures in a row, or nothing but failures.
            KeyboardInterrupt: the user interrupted; the record is whole and the study goes on
                when it is run again.
        """
        record = self.trials.record
        with self.signals():
            try:
                recover(self.trials)
                self.prepare()
                self.loop(self.more)
                while self.others_work():
                    self.wait()
                    self.loop(self.more)
            finally:
                self.engine.close()
                self.trials.close()
                record.took(self.spending.seconds())
                self.trials.leave()
        self.judge()
        return record.history(self.study, self.trials.plan.space)

    def judge(self) -> None:
        """Raise what keeps the study from having ended well."""
        failed = None if self.interrupts else all_failed(self.trials.all.values())
        if (error := self.trials.broken or failed) is not None:
            raise error
        if self.interrupts:
            raise KeyboardInterrupt

    def loop(self, more: Callable[[], JobSpec | None]) -> None:
        """Keep every device busy until there is nothing more to do."""
        while True:
            self.fill(more)
            if not self.running:
                return
            if len(self.running) > 1 and more == self.more:
                self.trials.ask_ahead(self.spending.left)
            self.engine.poll(self.handle, TICK)
            self.trials.flush()
            self.beat()
            self.meet()
            self.clocks()
            self.watch(self)

    def beat(self) -> None:
        """Write now and then how long the study has taken, in case the driver is killed.

        Raises:
            StorageError: the database is gone, though writes to it may still seem to succeed.
        """
        if time.monotonic() - self.pulse < PULSE:
            return
        self.pulse = time.monotonic()
        file = file_of(self.trials.record.url)
        if file is not None and not file.exists():
            raise StorageError(
                f"database {file} was removed while the study ran; rebuild it from the journal "
                f"beside it: automl repair {self.study.name}"
            )
        self.trials.record.took(self.spending.seconds())

    def meet(self) -> None:
        """Tell other drivers that this one lives, and take in what they did, or left undone."""
        if self.trials.sharing is None or time.monotonic() - self.met < MEETING:
            return
        self.met = time.monotonic()
        self.trials.sharing.beat()
        self.trials.sync()
        self.trials.tidy()
        take_over(self.trials)
        for key, spec in self.running.items():
            if spec.kind == "trial" and spec.number in self.trials.taken:
                self.engine.tell(key, "kill")

    def others_work(self) -> bool:
        """Say whether another driver has trials that are not finished; it may yet die."""
        ours = self.interrupts or self.trials.broken is not None
        return not ours and self.trials.sharing is not None and self.trials.under_way()

    def wait(self) -> None:
        """Let a moment pass in which there is nothing to do here."""
        time.sleep(TICK)
        self.meet()
        self.watch(self)

    def fill(self, more: Callable[[], JobSpec | None]) -> None:
        """Start jobs while there are devices for them."""
        while not self.interrupts and self.trials.broken is None and self.engine.capacity() > 0:
            spec = more()
            if spec is None:
                return
            self.running[spec.key] = spec
            self.engine.submit(spec)

    def more(self) -> JobSpec | None:
        """Return the next attempt to run, or None when the budget is spent."""
        return self.trials.more(self.spending.left)

    def handle(self, event: Event) -> None:
        """Take in what a job told; what another driver has taken over is its own affair."""
        try:
            self._handle(event)
        except TakenError:
            self.trials.sync()

    def _handle(self, event: Event) -> None:
        match event:
            case Started(spec):
                self.since[spec.key] = time.monotonic()
                if spec.kind == "trial" and (spec.devices or event.host):
                    self.trials.placed(spec, event.host)
            case Reported(spec) if spec.kind == "trial":
                if not self.trials.report(event):
                    self.engine.tell(spec.key, "stop")
            case Asked(spec, function, items, folder):
                self.maps[spec.key] = specs(spec, function, items, folder)
                self.mapped()
            case Ended(spec, outcome):
                self.ended(spec, outcome)

    def ended(self, spec: JobSpec, outcome: Outcome) -> None:
        """Take in the end of a job's process."""
        self.running.pop(spec.key, None)
        self.since.pop(spec.key, None)
        late = spec.key in self.late
        self.late.discard(spec.key)
        if late and outcome.state != "done":
            limit = self.study.budget.trial_time
            outcome = Outcome("failed", failure=Failure("timeout", f"took longer than {limit} s"))
        if outcome.failure is not None and not outcome.failure.traceback:
            message = outcome.failure.message + last(spec.folder)
            outcome = replace(outcome, failure=replace(outcome.failure, message=message))
        if spec.kind == "trial" and self.cut(spec, outcome):
            self.trials.put_back(spec, outcome)
        elif spec.kind == "trial":
            self.trials.end(spec, outcome)
        else:
            self.helped(spec, outcome)

    def cut(self, spec: JobSpec, outcome: Outcome) -> bool:
        """Say whether an attempt ended because the driver was interrupted."""
        if not self.interrupts or spec.number in self.trials.halted:
            return False
        killed = outcome.failure is not None and outcome.failure.kind == "crash"
        return outcome.state == "stopped" or killed

    def helped(self, spec: JobSpec, outcome: Outcome) -> None:
        """Take in the end of a job that is no trial; if it failed for good, so does the study."""
        if self.repeated(spec, outcome):
            self.again.append(replace(spec, attempt=spec.attempt + 1, devices=()))
        elif outcome.state in {"failed", "broken"} and self.trials.broken is None:
            said = outcome.failure.message if outcome.failure else outcome.message
            name = f"item {spec.number} of {spec.task[0]}" if spec.task else spec.kind
            self.trials.broken = AutomlError(f"{name} failed: {said}; log in {spec.folder}")
            for key in self.running:
                self.engine.tell(key, "kill")
        self.mapped()

    def repeated(self, spec: JobSpec, outcome: Outcome) -> bool:
        """Say whether an item of a map is to run again: its process died."""
        failure = outcome.failure
        if spec.kind != "task" or failure is None or self.interrupts:
            return False
        policy = self.trials.failures.policy(failure)
        return isinstance(policy, Retry) and spec.attempt < policy.retry

    def prepare(self) -> None:
        """Let plugins make what trials share, once a study."""
        shared = self.trials.home / "shared"
        done = shared / PREPARED
        if not self.trials.plan.plugins.implement("prepare") or done.exists():
            return
        blank = Trial(0, "waiting", {}, "", seed_of(self.study.search.seed, -1), shared)
        space = self.trials.plan.space.items()
        fixed = {name: one.value for name, one in space if isinstance(one, Fixed)}
        spec = replace(self.trials.spec(blank, 0), kind="prepare", params=fixed)
        shared.mkdir(parents=True, exist_ok=True)
        with held(shared / "prepare.lock", self.waits_on):
            if done.exists() or self.interrupts:
                return  # another driver has prepared
            end_orphans(signed(shared))
            todo = [spec]
            self.loop(lambda: todo.pop() if todo else self.next_task())
            if self.trials.broken is None and not self.interrupts:
                write_json(done, {"seed": spec.seed})

    def waits_on(self) -> bool:
        """Wait while another driver prepares; says whether to wait on."""
        self.wait()
        return not self.interrupts

    def next_task(self) -> JobSpec | None:
        """Return the next item of a map, or one whose process has died."""
        if self.again:
            return self.again.pop(0)
        return next((todo.pop(0) for todo in self.maps.values() if todo), None)

    def mapped(self) -> None:
        """Tell the job that maps that all items are done, if they are."""
        busy = any(spec.kind == "task" for spec in [*self.running.values(), *self.again])
        for key, todo in list(self.maps.items()):
            if not todo and not busy:
                del self.maps[key]
                self.engine.tell(key, "mapped")

    def clocks(self) -> None:
        """Kill what takes too long; ask all to stop after an interrupt."""
        limit = self.study.budget.trial_time
        for key, since in list(self.since.items()):
            if limit is not None and key.startswith("trial") and time.monotonic() - since > limit:
                self.late.add(key)
                self.engine.tell(key, "kill")
            elif self.interrupts:
                late = time.monotonic() - self.interrupted > GRACE
                self.engine.tell(key, "kill" if late else "stop")

    @contextmanager
    def signals(self) -> Iterator[None]:
        """Count interrupts: the first ends the study cleanly, the second at once."""

        def on_signal(number: int, frame: FrameType | None) -> None:
            del number, frame
            self.interrupts += 1
            self.interrupted = min(self.interrupted, time.monotonic())
            if self.interrupts > 1:
                raise KeyboardInterrupt

        before = {}
        try:
            for one in (signal.SIGINT, signal.SIGTERM):
                before[one] = signal.signal(one, on_signal)
        except ValueError:  # not in the main thread, as in a notebook's server
            before = {}
        try:
            yield
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)
