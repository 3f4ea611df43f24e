"""All that a report needs: facts, sections of plugins, and points that were trained again."""

import sys
import traceback
from contextlib import redirect_stdout

from automl import stopping, timing
from automl.archive import open_study
from automl.errors import AutomlError
from automl.halting import grace_of
from automl.history import History
from automl.planning import plan
from automl.plugins import Plugins
from automl.report.facts import facts
from automl.report.records import Facts
from automl.sections import Section
from automl.studyfile import read


def report_of(history: History) -> Facts:
    """Compute what a report of a study says."""
    return facts(history, sections(history), again=repeats(history))


def repeats(history: History) -> list[History]:
    """Return the studies beside this one in which `automl retrain` trained its points again."""
    beside = sorted(history.folder.parent.glob(f"{history.study.name}-point-*/study.yaml"))
    return [open_study(str(path.parent)).history() for path in beside]


def sections(history: History) -> list[tuple[str, Section | str]]:
    """Return (plugin, section) pairs, with the text of the error where a plugin fails.

    The core's own sections, on early stopping and on time, come first.
    """
    grace, theirs = of_plugins(history)
    folders = (history.folder / "shared", *(trial.folder for trial in history.finished()))
    own = (stopping.section(history, grace), timing.section(folders))
    found: list[tuple[str, Section | str]] = [("automl", one) for one in own if one is not None]
    return found + theirs


def of_plugins(history: History) -> tuple[float, list[tuple[str, Section | str]]]:
    """Load the study's plugins and ask them for their grace and their sections."""
    if not history.study.plugins:
        return 0.0, []
    try:
        plugins = plan(read(history.folder / "study.yaml")).plugins
        grace = grace_of(plugins, history.study)
    except AutomlError as error:
        return 0.0, [(name, f"cannot be loaded: {error}") for name in history.study.plugins]
    return grace, from_plugins(plugins, history)


def from_plugins(plugins: Plugins, history: History) -> list[tuple[str, Section | str]]:
    """Call the report hook of each plugin on its own."""
    found: list[tuple[str, Section | str]] = []
    for one, implementation in plugins.implementations("report"):
        try:
            with redirect_stdout(sys.stderr):  # stdout may be the driver's JSON
                made = list(implementation.function(history) or ())
        except (Exception, SystemExit) as error:  # an observer's failure is shown, and nothing else
            said = "".join(traceback.format_exception(error, limit=-3))
            found.append((one.kind.name, f"{one.kind.blame('failed in report')}\n{said}"))
            continue
        for section in made:
            right = isinstance(section, Section)
            wrong = f"{one.kind.blame('returned')} {section!r} from report, not a Section"
            found.append((one.kind.name, section if right else wrong))
    return found
