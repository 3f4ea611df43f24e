"""Where results come from: versions, commit, machine and command."""

import os
import platform
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

PACKAGES = ("automl", "optuna", "torch", "pytorch-lightning", "numpy")


def host() -> str:
    """Return the name of this machine."""
    return socket.gethostname()


def versions(packages: Iterable[str] = PACKAGES) -> dict[str, str]:
    """Return the versions of the packages that are installed."""
    found = {"python": platform.python_version()}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def commit(folder: Path) -> str:
    """Return the commit of a folder under version control, marked if there are changes."""
    git = shutil.which("git")
    if git is None:
        return ""
    command = [git, "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=12"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    return answer.stdout.strip() if answer.returncode == 0 else ""


def processor() -> str:
    """Return the kind of this machine's processor, its cores and its memory."""
    kind = platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):  # no such file but on Linux
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    memory = psutil.virtual_memory().total / 1e9
    return ", ".join([*named[:1], kind, f"{os.cpu_count()} cores", f"{memory:.0f} GB of memory"])


def gpus() -> str:
    """Return the names of this machine's GPUs, as their driver tells them."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ""
    command = [program, "--query-gpu=name", "--format=csv,noheader"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    return ", ".join(answer.stdout.splitlines()) if answer.returncode == 0 else ""


def provenance(here: Path) -> dict[str, str]:
    """Collect what is needed to run a study again: `here` is the folder of its file."""
    found = versions() | {
        "host": host(),
        "platform": platform.platform(),
        "processor": processor(),
        "study folder": str(here),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join(sys.argv[:1] and [Path(sys.argv[0]).name, *sys.argv[1:]]),
    }
    found |= {"gpus": gpus(), "commit": commit(here)}
    return {name: text for name, text in found.items() if text}
