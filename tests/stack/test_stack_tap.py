"""A server that knows nothing of monitoring and stands behind mcp-tap: its calls, its dashboards, its death.
Runs between test_stack_repairs.py and test_stack_then_down.py, on the same stack."""

import json
import re
import time
import urllib.parse
from pathlib import Path

import pytest

from conftest import figures
from stack import ROOT, docker, until

SERVER = "atelier"
TOOLS = {"grade_pattern", "run_embroidery", "search_archive", "take_measurements"}
# Where a call goes that does not succeed before the tap has seen a listing.
UNPROVEN = {"_other"}
DASHBOARDS = ROOT / "grafana" / "dashboards"


@pytest.fixture
def well(demo):
    """The server is up and known to be."""
    until(lambda: demo.components()[SERVER]["state"] == "healthy", 60, "it is healthy")
    return demo


def test_it_has_no_way_to_the_stack_and_nobody_but_the_tap_a_way_to_it(demo):
    containers = demo.containers()
    networks = {name: set(one["NetworkSettings"]["Networks"]) for name, one in containers.items()}
    own = f"{demo.project}_atelier"
    assert networks["demo-atelier"] == {own}
    assert {name for name in networks if own in networks[name]} == {"demo-atelier", "demo-tap"}
    assert json.loads(docker("network", "inspect", own))[0]["Internal"]
    assert not containers["demo-atelier"]["Mounts"], "it has no token"
    assert "MCP_EXPORTER" not in json.dumps(containers["demo-atelier"]["Config"]["Env"])
    for name in ("demo-atelier", "demo-tap"):
        assert not containers[name]["HostConfig"]["PortBindings"], name


def test_its_calls_are_in_prometheus_however_they_end(demo):
    ends = f'sum by (status, tool_name) (mcp_tool_calls_total{{server="{SERVER}"}}) > 0'
    wanted = {("success", tool) for tool in TOOLS} | {
        ("error", "grade_pattern"), ("error", "take_measurements"), ("cancelled", "run_embroidery"),
    }  # fmt: skip
    until(lambda: wanted <= demo.query(ends).keys(), 120, "each tool's calls, and each end")
    assert {tool for _, tool in demo.query(ends)} - UNPROVEN == TOOLS
    reasons = f'sum by (error_type, reason, tool_name) (mcp_errors_total{{server="{SERVER}"}}) > 0'
    assert {
        ("tool_error", "is_error", "grade_pattern"),
        ("tool_error", "is_error", "take_measurements"),
        ("validation_error", "invalid_params", "grade_pattern"),
    } <= demo.query(reasons).keys()
    # One truth: what is counted is timed. A scrape may fall between the two.
    counted, timed = "mcp_tool_calls_total", "mcp_request_duration_seconds_count"
    same = f'sum({counted}{{server="{SERVER}"}}) == sum({timed}{{server="{SERVER}"}})'
    until(lambda: demo.query(same), 60, "as many calls timed as counted")
    # Clients of both eras of the protocol are among them. One that introduced itself and stays does not do it
    # again after the exporter was restarted and counts anew, so this looks back to the demo's first hour.
    operations = f'mcp_server_operation_duration_seconds_count{{server="{SERVER}"}}'
    methods = f"sum by (mcp_method_name) (max_over_time({operations}[1h])) > 0"
    until(lambda: {("initialize",), ("server/discover",)} <= demo.query(methods).keys(), 60, "both eras")
    assert demo.components()[SERVER]["tools"]["listed"] == len(TOOLS)


def test_the_dashboards_offer_it_and_have_something_to_show(demo):
    for file in ("devskyy_dashboard", "devskyy_tool", "devskyy_health"):
        assert SERVER in offered(demo, variables(file)["server"]), file
    assert set(offered(demo, variables("devskyy_tool")["tool"])) - UNPROVEN == TOOLS
    empty = {title for title, expression in panels("devskyy_dashboard") if not demo.query(filled(expression))}
    # The server asks nobody to wait and limits nobody; alerts may fire or not.
    assert empty <= {"Firing alerts", "Alerts firing", "Queue depth", "Rate limits and timeouts"}


def dashboard(name: str) -> dict:
    return json.loads(Path(DASHBOARDS / f"{name}.json").read_text())


def variables(name: str) -> dict[str, str]:
    """A dashboard's variables that are asked for, each with its query."""
    listed = dashboard(name)["templating"]["list"]
    return {one["name"]: one["definition"] for one in listed if one["type"] == "query"}


def panels(name: str):
    """Each query of a dashboard about servers, with its panel's title."""
    waiting = list(dashboard(name)["panels"])
    for panel in waiting:
        waiting += panel.get("panels", [])
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]


def filled(text: str) -> str:
    """With Grafana's variables as somebody who looks at this server has them."""
    text = re.sub(r"\$(job|instance)\b", ".+", text)
    return text.replace("$server", SERVER).replace("$__rate_interval", "1m")


def offered(stack, definition: str) -> list[str]:
    """What a variable lists: Prometheus's answer to the question that Grafana makes of it."""
    series, label = re.fullmatch(r"label_values\((.+), (\w+)\)", definition).groups()
    asked = urllib.parse.urlencode({"match[]": filled(series)})
    status, body = stack.request("prometheus", f"/api/v1/label/{label}/values?{asked}")
    assert status == 200, body
    return json.loads(body)["data"]


def test_its_death_is_counted_seen_and_told_and_is_not_the_tap_s(well, slack):
    transport = f'sum(mcp_errors_total{{server="{SERVER}",error_type="transport_error"}})'
    before, told = well.query(transport).get((), 0), len(slack.told(SERVER))
    begun = time.monotonic()
    docker("kill", well.container("demo-atelier"))
    # Those that were under way when it died; embroidery takes seconds, so there are some.
    until(lambda: well.query(transport).get((), 0) > before, 60, "calls failed with it")
    until(lambda: well.components()[SERVER]["state"] == "unhealthy", 60, "the monitor knows")
    assert "502" in well.components()[SERVER]["error"], "the tap answers, and says who does not"
    until(lambda: len(slack.told(SERVER)) > told, 60, "Slack has the message")
    figures.append(f"MCP server behind the tap killed to Slack message: {time.monotonic() - begun:.0f} s")
    assert slack.told(SERVER)[told:] == [f":red_circle: {SERVER} is down"]

    def red():
        verdict = well.verdict()
        # Its calls' failures may be reasons, too, and for longer.
        told = any(why.startswith(f"{SERVER} is unhealthy") for why in verdict["reasons"])
        return verdict["status"] == "red" and told

    until(red, 30, "the exporter's page is red for it")
    down = f'ALERTS{{alertname="McpServerDown",alertstate="firing",server="{SERVER}"}}'
    until(lambda: well.query(down), 60, "McpServerDown fires")
    assert well.containers()["demo-tap"]["State"]["Health"]["Status"] == "healthy"
    assert well.components()["boutique"]["state"] == "healthy"

    calls = f'sum(mcp_tool_calls_total{{server="{SERVER}",status="success"}})'
    succeeded = well.query(calls)[()]
    docker("start", well.container("demo-atelier"))
    until(lambda: well.query(calls)[()] > succeeded, 60, "clients find back to it")
    until(lambda: len(slack.told(SERVER)) > told + 1, 60, "Slack has the recovery")
    assert slack.told(SERVER)[told + 1:] == [f":large_green_circle: {SERVER} recovered"]
    until(lambda: not well.query(down) and not red(), 60, "nothing is left of it")


def test_a_tap_that_is_away_is_told_apart_from_its_server(well):
    docker("stop", well.container("demo-tap"))
    until(lambda: well.components()[SERVER]["state"] == "unhealthy", 60, "clients cannot reach the server")
    assert "502" not in well.components()[SERVER]["error"]
    assert well.containers()["demo-atelier"]["State"]["Health"]["Status"] == "healthy"
    docker("start", well.container("demo-tap"))
    until(lambda: well.components()[SERVER]["state"] == "healthy", 60, "it is healthy again")
    clients = well.container("demo-client")
    health = ("inspect", "--format", "{{.State.Health.Status}}", clients)
    until(lambda: docker(*health) == "healthy", 60, "the clients are well again")
