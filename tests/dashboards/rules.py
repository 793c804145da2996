"""The rules of Prometheus as the checks see them, and the PromQL that documents show."""

import re
from dataclasses import dataclass
from pathlib import Path

import yaml

from dashboards import ROOT

FILES = sorted((ROOT / "prometheus" / "rules").glob("*.yml"))


@dataclass(frozen=True)
class Rule:
    file: str
    name: str
    expr: str
    is_alert: bool
    annotations: dict

    def __str__(self) -> str:
        return f"{self.file}: {self.name}"


def load() -> list[Rule]:
    return [
        Rule(
            file=file.name,
            name=rule.get("alert") or rule["record"],
            expr=rule["expr"],
            is_alert="alert" in rule,
            annotations=rule.get("annotations", {}),
        )
        for file in FILES
        for group in yaml.safe_load(file.read_text())["groups"]
        for rule in group["rules"]
    ]


RULES = load()
RECORDED = {rule.name for rule in RULES if not rule.is_alert}

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def shown(page: Path) -> list[str]:
    """The queries in a page's ```promql blocks; an empty line ends one."""
    blocks = re.findall(r"^```promql\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    return [query for block in blocks for query in re.split(r"\n\s*\n", block.strip())]


SHOWN = [(page.name, query) for page in PAGES for query in shown(page)]
