"""The stack as its user meets it, to its end: an alert, data that survives, what the doctor says, and
`make down`. Runs after the other files, on the same stack."""

import re
import time
import urllib.request
from pathlib import Path

import pytest

from conftest import figures
from stack import Stack, basic, docker, other_content, until


# Grafana itself cannot be had: a stand-in answers what the doctor asks. This proves the doctor's step,
# the networks, the secret and where the provisioned data source leads, and nothing about Grafana.


@pytest.fixture
def stand_in_for_grafana(demo):
    folder = Path(__file__).parent / "grafana_stand_in"
    image = "mcpmon-test/grafana/grafana:stand-in"
    docker("build", "--quiet", "--tag", image, str(folder))
    files = demo.environment["COMPOSE_FILE"]
    demo.add_to_compose(folder / "compose.yml")
    yield
    demo.environment["COMPOSE_FILE"] = files
    docker("rm", "--force", "--volumes", demo.container("grafana"))
    docker("rmi", image)


def test_the_doctor_asks_grafana_for_a_query(demo, stand_in_for_grafana):
    welcome = demo.make("up")
    assert "ok      Grafana answers a query through its data source prometheus" in welcome
    address, password = re.search(r"^Grafana +(\S+) .* password in (\S+)$", welcome, re.M).groups()
    assert address == demo.url("grafana")
    login = basic("admin", Path(password).read_text())
    assert demo.request("grafana", "/api/datasources", login)[0] == 200
    # As after a change of the password inside Grafana.
    with other_content(Path(password), "another"):
        report = demo.make("doctor", code=1, MCPMON_DOCTOR_PATIENCE="5")
    assert "FAILED  Grafana refuses the password" in report
    # Prometheus is well, and Grafana does not reach it.
    network = f"{demo.project}_dashboards"
    docker("network", "disconnect", network, demo.container("prometheus"))
    report = demo.make("doctor", code=1, MCPMON_DOCTOR_PATIENCE="5")
    docker("network", "connect", "--alias", "prometheus", network, demo.container("prometheus"))
    assert "FAILED  Grafana cannot query Prometheus (status 502)" in report


def test_an_alert_fires_reaches_slack_and_resolves(demo, slack):
    told = slack.told("boutique")
    demo.make("demo-stop")
    assert not {"atelier", "boutique"} & demo.components().keys()
    assert slack.told("boutique") == told, "its end is no trouble"
    hasten_groups(demo)
    begun = time.monotonic()
    docker("stop", demo.container("exporter"))
    firing = 'ALERTS{alertname="ServerDown",alertstate="firing"}'
    until(lambda: demo.query(firing), 150, "ServerDown fires")
    message = until(lambda: slack.find("[CRITICAL] ServerDown"), 60, "Slack has the alert")
    figures.append(f"exporter stopped to Slack message: {time.monotonic() - begun:.0f} s")
    attachment = message["attachments"][0]
    assert attachment["color"] and attachment["text"]
    # Nobody said where the runbook is published, and still its link leads to the alert's section.
    runbook = re.search(r"Runbook: (\S+)#serverdown:~:text=%23%23%23%20ServerDown", attachment["text"])[1]
    with urllib.request.urlopen(runbook, timeout=10) as page:
        assert "text/plain" in page.headers["Content-Type"]
        assert "\n### ServerDown\n" in page.read().decode()
    begun = time.monotonic()
    docker("start", demo.container("exporter"))
    until(lambda: not demo.query('ALERTS{alertname="ServerDown"}'), 60, "ServerDown ends")
    until(lambda: slack.find("[RESOLVED] ServerDown"), 60, "Slack has the end of the alert")
    figures.append(f"exporter started to Slack's resolved message: {time.monotonic() - begun:.0f} s")


def hasten_groups(stack):
    """A group's next message, such as its end, would wait five minutes; `make up` puts that back."""
    configuration = stack.state / "alertmanager.yml"
    text = configuration.read_text()
    assert "group_interval: 5m" in text
    configuration.write_text(text.replace("group_interval: 5m", "group_interval: 5s"))
    docker("kill", "--signal", "HUP", stack.container("alertmanager"))


def test_data_survives_down_and_up(stack):
    at = time.time()
    counted = "sum(max_over_time(mcp_tool_calls_total[30m]))"
    calls = stack.query(counted, at)
    stack.redis("remediation", "set", "mcpmon:kept", "yes")
    token = stack.secret("read_token")
    stack.make("down")
    assert stack.listed("ps", "--all") == [] and stack.listed("network", "ls") == []
    stack.make("up")
    assert stack.query(counted, at) == calls != {}
    assert stack.redis("remediation", "get", "mcpmon:kept") == "yes"
    assert stack.secret("read_token") == token


def test_the_doctor_names_what_is_broken_and_what_helps(stack):
    assert "FAILED" not in stack.make("doctor")
    docker("stop", stack.container("prometheus"))
    report = stack.make("doctor", code=1, MCPMON_DOCTOR_PATIENCE="2")
    assert "FAILED  not healthy: prometheus: exited" in report
    assert "remedy: make logs ARGS=prometheus" in report
    stack.make("up")

    with other_content(stack.state / "secrets" / "read_token", "another"):
        report = stack.make("doctor", code=1, MCPMON_DOCTOR_PATIENCE="2")
    assert "FAILED  the exporter refuses the read token" in report


def test_a_port_that_is_taken_is_named_with_another(stack):
    second = Stack(stack.work / "second")
    report = second.make("up", code=1, **stack.port_variables())
    taken = f"port {stack.ports['exporter']}, for exporter, is taken by the container"
    assert f"{taken} {stack.project}-exporter-1" in report
    assert re.search(r"choose another port: MCPMON_EXPORTER_PORT=\d+ in .env", report)
    assert re.search(r"choose another port: MCPMON_HEALTH_MONITOR_PORT=\d+ in .env", report)
    assert second.listed("ps", "--all") == [] and not second.state.exists()


def test_down_leaves_nothing_behind(stack):
    stack.make("demo")
    stack.make("down", ARGS="--volumes")
    assert stack.listed("ps", "--all") == []
    assert stack.listed("network", "ls") == []
    assert stack.listed("volume", "ls") == []
    assert docker("volume", "ls", "--quiet", "--filter", "dangling=true").split() == []
