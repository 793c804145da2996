"""The rules, their tests and the catalogue, as the checks read them."""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import promql_parser as promql
import yaml

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "prometheus"
ALERTMANAGER = ROOT / "alertmanager"

# What Prometheus and Alertmanager say about themselves, and the names Prometheus makes; the live
# test proves that they exist.
FOREIGN = {
    "up",
    "ALERTS",
    "prometheus_config_last_reload_successful",
    "prometheus_rule_evaluation_failures_total",
    "prometheus_notifications_errors_total",
    "alertmanager_config_last_reload_successful",
    "alertmanager_notifications_failed_total",
}


@dataclass(frozen=True)
class Rule:
    file: str
    group: dict
    raw: dict

    @property
    def name(self) -> str:
        return self.raw.get("alert") or self.raw["record"]

    @property
    def is_alert(self) -> bool:
        return "alert" in self.raw

    @property
    def severity(self) -> str:
        return self.raw["labels"]["severity"]

    @cached_property
    def nodes(self) -> list:
        """Every node of the expression, with its parent."""
        return list(descend(promql.parse(self.raw["expr"]), None))

    @cached_property
    def selectors(self) -> list:
        return [node for node, _ in self.nodes if isinstance(node, promql.VectorSelector)]

    @cached_property
    def metrics(self) -> set[str]:
        return {selector.name for selector in self.selectors}


def descend(node, parent):
    """Walks an expression; a range selector stands for itself and the selector in it."""
    yield node, parent
    for child in children(node):
        yield from descend(child, node)


def children(node) -> list:
    match node:
        case promql.BinaryExpr():
            return [node.lhs, node.rhs]
        case promql.Call():
            return list(node.args)
        case promql.AggregateExpr():
            return [child for child in (node.expr, node.param) if child is not None]
        case promql.MatrixSelector():
            return [node.vector_selector]
        case promql.ParenExpr() | promql.UnaryExpr() | promql.SubqueryExpr():
            return [node.expr]
    return []


def matchers(selector) -> dict[str, str]:
    return {matcher.name: matcher.value for matcher in selector.matchers.matchers}


def load_rules() -> list[Rule]:
    rules = []
    for path in sorted((PROMETHEUS / "rules").glob("*.yml")):
        for group in yaml.safe_load(path.read_text())["groups"]:
            rules += [Rule(path.name, group, raw) for raw in group["rules"]]
    return rules


RULES = load_rules()
ALERTS = [rule for rule in RULES if rule.is_alert]
RECORDS = [rule for rule in RULES if not rule.is_alert]


def catalogue() -> dict[str, set[str]]:
    """Every sample name of docs/METRICS.md with its labels."""
    samples = {}
    row = re.compile(r"^\| `(\w+)` \| (\w+) \| (.*?) \|", re.MULTILINE)
    for name, kind, labels in row.findall((ROOT / "docs" / "METRICS.md").read_text()):
        own = set(re.findall(r"`(\w+)`", labels))
        if kind in ("counter", "gauge"):
            samples[name] = own
        elif kind in ("histogram", "summary"):
            samples |= {f"{name}_sum": own, f"{name}_count": own}
        if kind == "histogram":
            samples[f"{name}_bucket"] = own | {"le"}
    return samples


def buckets(family: str) -> set[float]:
    page = (ROOT / "docs" / "METRICS.md").read_text()
    listed = re.search(rf"^`{family}`: (.*) seconds\.$", page, re.MULTILINE)[1]
    return {float(bound) for bound in listed.split(", ")}
