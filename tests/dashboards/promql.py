"""PromQL as the checks need it: variables expanded, and the vector selectors found.

A selector is asked for on its own, so no comparison around it hides that it matches nothing.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import promql_parser
from promql_parser import Call, Expr, MatrixSelector, VectorSelector

# What Grafana writes for its own variables: with a scrape each second, instead of every 15.
BUILT_IN = {
    "__rate_interval": "15s",
    "__interval": "5s",
    "__range": "120s",
    "__range_s": "120",
}


def expand(text: str, values: Callable[[str], str] = lambda name: ".+") -> str:
    """Replaces `$name` and `${name}`; the dashboards' own variables by `values`, at first by "All"."""

    def value(match: re.Match) -> str:
        name = match[1] or match[2]
        return BUILT_IN[name] if name.startswith("__") else values(name)

    return re.sub(r"\$(?:(\w+)|\{(\w+)\})", value, text)


def used_variables(text: str) -> set[str]:
    return {a or b for a, b in re.findall(r"\$(?:(\w+)|\{(\w+)\})", text)}


@dataclass(frozen=True)
class Selector:
    """A vector selector, and the functions it stands in, from the outermost."""

    text: str
    name: str
    matchers: tuple[tuple[str, str], ...]
    functions: tuple[str, ...]
    is_ranged: bool

    @property
    def metrics(self) -> list[str]:
        """The names it asks for; a regular expression of names is a list of them."""
        if self.name:
            return [self.name]
        return [name for label, value in self.matchers if label == "__name__" for name in value.split("|")]


def selectors(text: str) -> list[Selector]:
    """Every vector selector of an expression without variables."""
    found: list[Selector] = []
    around: list[Expr] = []

    def enter(expr: Expr) -> bool:
        if isinstance(expr, MatrixSelector):
            found.append(selector(expr.vector_selector, around, is_ranged=True))
        elif isinstance(expr, VectorSelector) and not (around and isinstance(around[-1], MatrixSelector)):
            found.append(selector(expr, around, is_ranged=False))
        around.append(expr)
        return True

    def leave(_: Expr) -> bool:
        around.pop()
        return True

    promql_parser.walk(promql_parser.parse(text), enter, leave)
    return found


def selector(expr: VectorSelector, around: list[Expr], is_ranged: bool) -> Selector:
    matchers = expr.matchers
    bare = str(promql_parser.parse(str(expr).partition(" offset ")[0]))
    return Selector(
        text=bare,
        name=expr.name or "",
        matchers=tuple((matcher.name, matcher.value) for matcher in matchers.matchers),
        functions=tuple(call.func.name for call in around if isinstance(call, Call)),
        is_ranged=is_ranged,
    )


def ranges(text: str) -> Iterator[tuple[str, str]]:
    """Each range selector's innermost function and its range as it is written."""
    for match in re.finditer(r"(\w+)\s*\(\s*[\w:]+\s*(?:\{[^{}]*\})?\s*\[([^\]]+)\]", text):
        yield match[1], match[2]
