"""`automl plan`: what a study would do, tried on one batch; starts no trial."""

import tempfile
from argparse import Namespace
from dataclasses import asdict
from itertools import takewhile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from automl.planning import Plan, plan
from automl.report.parts import drawn
from automl.report.records import Part
from automl.report.terminal import section
from automl.report.text import value_text
from automl.space import Fixed, Float, Int, Parameter, shown
from automl.studyfile import StudyFile, dump, read
from automl.terminal import console, emit


def main(options: Namespace) -> None:
    """Check a study; without `--check`, also import its code, propose points and try one step."""
    file = read(options.study, options.set)
    planned = plan(file)
    facts: dict[str, Any] = {"study": file.study.name, "parameters": parameters(planned)}
    if not options.check:
        facts |= tried(file, planned, options.proposals)
    if options.json:
        previews = [(name, asdict(one)) for name, one in facts.get("previews", ())]
        emit(facts | {"previews": previews})
    elif not options.quiet:
        show(planned, facts, console())


def parameters(planned: Plan) -> dict[str, str]:
    """Return the space in words."""
    return {name: words(one) for name, one in planned.space.items()}


def words(one: Parameter) -> str:
    """Write a parameter on one line, in the words of a study file."""
    said = [f"{type(one).__name__.lower()} {shown(one).removeprefix('a whole number ')}"]
    if isinstance(one, Float | Int) and one.log:
        said.append("log")
    if not isinstance(one, Fixed) and one.default is not None:
        said.append(f"default {value_text(one.default)}")
    when = " and ".join(f"{name} is {' or '.join(map(str, v))}" for name, v in one.when.items())
    return ", ".join([*said, *([f"when {when}"] if when else [])])


def tried(file: StudyFile, planned: Plan, count: int) -> dict[str, Any]:
    """Import the user's code, propose points, and run one batch of the default point."""
    # a check of the file alone needs none of these
    from automl.asking import Asker
    from automl.engines.choice import make_engine
    from automl.halting import rule_of
    from automl.launch import ask, inspect, job, opened, warm
    from automl.optimizer import Optimizer
    from automl.storage import reach, url_of

    with tempfile.TemporaryDirectory(prefix="automl-plan-") as name:
        home = Path(name)
        reach(url_of(file.study.storage, home))
        with opened(make_engine(file.study)) as engine:
            ready = plan(file, inspect(file, planned, engine, home))
            rule_of(ready)  # what stops trials is made as a run makes it
            optimizer = Optimizer(f"sqlite:///{home / 'plan.db'}", ready.study, ready.space)
            warm(optimizer, ready)
            asker = Asker(ready, optimizer)
            numbers = takewhile(asker.left, range(count))
            points = [asker.ask(number).params for number in numbers]
            smoke = ask(engine, job(ready, "smoke", home, dict(points[0])))
    return {
        "parameters": parameters(ready),  # with the defaults of the classes
        "sampler": optimizer.name,
        "proposals": [dict(point) for point in points],
        "smoke_seconds": smoke.result["seconds"],
        "smoke_metrics": dict(smoke.metrics),
        "missing": smoke.result["missing"],
        "previews": smoke.result["previews"],
        "resolved": dump(ready.resolved()),
    }


def show(planned: Plan, facts: dict[str, Any], out: Console) -> None:
    """Print the plan for people."""
    if "resolved" in facts:
        out.print("The study with every default\n", style="bold")
        out.print(facts["resolved"], markup=False, soft_wrap=True)
    table = Table("parameter", "searched", box=None, pad_edge=False)
    for name, text in facts["parameters"].items():
        table.add_row(Text(name), Text(text))
    out.print(table)
    if "proposals" not in facts:
        out.print(f"{planned.study.name}: the study file is right", markup=False)
        return
    out.print(f"\nsampler {facts['sampler']}; first points:", markup=False)
    for number, point in enumerate(facts["proposals"]):
        said = ", ".join(f"{name} {value_text(value)}" for name, value in point.items())
        out.print(f"  {number}: {said}", markup=False)
    logged = ", ".join(facts["smoke_metrics"])
    out.print(f"\none batch took {facts['smoke_seconds']:.2f} s and logged: {logged}", markup=False)
    for name, one in facts["previews"]:
        for block in section(drawn(Part(name, one))):
            out.print(block)
    if facts["missing"]:
        out.print(facts["missing"], markup=False, style="red")
