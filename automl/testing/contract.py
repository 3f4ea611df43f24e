"""What a plugin owes its host, as checks: for an author's tests and `automl plugin check`."""

import math
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from automl.events import Outcome
from automl.history import History, Trial
from automl.job import JobSpec
from automl.launch import run
from automl.planning import plan, reaches
from automl.plugins import Kind, Plugins, kind, options_of
from automl.proposals import proposals
from automl.report.facts import facts
from automl.report.html import render
from automl.reporting import from_plugins
from automl.study import Study
from automl.studyfile import StudyFile, read
from automl.testing.neighbours import BREAKING, TOY, beside
from automl.testing.watched import Watched, run_here

HEAVY = ("torch", "pytorch_lightning", "lightning", "optuna", "pandas", "sklearn")
LIMIT = 300  # seconds that one run of a check's study may take


@dataclass(frozen=True, slots=True)
class Subject:
    """A plugin under test: its name, and a small study that names it and runs on a CPU."""

    name: str
    study: Path

    def kind(self) -> Kind:
        """Load the plugin's class."""
        file = self.file()
        return kind(self.name, file.here, file.study.plugins[self.name].get("path"))

    def file(self, *overrides: str) -> StudyFile:
        """Read the study."""
        return read(self.study, overrides)

    def ran(self, folder: Path, *overrides: str) -> History:
        """Run the study, one trial if nothing else is said, with its results below `folder`."""
        given = [f"folder={folder}", "budget.trials=1", *overrides]
        return run(self.file(*given))


def require(condition: object, message: str) -> None:
    """Fail a check with a message."""
    if not condition:
        raise AssertionError(message)


def options_make_the_round_trip_and_refuse_unknown_keys(subject: Subject, folder: Path) -> None:
    """Options that are written and read back are equal; a key that nobody knows is an error."""
    del folder
    found = subject.kind()
    options = options_of(found, {})
    require(options_of(found, options.model_dump()) == options, "options do not read back equal")
    try:
        options_of(found, {"no_such_option_": 1})
    except ValidationError:
        return
    raise AssertionError('unknown options are accepted; give the model extra="forbid"')


def every_option_is_described_and_has_a_default(subject: Subject, folder: Path) -> None:
    """The schema tells an editor what each option is for, and no option must be given."""
    del folder
    for name, field in subject.kind().options.model_fields.items():
        require(field.description, f"option {name} has no description")
        require(not field.is_required(), f"option {name} has no default")


def the_space_holds_options_and_their_defaults(subject: Subject, folder: Path) -> None:
    """What is proposed to search are options, and the default point lies inside."""
    del folder
    found = subject.kind()
    proposed = proposals(Plugins({subject.name: found}, {}))
    for name, one in proposed.items():
        path = name.split(".")[1:]
        require(reaches(found.options, path), f"space names {name}, which is no option")
        require(one.contains(one.middle()), f"the middle of {name} is not inside it")
    space = plan(subject.file()).space
    require(not space.problems(space.default()), "the default point is not in the space")


def loading_the_plugin_loads_nothing_heavy(subject: Subject, folder: Path) -> None:
    """The driver starts at once: torch and its like are imported where trials run."""
    del folder
    file = subject.file()
    path = file.study.plugins[subject.name].get("path")
    code = (
        "import sys; from pathlib import Path; from automl.plugins import kind; "
        f"kind({subject.name!r}, Path({str(file.here)!r}), {path!r}); print(*sys.modules)"
    )
    done = subprocess.run(  # noqa: S603 - our own interpreter and code
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    require(not loaded & set(HEAVY), f"loading it imports {sorted(loaded & set(HEAVY))}")


def points_are_complete_and_finite(subject: Subject, folder: Path) -> None:
    """Every point has a finite value of every objective, and its artefact is there."""
    trial = only(subject.ran(folder))
    study = subject.file().study
    for name, metrics in [("", trial.metrics), *((p.name, p.metrics) for p in trial.points)]:
        for wanted in (*study.objectives, *study.constraints):
            value = metrics.get(wanted, math.nan)
            require(math.isfinite(value), f"point {name or 'of the trial'}: {wanted} is {value}")
    for point in trial.points:
        there = point.artifact is None or (trial.folder / point.artifact).exists()
        require(there, f"point {point.name}: no artefact {point.artifact}")


def only(history: History) -> Trial:
    """Return the one trial of a study, which must be done."""
    trial = history.trials[0]
    said = trial.failure.traceback if trial.failure else trial.state
    require(trial.state == "done", f"the trial did not end well: {said}")
    return trial


def nothing_is_written_outside_the_trials_folders(subject: Subject, folder: Path) -> None:
    """A plugin writes below the study's folder only."""
    here = subject.file().here
    before = listing(here)
    subject.ran(folder)
    new = sorted(path for path in listing(here) - before if "__pycache__" not in path)
    require(not new, f"it wrote beside the study: {new[:5]}")


def listing(folder: Path) -> set[str]:
    """Return the files below a folder."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def the_same_seed_gives_the_same_metrics(subject: Subject, folder: Path) -> None:
    """Two runs with one seed agree on every objective that does not measure time."""
    first = only(subject.ran(folder / "a")).metrics
    second = only(subject.ran(folder / "b")).metrics
    same(subject, first, second)


def same(subject: Subject, first: Any, second: Any, where: str = "") -> None:
    """Compare the objectives of two runs, but for those that measure time or memory."""
    for name in subject.file().study.objectives:
        if not name.endswith(("_ms", "_seconds", "_mb")):
            close = math.isclose(first[name], second[name], rel_tol=1e-4, abs_tol=1e-6)
            require(close, f"{name} is {first[name]} and {second[name]} under one seed{where}")


def a_killed_trial_goes_on_and_ends_like_the_uncut_one(subject: Subject, folder: Path) -> None:
    """SIGKILL at a random moment costs an attempt and changes no result."""
    uncut = only(subject.ran(folder / "uncut"))
    moment = random.uniform(0.1, 0.6) * uncut.seconds
    home = folder / "cut"
    name = subject.file().study.name
    log = home / name / "trials" / "00000" / "log.txt"
    killer = threading.Thread(target=kill_when, args=(log, moment), daemon=True)
    killer.start()
    policies = ("engine=local", "on_failure.crash.retry=3", f"search.seed={seed(subject)}")
    trial = only(subject.ran(home, *policies))
    killer.join(LIMIT)
    require(len(trial.attempts) > 1, "the trial ended before it could be killed")
    same(subject, uncut.metrics, trial.metrics, f", killed after {moment:.2f} s")


def seed(subject: Subject) -> int:
    """Return the seed of the study."""
    return subject.file().study.search.seed


def kill_when(log: Path, seconds: float) -> None:
    """Kill the process group that writes a log, some seconds after the log has appeared."""
    import psutil

    deadline = time.monotonic() + LIMIT
    while not log.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(seconds)
    for process in psutil.process_iter():
        try:
            if any(Path(one.path) == log for one in process.open_files()):
                os.killpg(process.pid, 9)
        except (psutil.Error, ProcessLookupError, PermissionError):
            continue


def it_composes_with_a_plugin_before_and_after_it(subject: Subject, folder: Path) -> None:
    """It works beside another plugin, and on which side that stands changes no result."""
    found = {}
    for side in ("before", "after"):
        file = subject.file(f"folder={folder / side}", "budget.trials=1")
        study = beside(file.study, TOY, folder / side, first=side == "before")
        found[side] = only(run(replace(file, study=study))).metrics
        require(found[side].get("toy") == 1.0, f"the plugin {side} it was not heard")
    same(subject, found["before"], found["after"])


def again(history: History, study: Study, folder: Path, line: Watched) -> Outcome:
    """Run the first trial of a study once more, in this process; it shares what was prepared."""
    trial = history.trials[0]
    spec = JobSpec(
        study=study,
        kind="trial",
        number=1,
        attempt=0,
        params=trial.params,
        seed=trial.seed,
        folder=folder,
        shared=history.folder / "shared",
        here=line.here,
    )
    return run_here(spec, line)


def a_training_that_breaks_is_called_what_it_is(subject: Subject, folder: Path) -> None:
    """Training that runs out of memory or diverges fails as `oom` or `nan`; nothing hides it."""
    history, file = subject.ran(folder), subject.file()
    for wanted in ("oom", "nan"):
        text = BREAKING.replace("KIND", wanted)
        study = beside(file.study, text, folder / f"beside-{wanted}")
        outcome = again(history, study, folder / wanted, Watched(file.here))
        told = outcome.failure.kind if outcome.failure else outcome.state
        trained = (folder / wanted / "reached").exists()
        require(told == wanted or not trained, f"training ended as {wanted}, and is told as {told}")


def a_trial_that_is_asked_to_stop_ends_cleanly(subject: Subject, folder: Path) -> None:
    """A job that is asked to stop after its first report says that it stopped; nothing raises."""
    history, file = subject.ran(folder), subject.file()
    line = Watched(file.here, patience=0)
    outcome = again(history, file.study, folder / "stopped", line)
    said = outcome.failure.traceback if outcome.failure else outcome.message
    require(outcome.state == "stopped" or not line.reports, f"it ended as {outcome.state}: {said}")


def its_report_renders_and_is_only_text(subject: Subject, folder: Path) -> None:
    """The sections render, before a trial has ended too; nothing in them becomes markup."""
    history = subject.ran(folder)
    plugins = plan(subject.file()).plugins
    found = from_plugins(plugins, history)
    early = from_plugins(plugins, replace(history, trials=()))
    broken = [text for _, text in found + early if isinstance(text, str)]
    require(not broken, f"report failed: {broken[:1]}")
    page = render(facts(history, found))
    require("<script src" not in page, "the page loads a script")


CHECKS: tuple[Callable[[Subject, Path], None], ...] = (
    options_make_the_round_trip_and_refuse_unknown_keys,
    every_option_is_described_and_has_a_default,
    the_space_holds_options_and_their_defaults,
    loading_the_plugin_loads_nothing_heavy,
    points_are_complete_and_finite,
    nothing_is_written_outside_the_trials_folders,
    the_same_seed_gives_the_same_metrics,
    it_composes_with_a_plugin_before_and_after_it,
    a_training_that_breaks_is_called_what_it_is,
    a_trial_that_is_asked_to_stop_ends_cleanly,
    its_report_renders_and_is_only_text,
    a_killed_trial_goes_on_and_ends_like_the_uncut_one,
)


def checked(subject: Subject, folder: Path) -> Iterator[tuple[str, str]]:
    """Run every check; yield its name and what is wrong, or nothing."""
    for check in CHECKS:
        name = check.__name__.replace("_", " ")
        try:
            check(subject, folder / check.__name__)
        except Exception as error:  # whatever a plugin raises is the answer
            yield name, f"{type(error).__name__}: {error}"
        else:
            yield name, ""
