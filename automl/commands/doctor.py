"""`automl doctor`: whether this machine can run studies, one line for each check."""

import importlib.util
import tempfile
from argparse import Namespace
from collections.abc import Callable
from functools import partial
from pathlib import Path

from rich.text import Text

from automl import plugins, provenance
from automl.devices import cores, memory, visible_gpus
from automl.errors import AutomlError
from automl.terminal import console, emit

Check = Callable[[], str]


def main(options: Namespace) -> int:
    """Run every check; the exit code is 2 if one fails."""
    checks = CHECKS
    if options.cluster is not None:
        checks = CHECKS | {"cluster": partial(cluster, options.cluster)}
    found = {name: result(check) for name, check in checks.items()}
    if options.json:
        emit({name: {"ok": ok, "said": said} for name, (ok, said) in found.items()})
    else:
        out = console()
        for name, (ok, said) in found.items():
            style = "green" if ok else "bold red"
            out.print(Text.assemble(("ok   " if ok else "FAIL ", style), f"{name}: {said}"))
    return 0 if all(ok for ok, _ in found.values()) else 2


def result(check: Check) -> tuple[bool, str]:
    """Run a check; one that raises has failed."""
    try:
        return True, check()
    except Exception as error:  # whatever is wrong with this machine is what is asked for
        return False, f"{type(error).__name__}: {error}"


def versions() -> str:
    """Return the versions of what matters."""
    return ", ".join(f"{name} {text}" for name, text in provenance.versions().items())


def devices() -> str:
    """Return what there is to train on."""
    gpus = visible_gpus()
    return f"{len(gpus)} GPUs, {cores()} cores, {memory() / 1e9:.1f} GB of memory free"


def torch_build() -> str:
    """Say whether torch can use the GPUs that there are."""
    import torch

    if visible_gpus() and not torch.cuda.is_available():
        raise AutomlError(f"there are GPUs, but torch {torch.__version__} cannot use them")
    return f"torch {torch.__version__}, CUDA {'yes' if torch.cuda.is_available() else 'no'}"


def storage() -> str:
    """Write and lock a database where studies would."""
    from sqlalchemy import text

    from automl.storage import open_engine

    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".automl-doctor-") as folder:
        engine = open_engine(f"sqlite:///{folder}/check.db")
        with engine.begin() as connection:
            connection.execute(text("create table one (x integer)"))
            mode = connection.execute(text("pragma journal_mode")).scalar()
        engine.dispose()
    if mode != "wal":
        raise AutomlError(f"SQLite here has journal mode {mode!r}, not wal: is it a network disk?")
    return "SQLite locks and keeps a write-ahead log in this folder"


def healthy() -> str:
    """Load every installed plugin, and name all that are broken."""
    broken = []
    for name in (names := plugins.find()):
        try:
            plugins.kind(name, Path.cwd())
        except AutomlError as error:
            broken.append(str(error))
    if broken:
        raise AutomlError("; ".join(broken))
    return ", ".join(names) or "none installed"


def extras() -> str:
    """Say which optional packages are there."""
    known = {
        "psycopg": "postgres",
        "pyarrow": "parquet",
        "optuna_dashboard": "dashboard",
        "ray": "ray",
    }
    found = [extra for module, extra in known.items() if importlib.util.find_spec(module)]
    return ", ".join(found) or "none"


def cluster(address: str) -> str:
    """Compare the environments of a Ray cluster's nodes with this one."""
    from automl.engines import cluster
    from automl.study import Resources

    ray = cluster.library()
    cluster.join(ray, address, Resources())
    try:
        nodes = [node for node in ray.nodes() if cluster.fits({"CPU": 1}, node)]
        cluster.check(ray, nodes)
    finally:
        ray.shutdown()
    there = "; ".join(cluster.amounts(node["Resources"]) for node in nodes)
    return f"{len(nodes)} nodes have the versions and the code of this one ({there})"


CHECKS: dict[str, Check] = {
    "versions": versions,
    "devices": devices,
    "torch": torch_build,
    "storage": storage,
    "plugins": healthy,
    "extras": extras,
}
