"""The dashboards as the checks see them: panels, queries, variables."""

import json
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "grafana" / "dashboards"


@dataclass(frozen=True)
class Panel:
    dashboard: str
    json: dict

    @property
    def is_row(self) -> bool:
        return self.json["type"] == "row"

    @property
    def targets(self) -> list[dict]:
        return self.json.get("targets", [])

    def __str__(self) -> str:
        return f"{self.dashboard}: {self.json['title']}"


@dataclass(frozen=True)
class Dashboard:
    name: str
    json: dict

    def panels(self) -> list[Panel]:
        """Every panel but the rows' headings."""
        return [panel for panel in self.everything() if not panel.is_row]

    def everything(self) -> list[Panel]:
        return [Panel(self.name, panel) for panel in self.json["panels"]]

    def variables(self) -> dict[str, dict]:
        return {variable["name"]: variable for variable in self.json["templating"]["list"]}

    def query_variables(self) -> dict[str, dict]:
        return {name: v for name, v in self.variables().items() if v["type"] == "query"}

    def annotations(self) -> list[str]:
        return [annotation["expr"] for annotation in self.json["annotations"]["list"]]


def load() -> list[Dashboard]:
    return [Dashboard(path.stem, json.loads(path.read_text())) for path in sorted(FOLDER.glob("*.json"))]


DASHBOARDS = load()
PANELS = [panel for dashboard in DASHBOARDS for panel in dashboard.panels()]
TARGETS = [(panel, target) for panel in PANELS for target in panel.targets]
