"""Domains that need no download: the standard library's code and texts, and generated problems."""

import ast
import random
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from pydoc_data import topics

# tests repeat each other; pydoc_data holds the text of the domain `topics`
SKIPPED = {"test", "tests", "idlelib", "lib2to3", "site-packages", "pydoc_data", "__pycache__"}
LEAST = 80  # characters of a docstring that is a text

Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef

OPENINGS = (
    "{name} has {a} {thing} and buys {b} more.",
    "There are {a} {thing} in a box, and {name} puts in another {b}.",
    "{name} finds {a} {thing} in the morning and {b} in the evening.",
)
QUESTIONS = {
    "+": ("How many {thing} are there now?", "{a} + {b} = {total}"),
    "*": (
        "If {c} people do the same, how many {thing} is that?",
        "({a} + {b}) * {c} = {sum} * {c} = {total}",
    ),
    "-": (
        "Then {c} {thing} get lost. How many {thing} are left?",
        "{a} + {b} - {c} = {sum} - {c} = {total}",
    ),
}
NAMES = ("Ada", "Ben", "Cleo", "Dan", "Eve", "Finn", "Gus", "Hana", "Ivo", "June", "Kai", "Lena")
THINGS = ("apples", "books", "coins", "stamps", "pens", "shells", "cards", "stones", "keys", "eggs")


def documents(name: str, limit: int) -> list[str]:
    """Return texts of a built-in domain, about `limit` characters of them."""
    makers = {
        "code": stdlib_code,
        "docstrings": docstrings,
        "topics": reference,
        "arithmetic": arithmetic,
    }
    found, total = [], 0
    for text in makers[name]():
        found.append(text)
        total += len(text)
        if total >= limit:
            break
    return found


def modules() -> Iterator[ast.Module]:
    """Parse the modules of the standard library, in an order that mixes its packages."""
    root = Path(sysconfig.get_paths()["stdlib"])
    paths = [
        path
        for path in sorted(root.rglob("*.py"))
        if not SKIPPED & set(path.relative_to(root).parts)
    ]
    random.Random(0).shuffle(paths)
    for path in paths:
        try:
            yield ast.parse(path.read_text(encoding="utf-8"))
        except (SyntaxError, UnicodeDecodeError):
            continue  # a few files are templates or old on purpose


def documented(module: ast.Module) -> Iterator[Documented]:
    """Go through everything of a module that can have a docstring."""
    return (node for node in ast.walk(module) if isinstance(node, Documented))


def stdlib_code() -> Iterator[str]:
    """Yield modules without comments and docstrings, which are a domain of their own."""
    for module in modules():
        for node in documented(module):
            if ast.get_docstring(node, clean=False) is not None:
                node.body = node.body[1:] or [ast.Pass()]
        if text := ast.unparse(module):
            yield text


def docstrings() -> Iterator[str]:
    """Yield the docstrings that are long enough to be texts."""
    for module in modules():
        for node in documented(module):
            text = ast.get_docstring(node) or ""
            if len(text) >= LEAST:
                yield text


def reference() -> Iterator[str]:
    """Yield the topics of the Python reference."""
    return (topics.topics[name] for name in sorted(topics.topics))


def arithmetic() -> Iterator[str]:
    """Yield word problems with worked answers, without end and always the same."""
    draw = random.Random(0)
    while True:
        name, thing = draw.choice(NAMES), draw.choice(THINGS)
        a, b = draw.randint(2, 999), draw.randint(2, 999)
        sign = draw.choice(sorted(QUESTIONS))
        c = draw.randint(2, a + b - 1) if sign == "-" else draw.randint(2, 99)
        total = {"+": a + b, "*": (a + b) * c, "-": a + b - c}[sign]
        question, answer = QUESTIONS[sign]
        text = f"{draw.choice(OPENINGS)} {question}\n{answer}\nThe answer is {{total}}."
        yield text.format(name=name, thing=thing, a=a, b=b, c=c, sum=a + b, total=total)
