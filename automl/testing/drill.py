"""The kill drill: a study with real training is killed at random moments until it is done.

    python -m automl.testing.drill [--trials 60] [--kills 30] [--seed 0] [--parallel 2] [--pause 2]

Prints a table of what was killed, what was lost, told twice or left behind, and how long a study
took to go on. Which process is killed and how long it is left alone is drawn from the seed.
"""

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from automl.archive import open_study
from automl.testing.invariants import broken

TARGETS = ("driver", "worker", "worker", "group", "everything", "server")
PATIENCE = 600.0  # seconds that a driver may take for its first attempt
MOST_FAILED = 5  # drivers that may end by themselves
GONE = 30.0  # seconds after which a process whose driver was killed counts as an orphan
STUDY = """\
version: 1
name: drill
folder: {folder}
model: {{class_path: automl.zoo.MLP, init_args: {{depth: 1}}}}
data: {{class_path: automl.zoo.Digits}}
trainer: {{max_epochs: 3}}
objectives:
  val_accuracy: {{goal: maximize, ref: 0.1}}
  parameters: {{goal: minimize, ref: 20000}}
space:
  model.width: {{int: [2, 64], log: true}}
  model.lr: {{float: [1e-4, 1e-1], log: true}}
budget: {{trials: {trials}}}
search: {{sampler: {sampler}, seed: {seed}}}
resources: {{parallel: {parallel}}}
on_failure: {{crash: {{retry: 1000}}, lost: {{retry: 1000}}, give_up_after: 1000}}
"""


@dataclass
class Report:
    """What a drill has seen."""

    kills: Counter[str] = field(default_factory=Counter)
    waits: list[float] = field(default_factory=list)  # from each restart to its first attempt
    orphans: int = 0
    slowest_death: float = 0.0
    announced: dict[int, dict[str, float]] = field(default_factory=dict)
    twice: int = 0  # announced a second time with other values
    failed: int = 0  # drivers that ended by themselves before the study was done
    seconds: float = 0.0
    trials: int = 0
    attempts: int = 0
    problems: list[str] = field(default_factory=list)

    def rows(self) -> list[tuple[str, str]]:
        """Return the lines of the table."""
        kills = ", ".join(f"{many} {what}" for what, many in sorted(self.kills.items()))
        lost = sum("announced" in problem for problem in self.problems)
        twice = sum("told" in problem or "Optuna's" in problem for problem in self.problems)
        over = sum("budget" in problem for problem in self.problems)
        waits = f"{statistics.median(self.waits):.1f} s, at most {max(self.waits):.1f} s"
        return [
            ("trials, attempts", f"{self.trials}, {self.attempts}"),
            ("kills", f"{sum(self.kills.values())}: {kills}"),
            ("completed trials lost", str(lost)),
            ("trials told twice", str(twice + self.twice)),
            ("budget exceeded", str(over)),
            ("orphans", f"{self.orphans}; the last trial died after {self.slowest_death:.2f} s"),
            ("from start to the first attempt", f"median {waits}"),
            ("drivers that failed by themselves", str(self.failed)),
            ("invariants broken", str(len(self.problems))),
            ("wall-clock time", f"{self.seconds:.0f} s"),
        ]


class Drill:
    """One study that is run, killed and run again.

    Args:
        folder: where everything is written.
        trials: number of trials.
        kills: after so many, the study is left alone.
        seed: of the victims and the moments, and of the study.
        parallel: trials at once.
        pause: mean seconds between two kills.
    """

    def __init__(
        self,
        folder: Path,
        *,
        trials: int,
        kills: int,
        seed: int = 0,
        parallel: int = 2,
        pause: float = 2.0,
    ) -> None:
        self.pause = pause
        self.study, self.said = folder / "drill.yaml", folder / "said.jsonl"
        self.home = folder / "runs" / "drill"
        text = STUDY.format(
            folder=folder / "runs", trials=trials, sampler="random", seed=seed, parallel=parallel
        )
        self.study.write_text(text, encoding="utf-8")
        self.kills = kills
        self.random = random.Random(seed)
        self.report = Report()

    def run(self) -> Report:
        """Kill until there are no kills left, then let the study end, and look at what is there."""
        began = time.monotonic()
        while not self.finished():
            self.ride()
        self.report.seconds = time.monotonic() - began
        self.judge()
        return self.report

    def lines(self) -> list[dict[str, object]]:
        """Return what drivers have said so far; a line that a kill has torn is left out."""
        found = []
        if self.said.exists():
            for line in self.said.read_text(encoding="utf-8").splitlines():
                with suppress(ValueError):
                    found.append(json.loads(line))
        return found

    def finished(self) -> bool:
        """Say whether a driver has said that the study is done."""
        return any("finished" in line for line in self.lines())

    def begun(self) -> int:
        """Count the drivers that have begun an attempt."""
        return sum("begun" in line for line in self.lines())

    def ride(self) -> None:
        """Start a driver and kill until it is gone."""
        before, started = self.begun(), time.monotonic()
        log = (self.said.parent / "driver.log").open("a", encoding="utf-8")
        command = [sys.executable, "-m", "automl.testing.driver", str(self.study), str(self.said)]
        driver = subprocess.Popen(command, stderr=log, stdout=log, start_new_session=True)  # noqa: S603
        log.close()
        while driver.poll() is None and self.begun() == before:
            if time.monotonic() - started > PATIENCE:
                driver.kill()
                raise TimeoutError(f"no attempt after {PATIENCE} s; see {log.name}")
            time.sleep(0.02)
        if driver.poll() is None:
            self.report.waits.append(time.monotonic() - started)
        while driver.poll() is None:
            if self.left() <= 0:
                driver.wait()
            else:
                time.sleep(self.random.expovariate(1 / self.pause))
                self.strike(driver)
        if driver.returncode not in {0, -signal.SIGKILL}:
            self.report.failed += 1
            if self.report.failed >= MOST_FAILED:
                raise RuntimeError(f"{MOST_FAILED} drivers failed by themselves; see {log.name}")

    def left(self) -> int:
        """Return how many kills are left."""
        return self.kills - sum(self.report.kills.values())

    def strike(self, driver: "subprocess.Popen[bytes]") -> None:
        """Kill one of the processes of a study."""
        target = self.random.choice(TARGETS)
        family = family_of(driver.pid)
        servers = [one for one in family if one.pid != driver.pid and parent(one) == driver.pid]
        roots = {one.pid for one in servers}
        workers = [one for one in family if parent(one) in roots]
        victims = {"worker": workers, "group": workers, "server": servers}.get(target, [])
        if driver.poll() is not None or (target in {"worker", "group", "server"} and not victims):
            return
        self.report.kills[target] += 1
        if target in {"driver", "everything"}:
            send(driver.pid, group=target == "everything")
            driver.wait()
            self.bury(workers, family)
        else:
            send(self.random.choice(victims).pid, group=target == "group")

    def bury(self, workers: list[psutil.Process], family: list[psutil.Process]) -> None:
        """Wait for the processes of a driver that was killed, and count those that stay."""
        began = time.monotonic()
        wait_for(workers)
        self.report.slowest_death = max(self.report.slowest_death, time.monotonic() - began)
        alive = wait_for(family)
        self.report.orphans += len(alive)

    def judge(self) -> None:
        """Compare what was said with what is recorded."""
        for line in self.lines():
            number, metrics = line.get("done"), line.get("metrics")
            if isinstance(number, int) and isinstance(metrics, dict):
                before = self.report.announced.setdefault(number, metrics)
                self.report.twice += before != metrics
        self.report.problems = broken(self.home, self.report.announced)
        trials = open_study(str(self.home)).record.trials()
        self.report.trials = len(trials)
        self.report.attempts = sum(len(trial.attempts) for trial in trials)


def family_of(pid: int) -> list[psutil.Process]:
    """Return a process and all its descendants."""
    with suppress(psutil.NoSuchProcess):
        driver = psutil.Process(pid)
        return [driver, *driver.children(recursive=True)]
    return []


def wait_for(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Wait until processes are dead, if not buried, and return those that live on."""
    deadline = time.monotonic() + GONE
    alive = [one for one in processes if lives(one)]
    while alive and time.monotonic() < deadline:
        time.sleep(0.01)
        alive = [one for one in alive if lives(one)]
    return alive


def lives(process: psutil.Process) -> bool:
    """Say whether a process runs; one that nobody has waited for yet does not."""
    with suppress(psutil.NoSuchProcess):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False


def parent(process: psutil.Process) -> int:
    """Return the parent of a process, 0 if it is gone."""
    with suppress(psutil.NoSuchProcess):
        return int(process.ppid())
    return 0


def send(pid: int, *, group: bool) -> None:
    """Kill a process, or its whole group."""
    with suppress(ProcessLookupError, PermissionError):
        if group:
            os.killpg(os.getpgid(pid), signal.SIGKILL)
        else:
            os.kill(pid, signal.SIGKILL)


def main() -> None:
    """Run a drill and print its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--parallel", type=int, default=2)
    parser.add_argument("--pause", type=float, default=2.0)
    options = vars(parser.parse_args())
    with tempfile.TemporaryDirectory() as name:
        report = Drill(Path(name), **options).run()
    out = sys.stdout.write
    out("| | |\n|---|---|\n" + "".join(f"| {what} | {said} |\n" for what, said in report.rows()))
    out("".join(f"\n{problem}" for problem in report.problems))
    sys.exit(1 if report.problems or report.orphans or report.failed else 0)


if __name__ == "__main__":
    main()
