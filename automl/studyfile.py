"""A study file as a study: every problem in one pass, each with its file, line and column."""

import copy
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from automl.env import mask, resolve, resolved
from automl.env import problems as env_problems
from automl.errors import Problem, StudyError
from automl.reading import overrides as sets
from automl.reading import yamlfile
from automl.reading.checks import check
from automl.reading.marks import Marks, Trail, dotted
from automl.reading.scalars import short
from automl.reading.wording import Mistake, mistakes
from automl.reading.yamlwrite import write
from automl.study import Study

__all__ = ["StudyFile", "check", "dump", "mask", "of", "read", "resolve", "resolved"]

MOST = 100  # problems that are told
STAND_INS: dict[str, Any] = {  # for parts that are wrong, so that the others can be looked at
    "name": "name",
    "model": {"class_path": "module.Class"},
    "objectives": {"metric": {"goal": "maximize"}},
    "budget": {"trials": 1},
}


@dataclass(frozen=True, slots=True)
class StudyFile:
    """A study, the folder that its relative paths begin in, and where each of its parts stands.

    `path` is None for a study that was made in Python.
    """

    study: Study
    here: Path
    path: Path | None = None
    marks: Marks = field(default_factory=Marks)

    def problem(self, trail: Trail, message: str, *, value: bool = False) -> Problem:
        """Make a problem that points at a key of the file, or at its value."""
        return self.marks.problem(trail, message, value=value)


def read(path: str | Path, overrides: Iterable[str] = ()) -> StudyFile:
    """Read and check a study file.

    Args:
        path: of the file; relative paths in it begin in its folder.
        overrides: `path=value` each, such as `budget.trials=5`.

    Raises:
        StudyError: with every problem found.
    """
    document = yamlfile.read(Path(path), str(path))
    data, marks = document.data, document.marks
    if not isinstance(data, dict):
        what = "the file is empty" if data is None else f"expected keys, got {short(data)}"
        message = f"{what}; a study has name, model, objectives, space and budget"
        raise StudyError([*document.problems, marks.problem((), message)])
    found = [*document.problems, *sets.apply(data, marks, overrides)]
    here = Path(path).absolute().parent
    study, further = examine(data, marks, {problem.path for problem in found})
    found += [*further, *_missing_files(data, here, marks)]
    if found or study is None:
        raise StudyError(_in_order(found))
    return StudyFile(study, here, Path(path).absolute(), marks)


def of(study: Study, here: str | Path = ".") -> StudyFile:
    """Check a study that was made in Python; its relative paths begin `here`.

    Raises:
        StudyError: with every problem found.
    """
    data = study.model_dump(by_alias=True)
    found = [*env_problems(data), *check(study)]
    if found:
        raise StudyError(
            Problem(f"{dotted(trail)}: {text}", dotted(trail)) for trail, text in found
        )
    return StudyFile(study, Path(here).absolute())


def dump(study: Study, notes: Iterable[str] = ()) -> str:
    """Write a study as YAML that reads back equal, every default included and secrets left out.

    Args:
        study: what to write; `${env:NAME}` stays as it is.
        notes: lines of comments for the head, such as versions.
    """
    head = "".join(f"# {' '.join(note.splitlines())}\n" for note in notes)
    return head + write(study.model_dump(by_alias=True))


def examine(
    data: dict[str, Any], marks: Marks, said: Collection[str]
) -> tuple[Study | None, list[Problem]]:
    """Make a study of plain data and say what is wrong with it.

    Args:
        data: of the whole file.
        marks: places of its keys and values.
        said: dotted paths whose problems are known already.

    Returns:
        The study, or None if it is not valid; and its problems, those between valid parts too.
    """
    unset = islice(env_problems(data), MOST + 1)
    found = [marks.problem(trail, text, value=True) for trail, text in unset]
    study, slips = _validated(data)
    found += [
        marks.problem(slip.trail, slip.message, value=slip.value)
        for slip in slips
        if not (slip.value and dotted(slip.trail) in said)
    ]
    whole, doubtful = (study, set()) if study else _salvaged(data, slips)
    if whole is not None:
        between = check(whole, doubtful)
        found += [marks.problem(trail, text) for trail, text in between]
    return study, found


def _validated(data: Any) -> tuple[Study | None, list[Mistake]]:
    try:
        return Study.model_validate(data), []
    except ValidationError as error:
        return None, mistakes(error, data, Study)


def _salvaged(data: dict[str, Any], slips: list[Mistake]) -> tuple[Study | None, set[str]]:
    """Make a study of what is valid; returns the parameters too whose ranges were not."""
    tops = {slip.trail[0] for slip in slips if slip.trail}
    missing = {name for name in STAND_INS if name not in data}
    doubtful = {
        str(slip.trail[1]) for slip in slips if slip.trail[:1] == ("space",) and slip.trail[1:]
    }
    if "plugins" in tops or any(slip.trail == ("space",) for slip in slips):
        return None, doubtful
    rest = {key: value for key, value in data.items() if key not in tops} | {
        name: STAND_INS[name] for name in STAND_INS if name in tops | missing
    }
    if "space" in tops:
        space = copy.copy(data["space"])
        rest["space"] = space | {name: {"choice": [0, 1]} for name in space if name in doubtful}
    return _validated(rest)[0], doubtful


def _missing_files(data: dict[str, Any], here: Path, marks: Marks) -> list[Problem]:
    """Say which files of plugins are not there."""
    plugins = data.get("plugins")
    listed = plugins.items() if isinstance(plugins, dict) else ()
    given = [(name, one["path"]) for name, one in listed if isinstance(one, dict) and "path" in one]
    return [
        marks.problem(("plugins", name, "path"), f"no such file: {short(path)}", value=True)
        for name, path in given
        if isinstance(path, str) and not _is_file(here / path)
    ]


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False


def _in_order(problems: list[Problem]) -> list[Problem]:
    """Sort problems as they stand in the file, those of the command line last, and cut the rest."""
    ordered = sorted(dict.fromkeys(problems), key=lambda one: (not one.line, one.line, one.column))
    more = Problem(f"these are the first {MOST} problems; there are more", file=ordered[0].file)
    return [*ordered[:MOST], more] if len(ordered) > MOST else ordered
