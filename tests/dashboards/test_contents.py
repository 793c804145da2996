"""What is on the dashboards: every metric of a call, the layout, and links that lead somewhere."""

import re
from itertools import combinations

import pytest

import layout
from catalogue import FAMILIES, LABELS, UNPUBLISHED, family_of, is_known
from dashboards import DASHBOARDS, PANELS, ROOT, TARGETS
from promql import expand, selectors, used_variables
from rules import PAGES, RECORDED, RULES, SHOWN

dashboards = pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda d: d.name)

# Words that look like metrics of ours: the jobs of Prometheus, and crates as Rust writes them.
NO_METRICS = re.compile(r"mcp_(server|health_monitor|remediation|exporter|tap|broken)")

# What the prototype's users look for, by its words.
OF_THE_PROTOTYPE = {
    "Call rate": "mcp_tool_calls_total",
    "Calls by tool": "mcp_tool_calls_total",
    "Latency p95 by tool": "mcp_request_duration_seconds",
    "Latency p99 by tool": "mcp_request_duration_seconds",
    "Error rate": "mcp_errors_total",
    "Active connections": "mcp_active_connections",
    "Server uptime": "mcp_server_uptime_seconds",
    "Tool availability": "mcp_tool_availability",
    "Tokens by provider and model": "mcp_llm_tokens_total",
}


def metrics(text: str) -> set[str]:
    return {metric for selector in selectors(expand(text)) for metric in selector.metrics}


def test_queries_name_what_the_catalogue_has():
    texts = [(str(panel), target["expr"]) for panel, target in TARGETS]
    texts += [(d.name, expr) for d in DASHBOARDS for expr in d.annotations()]
    texts += [(str(rule), rule.expr) for rule in RULES] + SHOWN
    unknown = {
        f"{where}: {metric}"
        for where, text in texts
        for metric in metrics(text)
        if not is_known(metric) and metric not in RECORDED
    }
    assert unknown == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_name_what_the_catalogue_has(page):
    """Metrics in running text too; a trailing `_` names a group of families, and what stands between
    colons is part of a recorded series."""
    named = re.findall(r"(?<!:)\bmcp_[a-z0-9_]+\b(?!:)", page.read_text())
    unknown = {
        name
        for name in named
        if not (family_of(name) or name in FAMILIES or name in LABELS or NO_METRICS.fullmatch(name))
        and not (name.endswith("_") and any(family.startswith(name) for family in FAMILIES))
    }
    assert unknown == set()


def test_every_published_family_has_a_panel():
    shown = {family_of(metric) for _, target in TARGETS for metric in metrics(target["expr"])}
    assert set(FAMILIES) - UNPUBLISHED - shown == set()


def test_the_prototype_s_panels_are_there():
    shown = {
        (panel.json["title"], family_of(metric))
        for panel, target in TARGETS
        for metric in metrics(target["expr"])
    }
    assert set(OF_THE_PROTOTYPE.items()) - shown == set()


def test_uids_are_stable_and_unique():
    assert {d.name: d.json["uid"] for d in DASHBOARDS} == {
        "devskyy_dashboard": "devskyy-mcp-overview",
        "devskyy_health": "devskyy-mcp-health",
        "devskyy_llm": "devskyy-mcp-llm",
        "devskyy_security": "devskyy-mcp-security",
        "devskyy_stack": "devskyy-mcp-stack",
        "devskyy_tool": "devskyy-mcp-tool",
    }
    for dashboard in DASHBOARDS:
        ids = [panel.json["id"] for panel in dashboard.everything()]
        assert len(set(ids)) == len(ids)


@dashboards
def test_panels_fill_the_grid_and_do_not_overlap(dashboard):
    boxes = [layout.Box.of(panel) for panel in dashboard.everything()]
    assert [str(a.panel) for a, b in combinations(boxes, 2) if a.overlaps(b)] == []
    assert [str(box.panel) for box in boxes if box.right > layout.COLUMNS] == []
    width, height = layout.COLUMNS, max(box.bottom for box in boxes)
    assert sum(box.w * box.h for box in boxes) == width * height, layout.drawn(dashboard)


@dashboards
def test_every_variable_is_used_and_every_used_one_is_there(dashboard):
    queries = [target["expr"] for panel in dashboard.panels() for target in panel.targets]
    used = set().union(*map(used_variables, queries))
    ours = {name for name in used if not name.startswith("__")}
    assert ours == set(dashboard.query_variables())


@dashboards
def test_links_lead_to_the_other_dashboards_and_to_the_runbook(dashboard):
    others, runbook = dashboard.json["links"]
    assert others["tags"] == dashboard.json["tags"]
    assert others["includeVars"] and others["keepTime"]
    assert runbook["url"] == "${runbook}"


def panel_links() -> list[str]:
    properties = [
        link
        for panel in PANELS
        for holder in [
            panel.json["fieldConfig"]["defaults"],
            *({p["id"]: p["value"]} for o in panel.json["fieldConfig"]["overrides"] for p in o["properties"]),
        ]
        for link in holder.get("links", [])
    ]
    return [link["url"] for link in properties]


def test_values_lead_to_the_tool_and_to_the_runbook():
    uids = {d.json["uid"] for d in DASHBOARDS}
    urls = panel_links()
    assert {url[3:].partition("?")[0] for url in urls if url.startswith("/d/")} == {"devskyy-mcp-tool"} & uids
    assert any(url.startswith("${runbook}#:~:text=") for url in urls)
    tool = next(d for d in DASHBOARDS if d.name == "devskyy_tool")
    for url in urls:
        assert set(re.findall(r"var-(\w+)=", url)) <= set(tool.variables())


def test_the_runbook_has_a_section_for_each_alert():
    sections = set(re.findall(r"^#+ (\w+)$", (ROOT / "docs" / "RUNBOOK.md").read_text(), re.MULTILINE))
    alerts = {rule.name: rule for rule in RULES if rule.is_alert}
    assert alerts and set(alerts) - sections == set()
    for name, rule in alerts.items():
        assert rule.annotations["runbook_url"].endswith(f"docs/RUNBOOK.md#{name.lower()}")
