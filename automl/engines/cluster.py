"""The way into a Ray cluster, and what its nodes must have in common with the driver."""

import hashlib
import importlib
import importlib.util
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from automl import plugins, provenance
from automl.devices import cores, visible_gpus
from automl.errors import AutomlError
from automl.study import Resources

QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
EQUAL = {"RAY_worker_niceness": "0"}  # or trials on a cluster of our own come after all else
STORE = 100_000_000  # bytes of the object store of a cluster of our own: hardly anything is in it
CHECK = 120.0  # seconds that nodes have to say their versions
CODE = "code of "  # begins the names of marks among the versions
SHOWN = 5  # nodes that a message names


def library() -> Any:
    """Import Ray, which is an extra, and keep it quiet.

    Raises:
        AutomlError: it is not installed.
    """
    for name, value in (QUIET | EQUAL).items():
        os.environ.setdefault(name, value)
    try:
        return importlib.import_module("ray")
    except ModuleNotFoundError as error:
        raise AutomlError("engine: ray is not installed; pip install 'automl[ray]'") from error


def join(ray: Any, address: str, resources: Resources) -> None:
    """Start a cluster of this machine alone, or join one that runs.

    Raises:
        AutomlError: there is no cluster at this address, or it has another Python or Ray.
    """
    alone = {
        "num_cpus": cores(),
        "num_gpus": len(visible_gpus()) if resources.gpus else 0,
        "object_store_memory": STORE,
        "include_dashboard": False,
    }
    options = alone if address == "local" else {}
    try:
        ray.init(address=address, log_to_driver=False, logging_level="error", **options)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise AutomlError(
            f"engine: no cluster can be joined at address {address!r}: {reason(error)}; run `ray "
            "start --head` on one node and `ray start --address=HOST:6379` on each other one, "
            "this one included, with the same RAY_AUTH_MODE everywhere, or set `address: local`"
        ) from error


def need(resources: Resources) -> dict[str, float]:
    """Return what one job takes, in Ray's words."""
    given = {"CPU": resources.cpus, "GPU": resources.gpus, "memory": resources.memory or 0}
    return {name: float(value) for name, value in given.items() if value}


def fits(wanted: Mapping[str, float], node: Mapping[str, Any]) -> bool:
    """Say whether a node that is alive has what a job takes, if nothing else ran there."""
    there = node["Resources"]
    return bool(node["Alive"]) and all(there.get(name, 0) >= n for name, n in wanted.items())


def nothing_fits(wanted: Mapping[str, float], nodes: Iterable[Mapping[str, Any]]) -> str:
    """Say that no node has what a job takes."""
    every = [node for node in nodes if node["Alive"]]
    there = "; ".join(f"{called(node)}: {amounts(node['Resources'])}" for node in every[:SHOWN])
    more = f" and {len(every) - SHOWN} more" if len(every) > SHOWN else ""
    return (
        f"engine: a trial needs {amounts(wanted)}, and no node of the cluster has that "
        f"({there or 'it has no node'}{more}); ask for less under `resources`, or add a node"
    )


def amounts(found: Mapping[str, float]) -> str:
    """Write what a job takes or a node has."""
    parts = [f"{found.get('GPU', 0):g} GPU", f"{found.get('CPU', 0):g} CPU"]
    memory = found.get("memory", 0)
    return ", ".join([*parts, *([f"{memory / 1e9:.3g} GB"] if memory else [])])


def called(node: Mapping[str, Any]) -> str:
    """Return the name of a node's machine."""
    return str(node["NodeManagerHostname"])


def versions() -> dict[str, str]:
    """Return the versions, and marks of the code, of what must be alike wherever jobs run."""
    found = provenance.versions()
    packages = {"automl": "automl"}
    for name, one in plugins.find().items():
        found[f"plugin {name}"] = f"{one.distribution} {one.version}"
        packages[f"plugin {name}"] = one.entry.module.partition(".")[0]
    marks = {f"{CODE}{name}": code(package) for name, package in packages.items()}
    return found | {name: mark for name, mark in marks.items() if mark}


def without_code(found: Mapping[str, str]) -> dict[str, str]:
    """Return versions alone: code that is being edited need not be alike at all times."""
    return {name: text for name, text in found.items() if not name.startswith(CODE)}


def code(package: str) -> str:
    """Return a mark of the source of a package without importing it; empty if there is none."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return ""
    origin = Path(spec.origin)
    return mark(origin.parent.rglob("*.py") if origin.name == "__init__.py" else [origin])


def mark(paths: Iterable[Path]) -> str:
    """Return a mark of what files hold and how they are called."""
    found = hashlib.sha256()
    for path in sorted(paths):
        found.update(path.name.encode() + b"\0" + path.read_bytes())
    return found.hexdigest()[:12]


def differences(here: Mapping[str, str], there: Mapping[str, str]) -> str:
    """Say in words what two environments do not have in common; empty if there is nothing."""
    return "; ".join(
        f"{name} is {there.get(name, 'missing')} there and {here.get(name, 'missing')} here"
        for name in sorted(here.keys() | there.keys())
        if here.get(name) != there.get(name)
    )


def check(ray: Any, nodes: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Compare the environments of nodes with the driver's, and return the driver's.

    What differs is compared once more: somebody may be editing it.

    Raises:
        AutomlError: a node has another one, or cannot say which.
    """
    here = versions()
    if compared(ray, nodes, here):
        here = versions()
        if wrong := compared(ray, nodes, here):
            said = "\n  ".join(wrong)
            raise AutomlError(f"engine: {said}\n  install the same versions on every node")
    return here


def compared(ray: Any, nodes: Iterable[Mapping[str, Any]], here: Mapping[str, str]) -> list[str]:
    """Say in words which nodes have another environment."""
    strategy = importlib.import_module("ray.util.scheduling_strategies")
    ask = ray.remote(num_cpus=0, max_retries=0)(versions)
    asked = {}
    for node in nodes:
        there = strategy.NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        asked[called(node), node["NodeID"]] = ask.options(scheduling_strategy=there).remote()
    wrong: list[str] = []
    for (name, _), answer in asked.items():
        try:
            differ = differences(here, ray.get(answer, timeout=CHECK))
        except ray.exceptions.RayError as error:
            differ = f"it cannot say its versions: {reason(error)}"
        wrong += [f"node {name} has another environment: {differ}"] if differ else []
    return wrong


def reason(error: BaseException) -> str:
    """Return the line of an error of Ray that says what was wrong: the last one, cut."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:300]
