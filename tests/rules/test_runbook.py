"""docs/RUNBOOK.md has a section for every alert, and its queries can be typed."""

import re

import promql_parser as promql
import pytest

from rulebook import ALERTS, FOREIGN, RECORDS, ROOT, catalogue, descend, matchers

PAGE = (ROOT / "docs" / "RUNBOOK.md").read_text()
SECTIONS = dict(re.findall(r"^### (\w+)\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL))
QUERIES = re.findall(r"^\$ ask '(.*)'", PAGE, re.MULTILINE)


def test_sections_are_those_of_the_alerts_in_their_order():
    files = ("devskyy_mcp.yml", "calls.yml", "slo.yml", "security.yml", "cost.yml", "health.yml", "remediation.yml", "pipeline.yml")
    assert list(SECTIONS) == [alert.name for file in files for alert in ALERTS if alert.file == file]
    assert len(SECTIONS) == len(ALERTS)


@pytest.mark.parametrize("alert", argvalues=ALERTS, ids=lambda alert: alert.name)
def test_a_section_says_symptom_causes_and_what_to_type(alert):
    section = SECTIONS[alert.name]
    assert f"**Symptom** ({alert.severity}). " in section.replace("\n", " ")
    assert re.search(r"\*\*Likely causes\*\*\n\n- ", section)
    assert re.search(r"\*\*What to type\*\*\n\n```console\n\$ .*?```", section, re.DOTALL)


@pytest.mark.parametrize("query", sorted(set(QUERIES)))
def test_queries_name_what_exists(query):
    samples = catalogue() | {"ALERTS": {"alertname", "alertstate", "notify"}}
    known = set(samples) | FOREIGN | {record.name for record in RECORDS}
    for node, _ in descend(promql.parse(query), None):
        if isinstance(node, promql.VectorSelector):
            assert node.name in known, f"no such metric: {node.name}"
            assert set(matchers(node)) <= samples.get(node.name, {"job"}) | {"job", "instance"}
