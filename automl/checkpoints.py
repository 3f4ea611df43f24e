"""The checkpoints of one phase of a job: written whole, checked when read, the last two kept."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from automl.files import digest, read_json, write_json, write_with

KEPT = 2  # the last one, and the one before in case the last is damaged
FORMAT = 1  # of what a fit saves: counted up whenever `automl.saving` saves something else
MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class Saved:
    """A checkpoint file with the size and hash that it was written with."""

    path: Path
    size: int
    sha256: str

    def intact(self) -> bool:
        """Say whether the file is still what was written."""
        if not self.path.is_file() or self.path.stat().st_size != self.size:
            return False
        return digest(self.path) == self.sha256


class Checkpoints:
    """The checkpoints in one folder.

    Attributes:
        metrics: what had been logged when the last one was saved.
        finished: the phase's metrics once it has ended.
        foreign: the format of checkpoints that lie there but cannot be gone on from, if it is not
            this one; an end is read whatever its format.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        manifest = read_json(folder / MANIFEST) or {}
        files: list[Mapping[str, Any]] = manifest.get("files", [])
        self.files = [Saved(folder / one["name"], one["size"], one["sha256"]) for one in files]
        self.metrics: dict[str, float] = manifest.get("metrics", {})
        self.finished: dict[str, float] | None = manifest.get("finished")
        written = manifest.get("format", 0)
        self.foreign: int | None = None
        if self.files and self.finished is None and written != FORMAT:
            self.foreign = written
            self.drop()

    def last(self) -> Path | None:
        """Return the newest checkpoint that is intact, or None."""
        return next((saved.path for saved in reversed(self.files) if saved.intact()), None)

    def drop(self) -> None:
        """Forget what was saved; the files go with the trial's others."""
        self.files, self.metrics = [], {}

    def save(
        self, name: str, write: Callable[[Path], object], metrics: Mapping[str, float] | None = None
    ) -> None:
        """Write a checkpoint with the metrics so far, and drop the oldest beyond those kept."""
        self.metrics = dict(metrics or {})
        path = self.folder / name
        write_with(path, write)
        self.files = [one for one in self.files if one.path != path]
        self.files.append(Saved(path, path.stat().st_size, digest(path)))
        dropped, self.files = self.files[:-KEPT], self.files[-KEPT:]
        self._write_manifest()
        for one in dropped:
            one.path.unlink(missing_ok=True)

    def finish(self, metrics: Mapping[str, float]) -> None:
        """Record that the phase has ended, with the metrics that it logged last."""
        self.finished = dict(metrics)
        self._write_manifest()

    def _write_manifest(self) -> None:
        files = [
            {"name": one.path.name, "size": one.size, "sha256": one.sha256} for one in self.files
        ]
        known = {"format": FORMAT, "metrics": self.metrics, "finished": self.finished}
        write_json(self.folder / MANIFEST, known | {"files": files})
