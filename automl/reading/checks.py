"""What must hold between the parts of a study, as far as the study alone can tell."""

import math
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from itertools import islice
from typing import Any, TypeAlias

from automl.forbid import Forbid
from automl.reading.marks import Trail
from automl.reading.scalars import short
from automl.space import Choice, Parameter, shown
from automl.study import Study
from automl.suggest import did_you_mean, did_you_mean_or_known

Found: TypeAlias = Iterator[tuple[Trail, str]]

ROOTS = ("model", "data", "trainer")  # what a dotted path can begin with, beside plugins
SAMPLERS = ("auto", "tpe", "nsga2", "nsga3", "gp", "random", "qmc", "grid")
MOST = 200  # problems that are looked for
WORK = 20_000  # times that a rule is compared with a point; the driver looks at each once more
EDGE = 1e-9  # a power of eta that rounding alone keeps from being max
PLUGIN = re.compile(r"[A-Za-z_]\w{0,63}", re.ASCII)
PART = re.compile(r"[\w-]+")


@dataclass(frozen=True, slots=True)
class Known:
    """A study, its parameters, and those of them whose ranges are sure."""

    study: Study
    parameters: Mapping[str, Parameter]
    sure: Mapping[str, Parameter]

    def lost(self, name: str) -> str:
        """Say that no parameter has this name, unless one has or a plugin may propose it."""
        if name in self.parameters or name.split(".", maxsplit=1)[0] in self.study.plugins:
            return ""
        return f"no parameter is named {short(name)}{did_you_mean(name, self.parameters)}"


def check(study: Study, doubtful: Collection[str] = ()) -> list[tuple[Trail, str]]:
    """Say what keeps a study from running, as (trail, message).

    Args:
        study: whose parts are each valid.
        doubtful: parameters whose ranges are not known; nothing is said about their values.
    """
    parameters = {name: spec.parameter() for name, spec in study.space.items()}
    sure = {name: one for name, one in parameters.items() if name not in doubtful}
    known = Known(study, parameters, sure)
    checks = (plugins, paths, conditions, circles, rules, enqueued, references, ends, names)
    return list(islice((found for one in checks for found in one(known)), MOST))


def plugins(known: Known) -> Found:
    """A plugin's name begins dotted paths, and rules read those as names."""
    for name, options in known.study.plugins.items():
        trail = ("plugins", name)
        if name in ROOTS:
            yield trail, f"no plugin can be named {name!r}: paths that begin so reach the {name}"
        elif not PLUGIN.fullmatch(name):
            yield trail, f"{short(name)} is not a plugin's name: letters, digits and '_' only"
        if not isinstance(options.get("path", ""), str):
            yield (*trail, "path"), f"expected the path of a file, got {short(options['path'])}"


def paths(known: Known) -> Found:
    """Every parameter reaches the model, the data, the trainer or a plugin, and one is searched."""
    roots = [*ROOTS, *known.study.plugins]
    for name in known.parameters:
        root, *rest = name.split(".")
        if root not in roots:
            hint = did_you_mean_or_known(root, roots)
            yield ("space", name), f"{short(name)} reaches nothing: no {short(root)} here{hint}"
        elif not rest or not all(map(PART.fullmatch, rest)):
            yield ("space", name), f"{short(name)} is not a path such as '{root}.width'"
        elif root == "data" and known.study.data is None:
            yield ("space", name), f"{short(name)} reaches nothing: the study has no data"
    if not known.parameters and not known.study.plugins:
        # parameters that are all fixed are right: the same point with one seed after another
        yield ("space",), "nothing to search: give a parameter, or a plugin that proposes some"


def conditions(known: Known) -> Found:
    """A condition names a parameter and values that it can have."""
    for name, parameter in known.parameters.items():
        for other, allowed in parameter.when.items():
            trail = ("space", name, "when", other)
            if lost := known.lost(other):
                yield trail, lost
            elif other in known.sure:
                wrong = [value for value in allowed if not known.sure[other].contains(value)]
                yield from ((trail, never(other, value, known.sure[other])) for value in wrong)


def never(name: str, value: Any, parameter: Parameter) -> str:
    """Say that a parameter cannot have a value, and which it can have."""
    options = parameter.options if isinstance(parameter, Choice) else ()
    hint = did_you_mean(value, [option for option in options if isinstance(option, str)])
    return f"{name} is never {short(value)}{hint or f'; it is {shown(parameter)}'}"


def circles(known: Known) -> Found:
    """No parameter depends on itself, not even through others."""
    items = known.parameters.items()
    graph = {name: [other for other in one.when if other in known.sure] for name, one in items}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        circle = error.args[1][::-1]  # graphlib names the one that is waited for first
        yield ("space", circle[0], "when"), f"conditions go in a circle: {' -> '.join(circle)}"


def rules(known: Known) -> Found:
    """A rule names parameters, and can be computed where they are in their middle."""
    point = {name: one.middle() for name, one in known.sure.items()}
    for order, text in enumerate(known.study.forbid):
        rule = Forbid(text)
        lost = [message for name in sorted(rule.names()) if (message := known.lost(name))]
        yield from ((("forbid", order), message) for message in lost)
        try:
            rule(point)
        except ValueError as error:
            yield ("forbid", order), str(error)


def enqueued(known: Known) -> Found:
    """Points that are enqueued lie in the space, as far as the file gives it."""
    rules = tuple(map(Forbid, known.study.forbid))
    compared = WORK // max(1, len(rules))
    for order, point in enumerate(known.study.search.enqueue):
        trail = ("search", "enqueue", order)
        for name, value in point.items():
            if lost := known.lost(name):
                yield (*trail, name), lost
            elif name in known.sure and not known.sure[name].contains(value):
                yield (*trail, name), f"{name}: {short(value)} is not {shown(known.sure[name])}"
        if order < compared:
            yield from ((trail, message) for message in forbidding(rules, point))


def forbidding(rules: tuple[Forbid, ...], point: Mapping[str, Any]) -> Iterator[str]:
    """Say which rules forbid a point; one that cannot be computed there forbids nothing."""
    for rule in rules:
        try:
            if rule(point):
                yield f"this point is forbidden by {short(rule.text)}"
        except ValueError:
            continue


def references(known: Known) -> Found:
    """A point that keeps the constraints can be better than the reference."""
    for name, objective in known.study.objectives.items():
        bounds, ref = known.study.constraints.get(name), objective.ref
        if bounds is None or ref is None:
            continue
        if objective.goal == "maximize":
            bound, better = bounds.max, "above"
            possible = bound is None or bound > ref
        else:
            bound, better = bounds.min, "below"
            possible = bound is None or bound < ref
        if not possible:
            message = f"no point that keeps the constraint on {name} is {better} ref {ref:g}"
            yield ("objectives", name, "ref"), message


def ends(known: Known) -> Found:
    """Early stopping has rungs, and the budget runs out."""
    fidelity, budget = known.study.fidelity, known.study.budget
    if fidelity and fidelity.max is not None and fidelity.first > fidelity.max:
        yield ("fidelity", "min"), f"min {fidelity.first:g} is above max {fidelity.max:g}"
    elif fidelity and fidelity.max is not None:
        rungs = math.ceil(math.log(fidelity.max / fidelity.first, fidelity.eta) - EDGE)
        if fidelity.brackets > rungs + 1:  # the last may stop nothing, more of them are no use
            most = f"with {rungs} rungs below max {fidelity.max:g} there are at most {rungs + 1}"
            yield ("fidelity", "brackets"), f"{fidelity.brackets} brackets; {most}"
    if budget.trials is None and budget.time is None and not known.study.resources.gpus:
        yield ("budget", "gpu_hours"), "never spent: resources.gpus is 0; give trials or time"


def names(known: Known) -> Found:
    """The sampler and the storage are of the kinds there are."""
    sampler, storage = known.study.search.sampler, known.study.storage
    if isinstance(sampler, str) and sampler not in SAMPLERS and "." not in sampler:
        hint = did_you_mean_or_known(sampler, SAMPLERS)
        yield ("search", "sampler"), f"no sampler is named {short(sampler)}{hint}"
    if storage != "auto" and "://" not in storage and "${" not in storage:
        message = f"expected auto or a URL such as sqlite:///study.db, got {short(storage)}"
        yield ("storage",), message
