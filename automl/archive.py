"""Studies that have run: found by name, folder or file, and read without Optuna or plugins."""

from dataclasses import dataclass
from pathlib import Path

from automl.errors import StorageError
from automl.folders import is_remote
from automl.forbid import Forbid
from automl.history import History
from automl.record import Record
from automl.space import Space
from automl.storage import is_sqlite, url_of
from automl.study import Study

FOLDER = Path("runs")
RESOLVED = "study.yaml"


@dataclass(frozen=True, slots=True)
class Archive:
    """A study's record, and the study as it was resolved when it began."""

    record: Record
    study: Study
    space: Space

    def history(self) -> History:
        """Read everything that is known by now."""
        return self.record.history(self.study, self.space)


def open_study(named: str) -> Archive:
    """Open the record of a study.

    Args:
        named: its name below `runs`, its folder or the URL of that, or its study file.

    Raises:
        StorageError: no such study has run.
    """
    home = folder_of(named)
    study = read_study(home)
    url = url_of(study.storage, home)
    if is_sqlite(url) and not Path(url.removeprefix("sqlite:///")).exists():
        raise StorageError(f"study {named!r} has no database {url}; was it removed?")
    record = Record(url, study.name, home)
    if record.find() is None:
        raise StorageError(f"study {study.name!r} is not in its database; has it run?")
    return Archive(record, study, space_of(study))


def folder_of(named: str) -> Path:
    """Return the folder of a study that has run."""
    path = Path(named)
    url = named if is_remote(named) else None
    if path.is_file():
        from automl.studyfile import read

        study = read(path).study
        path, url = study.home, study.remote
    if url is not None:
        from automl.mirror import visit

        path = visit(url)
    for home in (path, FOLDER / named):
        if (home / RESOLVED).is_file():
            return home.resolve()
    known = sorted(one.parent.name for one in FOLDER.glob(f"*/{RESOLVED}"))
    there = ", ".join(known) or "none"
    raise StorageError(f"no study {named!r} has run here; in {FOLDER}/ there are: {there}")


def read_study(home: Path) -> Study:
    """Read the resolved study of a folder; secrets are not needed."""
    from automl.studyfile import read

    return read(home / RESOLVED).study


def space_of(study: Study) -> Space:
    """Return the space of a resolved study."""
    parameters = {name: spec.parameter() for name, spec in study.space.items()}
    return Space(parameters, tuple(Forbid(text) for text in study.forbid))
