"""The report as one HTML file that opens offline: no request, no script but its own."""

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterator
from importlib import resources
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup, escape

from automl.report import text
from automl.report.parts import Drawn, drawn
from automl.report.payload import payload
from automl.report.records import Facts, Objective

SCRIPTS = ("front.js", "views.js", "card.js", "figures.js", "main.js")
FILTERS: dict[str, Callable[..., Any]] = {
    "clean": text.clean,
    "number": text.number,
    "value": text.value_text,
    "duration": text.duration,
    "line": text.one_line,
    "prose": lambda words: prose(text.clean(words)),
}
QUOTED = re.compile(r"`([^`\n]+)`")
OWN = "automl"  # whose sections are the report's own, not a plugin's


def render(facts: Facts, *, live: bool = False) -> str:
    """Return the page of a study.

    Args:
        facts: what the page says.
        live: ask the server that the page came from for news; a file has none.
    """
    sections = [drawn(part) for part in facts.sections]
    counted = numbered(sections)
    data = payload(facts) | {"figures": list(figures(sections))}
    context = {
        "title": facts.name,
        "about": facts.about,
        "kicker": "Pareto report",
        "notes": facts.notes,
        "facts": facts,
        "ours": [one for one in counted if one[0].plugin == OWN],
        "theirs": [one for one in counted if one[0].plugin != OWN],
        "gains": [gain(objective) for objective in facts.objectives],
        "go_on": go_on(facts),
    }
    return page("report.html.j2", data, SCRIPTS, context, live=live)


def page(
    template: str,
    data: dict[str, Any],
    scripts: tuple[str, ...],
    context: dict[str, Any],
    *,
    live: bool = False,
) -> str:
    """Return a page with its style, its scripts, its data, and a policy that allows no others."""
    script = page_text("base.js", "chart.js", "theme.js", *scripts)
    style = page_text("style.css")
    return (
        environment()
        .get_template(template)
        .render(
            **context,
            data=Markup(as_json(data)),  # noqa: S704 - nothing in it can end the element
            script=Markup(script),  # noqa: S704 - files of this package
            style=Markup(style),  # noqa: S704 - a file of this package
            policy=policy(script, style, live=live),
            live=live,
        )
    )


def environment() -> Environment:
    """Return a template environment in which every text is escaped."""
    made = Environment(
        loader=FunctionLoader(page_text),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(FILTERS)
    return made


def page_text(*names: str) -> str:
    """Return the text of files of the page, one after the other."""
    folder = resources.files("automl.report") / "page"
    return "\n".join((folder / name).read_text(encoding="utf-8") for name in names)


def policy(script: str, style: str, *, live: bool) -> str:
    """Return the content security policy: this script, this style, and nothing else."""
    asks = "'self'" if live else "'none'"
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src '{fingerprint(script)}'",
            f"style-src '{fingerprint(style)}'",
            "img-src data:",
            f"connect-src {asks}",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def fingerprint(content: str) -> str:
    """Return the hash of an inline script or style, as a content security policy names it."""
    digest = hashlib.sha256(content.encode()).digest()
    return "sha256-" + base64.b64encode(digest).decode()


def as_json(data: Any) -> str:
    """Write JSON that cannot end the element it stands in."""
    written = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        written = written.replace(character, f"\\u{ord(character):04x}")
    return written


def figures(sections: list[Drawn]) -> Iterator[dict[str, Any]]:
    """Return the figures of all sections in order."""
    for section in sections:
        yield from (part for part in section.parts if part["kind"] == "figure")


def numbered(sections: list[Drawn]) -> list[tuple[Drawn, list[tuple[dict[str, Any], int]]]]:
    """Pair each part with the number of its figure, as the page's script counts them."""
    count, found = 0, []
    for section in sections:
        parts = []
        for part in section.parts:
            parts.append((part, count))
            count += part["kind"] == "figure"
        found.append((section, parts))
    return found


def prose(words: str) -> Markup:
    """Escape a text, and set what it has between backticks as code."""
    return Markup(QUOTED.sub(r"<code>\1</code>", str(escape(words))))  # noqa: S704 - escaped


def gain(objective: Objective) -> dict[str, str]:
    """Write what was gained in one objective against the default point."""
    return {
        "name": text.clean(objective.name),
        "unit": objective.unit,
        "goal": "larger is better" if objective.goal == "maximize" else "smaller is better",
        "default": text.number(objective.default),
        "best": text.number(objective.best),
        "best_at": text.clean(objective.best_at or ""),
        "best_change": change(objective.default, objective.best),
        "free": text.number(objective.free),
        "free_at": text.clean(objective.free_at or ""),
        "free_change": change(objective.default, objective.free),
    }


def go_on(facts: Facts) -> str:
    """Return the command that goes on with a study, or nothing if no command began it."""
    command = facts.provenance.get("command", "")
    if not command.startswith("automl run "):
        return ""
    words = [word for word in command.split(" ") if word != "--fresh"]
    return f"{' '.join(words)} --set budget.trials={2 * max(facts.trials, 1)}"


def change(before: float | None, after: float | None) -> str:
    """Write the difference between two values, and in percent where that makes sense."""
    if before is None or after is None or not abs(after - before) < float("inf"):
        return ""
    if after == before:
        return "no change"
    sign = "+" if after > before else "\N{MINUS SIGN}"
    share = f" ({sign}{abs(after - before) / abs(before):.0%})" if before else ""
    return f"{sign}{text.number(abs(after - before))}{share}"
