"""Put the parts of a study together and run it: plan, engine, record, optimizer, loop."""

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl.engines.choice import make_engine
from automl.env import mask
from automl.errors import AutomlError, Problem, StorageError, StudyError
from automl.events import Ended, Engine, Event, Outcome
from automl.files import disk_faults, read_json, write_text
from automl.history import History
from automl.job import JobSpec
from automl.mirror import Mirror
from automl.mirroring import mirrored
from automl.planning import Plan, plan, refuse
from automl.provenance import host, provenance
from automl.storage import alone, faults, is_shared, is_sqlite, outlast, rename, url_of
from automl.study import Study
from automl.studyfile import StudyFile, dump

if TYPE_CHECKING:
    from automl.optimizer import Optimizer
    from automl.record import Record
    from automl.search import Search

CHANGEABLE = "budget, search.enqueue, resources, engine, on_failure and checkpoints may change"


def run(file: StudyFile, watch: Any = None, *, fresh: bool = False) -> History:
    """Run a study to the end of its budget, going on from where an earlier run ended.

    Args:
        file: what to run; the study's `folder` is relative to the working directory, its modules
            and other paths to the folder of the file.
        watch: called with the running search after every change.
        fresh: put an earlier run of the same name aside and start anew.

    Raises:
        AutomlError: the study cannot run, is running already, or went wrong as a whole.
    """
    study = file.study
    home = study.home.resolve()
    planned = plan(file)  # refuses what can be known before anything is written
    url = url_of(study.storage, home)
    shared = is_shared(url)
    with disk_faults():
        if fresh:
            put_aside(home, url, study.remote)
        home.mkdir(parents=True, exist_ok=True)
    with (
        disk_faults(),
        locked(home, shared=shared),
        mirrored(study.remote, home, shared=shared) as mirror,
        opened(make_engine(study)) as engine,
    ):
        ready = plan(file, inspect(file, planned, engine, home))
        return searched(ready, engine, home, both(mirror, watch))


def both(mirror: Callable[[], None], watch: Any) -> Callable[["Search"], None]:
    """Return what is called after every change: the copying to a URL, then the live view."""

    def watching(search: "Search") -> None:
        mirror()
        if watch is not None:
            watch(search)

    return watching


def searched(ready: Plan, engine: Engine, home: Path, watch: Any) -> History:
    """Open the record and the optimizer, and search."""
    url = url_of(ready.study.storage, home)
    with faults(url):  # those of Optuna's part too
        return _searched(ready, engine, home, url, watch)


def _searched(ready: Plan, engine: Engine, home: Path, url: str, watch: Any) -> History:
    from automl.optimizer import Optimizer
    from automl.record import Record
    from automl.search import Search
    from automl.trials import Trials

    def begun(_again: bool) -> Trials:
        with ExitStack() as opened, alone(url):
            record = Record(url, ready.study.name, home)
            opened.callback(record.close)
            begin(record, ready)
            optimizer = Optimizer(url, ready.study, ready.space)
            opened.callback(optimizer.close)
            if ready.study.search.warm_start:
                warm(optimizer, ready)
            trials = Trials(ready, record, optimizer)
            opened.pop_all()
            return trials

    trials = outlast(url, begun, wait=is_shared(url))
    try:
        return Search(trials, engine, watch or (lambda _: None)).run()
    finally:
        trials.record.close()
        trials.optimizer.close()


def begin(record: "Record", ready: Plan) -> None:
    """Add a study to the record, or compare it with what is there."""
    wanted = identity(ready)
    found = record.find()
    if found is not None:
        same(json.loads(found.fingerprint), wanted, ready.study.name)
    else:
        refuse_leftovers(record.folder)
    known = provenance(ready.here) if found is None else json.loads(found.provenance)
    text = dump(ready.resolved(), [f"{name}: {said}" for name, said in known.items()])
    resolved = record.folder / "study.yaml"
    if not resolved.exists() or resolved.read_text(encoding="utf-8") != text:
        write_text(resolved, text)  # what may change, such as the budget, is as of this run
    if found is None:
        record.create(ready.resolved().model_dump_json(), json.dumps(wanted), known)


def warm(optimizer: "Optimizer", ready: Plan) -> None:
    """Teach the optimizer what earlier studies found, unless an earlier run did.

    Raises:
        AutomlError: there is no such study, or it has nothing that fits this one.
    """
    from automl.archive import open_study
    from automl.teaching import heard, teach
    from automl.warmstart import lessons

    known = heard(optimizer)
    for named in ready.study.search.warm_start:
        if named in known:
            continue
        try:
            history = open_study(named).history()
        except AutomlError as error:
            raise AutomlError(f"search.warm_start: {error}") from error
        if not teach(optimizer, named, lessons(history, ready.study, ready.space)):
            raise AutomlError(
                f"search.warm_start: no point of {named!r} fits this study: parameters must lie "
                "in this space, and it must have logged these objectives"
            )


def refuse_leftovers(home: Path) -> None:
    """Refuse to begin where trials of a study lie whose database is gone."""
    left = len(list((home / "trials").glob("*")))
    if left:
        raise StorageError(
            f"the database of study {home.name!r} is gone, but {left} of its trials are in "
            f"{home / 'trials'}; rebuild it: automl repair {home.name}, or start anew with --fresh"
        )


def identity(ready: Plan) -> dict[str, Any]:
    """Return what must not change between two runs of one study."""
    study = ready.study.model_dump(mode="json")
    kept = {name: study[name] for name in ("model", "data", "trainer", "objectives", "constraints")}
    origins = {one.kind.name: one.kind.origin for one in ready.plugins}
    return kept | {
        "space": ready.space.fingerprint(),
        "plugins": study["plugins"],
        "plugin versions": origins,
        "search.seed": study["search"]["seed"],
        "search.sampler": study["search"]["sampler"],
    }


def same(was: dict[str, Any], now: dict[str, Any], name: str) -> None:
    """Refuse to go on with a study that is another one by now."""
    changed = [key for key in now if was.get(key) != now[key]]
    if changed:
        raise StudyError(
            [
                Problem(
                    f"{', '.join(changed)} changed since study {name!r} began; start anew with "
                    f"--fresh, or give it a new name and `search.warm_start: [{name}]` "
                    f"({CHANGEABLE})"
                )
            ]
        )


def put_aside(home: Path, url: str, remote: str | None) -> None:
    """Rename the folder of an earlier run, here and at its URL, and the study in a database."""
    if not home.exists() and remote is None:
        return
    home.mkdir(parents=True, exist_ok=True)
    with locked(home):
        name = f"{home.name}.{time.strftime('%Y%m%d-%H%M%S')}"
        if not is_sqlite(url):
            rename(url, home.name, name)
        mirror = Mirror(remote, home) if remote is not None else None
        home.rename(home.with_name(name))
        if mirror is not None:
            mirror.put_aside(name)


@contextmanager
def locked(home: Path, *, shared: bool = False) -> Iterator[None]:
    """Keep a second driver off a study for as long as this one lives, however it dies.

    Args:
        home: the study's folder.
        shared: whether drivers may share the study; they keep off only who must be alone.

    Raises:
        StorageError: another driver has the study; says its process and host.
    """
    path = home / "driver.lock"
    handle = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError as error:
        who = read_json(path) or {}
        os.close(handle)
        raise StorageError(
            f"study {home.name!r} is running already: process {who.get('pid')} on "
            f"{who.get('host')}; wait for it, or stop it"
        ) from error
    try:
        os.ftruncate(handle, 0)
        os.write(handle, json.dumps({"pid": os.getpid(), "host": host()}).encode())
        yield
    finally:
        os.close(handle)


@contextmanager
def opened(engine: Engine) -> Iterator[Engine]:
    """Close an engine whatever happens."""
    try:
        yield engine
    finally:
        engine.close()


def inspect(file: StudyFile, planned: Plan, engine: Engine, home: Path) -> dict[str, Any]:
    """Check the model's and the data's arguments where they can be imported; return defaults."""
    params = {name: one.middle() for name, one in planned.space.items()}
    outcome = ask(engine, job(planned, "inspect", home, params))
    found = [located(file.study, place, text) for place, text in outcome.result["problems"]]
    refuse(file, found)
    return dict(outcome.result["defaults"])


def located(study: Study, place: tuple[str, ...], text: str) -> tuple[tuple[str, ...], str]:
    """Point at the space where it is what gives an argument, else at the argument itself."""
    name = ".".join(part for part in place if part != "init_args")
    return (("space", name), text) if name in study.space else (place, text)


def job(planned: Plan, kind: str, home: Path, params: dict[str, Any]) -> JobSpec:
    """Make a job that belongs to no trial."""
    return JobSpec(
        study=planned.study,
        kind=kind,
        number=0,
        attempt=0,
        params=params,
        seed=planned.study.search.seed,
        folder=home / kind,
        shared=home / "shared",
        here=planned.here,
    )


def ask(engine: Engine, spec: JobSpec) -> Outcome:
    """Run one job and return its outcome.

    Raises:
        AutomlError: the job failed.
    """
    ends: list[Ended] = []

    def handle(event: Event) -> None:
        if isinstance(event, Ended):
            ends.append(event)

    engine.submit(spec)
    while not ends:
        engine.poll(handle, 1.0)
    outcome = ends[0].outcome
    if outcome.state != "done":
        said = outcome.failure.message if outcome.failure else outcome.message
        raise AutomlError(outcome.message or f"{spec.kind} failed: {mask(said)}")
    return outcome
