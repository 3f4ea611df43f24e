"""Instruments of `costs.py`: a lock that one process of the machine holds, and a memory counter."""

import fcntl
import os
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


@contextmanager
def machine_lock(name: str) -> Iterator[None]:
    """Wait until no other process of this machine holds the lock of this name, and hold it.

    The lock ends with its process, however that ends.
    """
    file = open_lock(Path(tempfile.gettempdir()) / f"automl-{name}.lock")
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


def open_lock(path: Path) -> int:
    """Open a lock file to read, which suffices and works across users; make it if need be."""
    try:
        return os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return os.open(path, os.O_RDONLY | os.O_CREAT, 0o644)


class LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Count the bytes of all tensors that are alive, and remember the most.

    A storage counts from the operation that returns it until nothing refers to it.

    Args:
        start: tensors that are alive from the start, in lists, tuples and dicts.
    """

    def __init__(self, start: Any) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = 0
        self.peak = 0
        self.known: dict[int, tuple[int, Any]] = {}
        for tensor in seen_tensors(start):
            self.add(tensor)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation, and count what it returns."""
        del types
        returned = func(*args, **(kwargs or {}))
        for tensor in seen_tensors(returned):
            self.add(tensor)
        return returned

    def add(self, tensor: Tensor) -> None:
        """Count the storage of a tensor, unless it is counted already."""
        storage = tensor.untyped_storage()
        key = storage._cdata  # noqa: SLF001 - the one name of a storage that outlives its wrappers
        if key not in self.known:
            self.known[key] = (storage.nbytes(), weakref.finalize(storage, self.remove, key))
            self.now += storage.nbytes()
            self.peak = max(self.peak, self.now)

    def remove(self, key: int) -> None:
        """Stop counting a storage that is gone."""
        self.now -= self.known.pop(key)[0]

    def __exit__(self, *raised: object) -> None:
        """Stop counting, and let go of what is still alive."""
        super().__exit__(*raised)  # type: ignore[no-untyped-call]
        for _, watch in self.known.values():
            watch.detach()


def seen_tensors(tree: Any) -> Iterator[Tensor]:
    """Yield the tensors in lists, tuples and dicts, in order."""
    if isinstance(tree, torch.Tensor):
        yield tree
    elif isinstance(tree, dict):
        for part in tree.values():
            yield from seen_tensors(part)
    elif isinstance(tree, list | tuple):
        for part in tree:
            yield from seen_tensors(part)
