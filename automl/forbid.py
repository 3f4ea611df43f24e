"""The small language of `forbid`: comparisons of parameters and constants, parsed by `ast`."""

import ast
import itertools
import operator
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda value, options: value in options,
    ast.NotIn: lambda value, options: value not in options,
}
ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
    ast.FloorDiv: operator.floordiv,
}
LONGEST = 1000  # characters
DEEPEST = 50  # expressions inside each other; keeps every recursion here small


@dataclass(frozen=True, slots=True)
class Forbid:
    """A rule over the parameters of a point, such as `model.width > 48 and model.depth > 4`.

    Raises:
        ValueError: the text is not of the language: it may hold names of parameters, constants,
            lists, comparisons, `and`, `or`, `not`, `+ - * / // %` and brackets.
    """

    text: str
    tree: ast.expr = field(init=False, repr=False, compare=False)
    reads: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        tree = parse(self.text)
        check(tree)
        object.__setattr__(self, "tree", tree)
        object.__setattr__(self, "reads", frozenset(_names(tree)))
        if not self.reads:
            raise ValueError(f"rule {self.text!r} names no parameter")

    def names(self) -> frozenset[str]:
        """Return the dotted names of the parameters that the rule reads."""
        return self.reads

    def __call__(self, params: Mapping[str, Any]) -> bool:
        """Say whether a point is forbidden; a rule about a parameter without a value is not met."""
        if any(name not in params for name in self.reads):
            return False
        try:
            return bool(evaluate(self.tree, params))
        except (TypeError, ArithmeticError) as error:
            point = {name: params[name] for name in sorted(self.reads)}
            raise ValueError(
                f"rule {self.text!r} cannot be computed at {point}: {error}"
            ) from error


def parse(text: str) -> ast.expr:
    """Parse one expression without running anything."""
    if len(text) > LONGEST:
        raise ValueError(f"a rule has at most {LONGEST} characters, got {len(text)}")
    try:
        with warnings.catch_warnings(action="ignore"):  # of doubtful syntax, such as `1 is 1`
            tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        shown = text if len(text) <= 60 else text[:59] + "…"
        raise ValueError(f"not an expression: {shown!r}") from error
    if depth(tree) > DEEPEST:
        raise ValueError(f"a rule nests at most {DEEPEST} expressions, got {depth(tree)}")
    return tree


def depth(tree: ast.AST) -> int:
    """Count the levels of a tree, without recursion."""
    levels, level = 0, [tree]
    while level:
        levels += 1
        level = [child for node in level for child in ast.iter_child_nodes(node)]
    return levels


def dotted(node: ast.AST) -> str | None:
    """Return `a.b.c` for a chain of attributes that starts at a name, else None."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        head = dotted(node.value)
        return None if head is None else f"{head}.{node.attr}"
    return None


def check(node: ast.AST) -> None:
    """Raise ValueError if the expression holds anything that is not of the language."""
    if dotted(node) is not None:
        return
    match node:
        case ast.Constant(value=bool() | int() | float() | str() | None):
            return
        case ast.Compare(ops=ops) if {type(op) for op in ops} <= COMPARE.keys():
            pass
        case ast.BinOp(op=op) if type(op) in ARITHMETIC:
            pass
        case ast.UnaryOp(op=ast.Not() | ast.USub()) | ast.BoolOp() | ast.Tuple() | ast.List():
            pass
        case _:
            raise ValueError(f"{ast.unparse(node)!r} is not allowed in a rule")
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr):
            check(child)


def evaluate(node: ast.AST, params: Mapping[str, Any]) -> Any:  # noqa: C901, PLR0911 - a switch
    """Compute a checked expression at a point."""
    if (name := dotted(node)) is not None:
        return params[name]
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Tuple(elts=items) | ast.List(elts=items):
            return [evaluate(item, params) for item in items]
        case ast.BoolOp(op=ast.And(), values=values):
            return all(evaluate(value, params) for value in values)
        case ast.BoolOp(values=values):
            return any(evaluate(value, params) for value in values)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return not evaluate(operand, params)
        case ast.UnaryOp(operand=operand):
            return -evaluate(operand, params)
        case ast.BinOp(left=left, op=op, right=right):
            return calculate(type(op), evaluate(left, params), evaluate(right, params))
        case ast.Compare():
            return compare(node, params)
    raise AssertionError(f"unchecked expression: {ast.dump(node)}")


def calculate(op: type[ast.operator], left: Any, right: Any) -> Any:
    """Compute with two numbers; text takes no part, so `'a' * 10**9` cannot eat the memory."""
    if not (isinstance(left, int | float) and isinstance(right, int | float)):
        raise TypeError(f"arithmetic needs numbers, got {left!r} and {right!r}")
    return ARITHMETIC[op](left, right)


def compare(node: ast.Compare, params: Mapping[str, Any]) -> bool:
    """Compute a chain such as `1 < a <= b`."""
    values = [evaluate(value, params) for value in (node.left, *node.comparators)]
    pairs = itertools.pairwise(values)
    return all(COMPARE[type(op)](*pair) for op, pair in zip(node.ops, pairs, strict=True))


def _names(node: ast.AST) -> set[str]:
    name = dotted(node)
    if name is not None:
        return {name}
    return set().union(*(_names(child) for child in ast.iter_child_nodes(node)))
