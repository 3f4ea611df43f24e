"""What a study will search: its own space over what its plugins propose, with every default."""

from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from automl.errors import PluginError, StudyError
from automl.forbid import Forbid
from automl.plugins import Kind, Plugins, kinds_of, options_of
from automl.proposals import proposals
from automl.reading.wording import mistakes
from automl.settings import read, settle, without_path
from automl.space import Fixed, Parameter, Space, Value
from automl.spec import spec_of
from automl.study import Study
from automl.studyfile import StudyFile
from automl.suggest import did_you_mean_or_known

Place = tuple[Hashable, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """A study that is ready to run: its space and its plugins, loaded for the driver."""

    study: Study
    space: Space
    plugins: Plugins
    here: Path

    def resolved(self) -> Study:
        """Return the study with its whole space written out, what plugins propose included."""
        space = {name: spec_of(one) for name, one in self.space.items()}
        plugins = {name: self._placed(options) for name, options in self.study.plugins.items()}
        return self.study.model_copy(update={"space": space, "plugins": plugins})

    def _placed(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return a plugin's options with the path of its file made absolute."""
        path = options.get("path")
        return {**options, "path": str((self.here / path).resolve())} if path else dict(options)


def plan(file: StudyFile, defaults: Mapping[str, Value] | None = None) -> Plan:
    """Load the plugins of a study and put its space together.

    Args:
        file: the study as it was read.
        defaults: defaults of the model's and the data's own arguments, by dotted path.

    Raises:
        StudyError: options that a plugin refuses, or paths that reach nothing.
        PluginError: a plugin that cannot be loaded.
    """
    study, here = file.study, file.here
    kinds = loaded(file)
    wrong = [
        (("plugins", name, *place), message)
        for name, kind in kinds.items()
        for place, message in option_problems(kind, without_path(study.plugins[name]))
    ]
    refuse(file, wrong)
    plugins = Plugins(kinds, settle(study, {}).plugins)
    proposed = proposals(plugins)
    refuse(file, list(path_problems(study, kinds, proposed)))
    parameters = merged(study, proposed)
    if not parameters:
        refuse(file, [((), "nothing to search: give a space, or plugins that propose one")])
    trees = settings_of(study, plugins)
    known = dict(defaults or {})
    with_defaults = {name: start(trees, name, one, known) for name, one in parameters.items()}
    rules = tuple(Forbid(text) for text in study.forbid)
    refuse(file, list(rule_problems(rules, with_defaults)))
    try:
        space = Space(with_defaults, rules)
    except ValueError as error:
        raise StudyError([file.problem(("space",), f"space: {error}")]) from error
    return Plan(study, space, plugins, here)


def loaded(file: StudyFile) -> dict[str, Kind]:
    """Import the plugins of a study; what is wrong with one points at its key."""
    kinds: dict[str, Kind] = {}
    for name, options in file.study.plugins.items():
        try:
            kinds |= kinds_of({name: options}, file.here)
        except PluginError as error:
            problem = file.problem(("plugins", name), str(error))
            raise PluginError(str(problem)) from error
    return kinds


def refuse(file: StudyFile, found: Iterable[tuple[Place, str]]) -> None:
    """Raise all problems at once, if there are any, each with its place in the file."""
    if problems := [file.problem(place, message) for place, message in found]:
        raise StudyError(problems)


def option_problems(kind: Kind, given: Mapping[str, Any]) -> Iterator[tuple[Place, str]]:
    """Say which options a plugin refuses, and why."""
    try:
        options_of(kind, given)
    except ValidationError as error:
        for slip in mistakes(error, dict(given), kind.options):
            yield tuple(slip.trail), f"plugin {kind.name}: {slip.message}"


def path_problems(
    study: Study, kinds: Mapping[str, Kind], proposed: Mapping[str, Parameter]
) -> Iterator[tuple[Place, str]]:
    """Say which names of the space reach nothing; the model's and the data's are checked later."""
    heads = ["model", "data", "trainer", *kinds]
    for name in study.space:
        head, *rest = name.split(".")
        if head not in heads or not rest:
            near = did_you_mean_or_known(name, list(proposed)) if head not in heads else ""
            near = near or did_you_mean_or_known(head, heads)
            yield ("space", name), f"{name!r} reaches nothing{near}"
        elif head == "data" and study.data is None:
            yield ("space", name), f"{name!r} reaches nothing: the study has no data"
        elif head in kinds and not reaches(kinds[head].options, rest):
            options = [f"{head}.{option}" for option in kinds[head].options.model_fields]
            yield ("space", name), f"{name!r} reaches nothing{did_you_mean_or_known(name, options)}"


def reaches(options: type[BaseModel], path: list[str]) -> bool:
    """Say whether a dotted path leads to an option, or into one that holds a mapping."""
    field = options.model_fields.get(path[0])
    if field is None:
        return False
    if len(path) == 1:
        return True
    inner = field.annotation
    if isinstance(inner, type) and issubclass(inner, BaseModel):
        return reaches(inner, path[1:])
    return "dict" in str(inner).lower() or "mapping" in str(inner).lower()


def merged(study: Study, proposed: Mapping[str, Parameter]) -> dict[str, Parameter]:
    """Lay the study's space over the plugins' proposals.

    An option that the study sets is not searched, unless its space names it.
    """
    parameters = {
        name: one
        for name, one in proposed.items()
        if read(study.plugins[name.split(".")[0]], name.split(".")[1:]) is None
    }
    own = {name: spec.parameter() for name, spec in study.space.items()}
    return own | possible({n: one for n, one in parameters.items() if n not in own}, own)


def possible(
    proposed: Mapping[str, Parameter], own: Mapping[str, Parameter]
) -> dict[str, Parameter]:
    """Leave out proposals whose condition a narrower space never meets, and values never had."""
    both, found = {**own, **proposed}, dict[str, Parameter]()
    for name, one in proposed.items():
        when = {
            other: tuple(
                value for value in allowed if other in both and both[other].contains(value)
            )
            for other, allowed in one.when.items()
        }
        if all(when.values()):
            found[name] = replace(one, when=when)
    return found if len(found) == len(proposed) else possible(found, own)


def settings_of(study: Study, plugins: Plugins) -> dict[str, Mapping[str, Any]]:
    """Return what the study sets, and every option of its plugins, by the heads of paths."""
    settings = settle(study, {})
    trees = {"model": settings.model, "data": settings.data, "trainer": settings.trainer}
    return trees | {one.kind.name: one.options.model_dump() for one in plugins}


def start(
    trees: Mapping[str, Mapping[str, Any]], name: str, one: Parameter, known: Mapping[str, Value]
) -> Parameter:
    """Give a parameter the default that the study, or the class itself, has for it."""
    if isinstance(one, Fixed) or one.default is not None:
        return one
    head, *rest = name.split(".")
    value = read(trees[head], rest)
    value = known.get(name) if value is None else value
    return replace(one, default=value) if value is not None and one.contains(value) else one


def rule_problems(
    rules: tuple[Forbid, ...], parameters: Mapping[str, Parameter]
) -> Iterator[tuple[Place, str]]:
    """Say which rules name parameters that are not in the space."""
    for index, rule in enumerate(rules):
        for name in sorted(rule.names() - parameters.keys()):
            near = did_you_mean_or_known(name, list(parameters))
            yield ("forbid", index), f"forbid: {name!r} is not in the space{near}"
