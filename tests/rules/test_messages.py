"""What a real Alertmanager posts to Slack, firing and resolved, and what it holds back."""

from datetime import UTC, datetime, timedelta

import pytest

from servers import fetch, receiver, render, running_alertmanager, without_waiting

STARTED = datetime.now(UTC) - timedelta(minutes=10)


def alert(name, severity="critical", ends=None, **labels):
    text = {"summary": f"{name} <b> & more", "description": "Tool search of server boutique.", "runbook_url": f"docs/RUNBOOK.md#{name.lower()}"}
    one = {"labels": {"alertname": name, "severity": severity, **labels}, "annotations": text, "startsAt": STARTED.isoformat()}
    return one | ({"endsAt": ends.isoformat()} if ends else {})


@pytest.fixture
def slack(programs, tmp_path):
    """A receiver in Slack's place and a function that posts alerts to Alertmanager."""
    with receiver() as outside:
        (tmp_path / "slack").write_text(f"{outside.url}/slack")
        config = render(
            tmp_path,
            EXPORTER_URL=outside.url,
            SLACK_WEBHOOK_URL_FILE=str(tmp_path / "slack"),
            RUNBOOK_BASE_URL="https://example.org/repo/",
        )
        without_waiting(config)
        with running_alertmanager(programs("3.5", "alertmanager"), tmp_path) as url:
            yield outside, lambda *alerts: fetch(f"{url}/api/v2/alerts", list(alerts))


LABELS = {"job": "devskyy_mcp", "server": "boutique", "tool_name": "search"}


def test_a_message_fires_and_resolves(slack):
    outside, post = slack
    post(alert("ToolErrorRatioHigh", **LABELS))
    attachment = outside.wait_for("/slack", lambda _: True)["attachments"][0]
    assert attachment["title"] == "[CRITICAL] ToolErrorRatioHigh on boutique"
    assert attachment["color"] == "danger"
    assert "/#/alerts?receiver=critical" in attachment["title_link"]
    lines = attachment["text"].splitlines()
    assert lines[0] == ":rotating_light: *ToolErrorRatioHigh &lt;b&gt; &amp; more*"
    assert lines[1] == "Tool search of server boutique."
    assert lines[2].startswith(f"`server=boutique` `tool_name=search` since {STARTED:%Y-%m-%d %H:%M:%S} UTC")
    assert lines[-1] == "Runbook: https://example.org/repo/docs/RUNBOOK.md#toolerrorratiohigh:~:text=%23%23%23%20ToolErrorRatioHigh"

    ended = datetime.now(UTC)
    post(alert("ToolErrorRatioHigh", ends=ended, **LABELS))
    attachment = outside.wait_for("/slack", lambda body: "RESOLVED" in body["attachments"][0]["title"])["attachments"][0]
    assert attachment["title"] == "[RESOLVED] ToolErrorRatioHigh on boutique"
    assert attachment["color"] == "good"
    assert attachment["text"].startswith(":white_check_mark: ToolErrorRatioHigh &lt;b&gt; &amp; more (from ")


def test_alerts_of_one_server_come_as_one_message(slack):
    outside, post = slack
    tools = ("fetch", "search")
    post(*(alert("ToolErrorRatioElevated", "warning", **LABELS | {"tool_name": tool}) for tool in tools))
    title = "[WARNING x2] ToolErrorRatioElevated on boutique"
    attachment = outside.wait_for("/slack", lambda body: body["attachments"][0]["title"] == title)["attachments"][0]
    assert attachment["color"] == "warning"
    assert all(f"tool_name={tool}" in attachment["text"] for tool in tools)


def test_a_dead_exporter_holds_back_what_rests_on_it_and_nothing_else(slack):
    outside, post = slack
    post(alert("ServerDown", job="devskyy_mcp"))
    outside.wait_for("/slack", lambda body: "ServerDown" in body["attachments"][0]["title"])
    post(alert("NoToolCalls", job="devskyy_mcp"), alert("QueueGrows", **LABELS))
    others = {"TargetDown": {"job": "prometheus"}, "SecurityEvents": LABELS, "HighLatency": {}}
    post(*(alert(name, **labels) for name, labels in others.items()))
    for name in others:
        outside.wait_for("/slack", lambda body, name=name: f"] {name}" in body["attachments"][0]["title"])
    titles = {body["attachments"][0]["title"].split()[1] for path, body in outside.received if path == "/slack"}
    assert titles == set(others) | {"ServerDown"}


def test_a_dead_server_holds_back_its_own_tools_and_nothing_else(slack):
    outside, post = slack
    post(alert("McpServerDown", server="boutique", notify="monitor"))
    outside.wait_for("/v1/alerts", lambda body: body["groupLabels"]["alertname"] == "McpServerDown")
    # Of another server, of a server without a name, of an attack, and without any of these labels.
    others = {
        "ToolErrorRatioHigh": LABELS | {"server": "atelier"},
        "QueueGrows": {"job": "devskyy_mcp", "tool_name": "search"},
        "SecurityEvents": {"job": "devskyy_mcp", "server": "boutique"},
        "HighLatency": {},
    }
    post(alert("ToolUnavailable", **LABELS), alert("HighErrorRate", **LABELS), alert("ServerErrorRatioHigh", job="devskyy_mcp", server="boutique"))
    post(*(alert(name, **labels) for name, labels in others.items()))
    for name in others:
        outside.wait_for("/slack", lambda body, name=name: f"] {name}" in body["attachments"][0]["title"])
    titles = {body["attachments"][0]["title"].split()[1] for path, body in outside.received if path == "/slack"}
    assert titles == set(others)


def test_a_server_without_a_name_holds_back_nothing(slack):
    """A label that both sides lack counts as equal."""
    outside, post = slack
    post(alert("McpServerDown", notify="monitor"))
    outside.wait_for("/v1/alerts", lambda body: body["groupLabels"]["alertname"] == "McpServerDown")
    post(alert("ToolUnavailable", job="mcp_health_monitor", tool_name="search"))
    outside.wait_for("/slack", lambda body: "ToolUnavailable" in body["attachments"][0]["title"])
