"""What the stack repairs and what it leaves alone: real containers, and one receiver in Slack's place
that counts every message. Runs between test_stack.py and test_stack_then_down.py, on the same stack."""

import contextlib
import json
import subprocess
import threading
import time

import pytest

from conftest import figures
from stack import docker, until

COMPONENT = "boutique"


@pytest.fixture
def well(demo):
    """The demo's server is up, known to be, and nothing about it is under way."""
    until(lambda: demo.components()[COMPONENT]["state"] == "healthy", 60, "it is healthy")
    until(lambda: not incident(demo, COMPONENT), 60, "its last incident is over")
    until(lambda: demo.repairs()["held"] is None, 60, "repairs may be made")
    return demo


@pytest.fixture
def restarts_of():
    """A function that begins to count a container's restarts."""
    with contextlib.ExitStack() as listening:
        yield lambda container: listening.enter_context(counted_restarts(container))


def incident(stack, component):
    return next((one for one in stack.repairs()["incidents"] if one["component"] == component), None)


def reason(stack, component):
    return (incident(stack, component) or {}).get("reason")


def actions(stack, component):
    return [one for one in stack.repairs()["actions"] if one["component"] == component]


@contextlib.contextmanager
def counted_restarts(container: str):
    """How often the engine is asked to restart a container meanwhile, as a function. The engine remembers
    few events, and health checks are events, too: so it is listened to all the time."""
    command = ["docker", "events", "--filter", f"container={container}", "--filter", "event=restart", "--format", "{{.Action}}"]
    seen: list[str] = []
    # Since a moment ago, for the listening itself takes one to begin.
    with subprocess.Popen([*command, "--since", f"{time.time():.3f}"], stdout=subprocess.PIPE, text=True) as listening:
        thread = threading.Thread(target=lambda: seen.extend(iter(listening.stdout.readline, "")), daemon=True)
        thread.start()
        try:
            yield lambda: len(seen)
        finally:
            listening.terminate()


def state(container: str) -> dict:
    return json.loads(docker("inspect", container))[0]["State"]


def each_once(said: list[str], *facts: str):
    """That these things were said of the component, and nothing else."""
    assert len(said) == len(facts) and all(sum(fact in one for one in said) == 1 for fact in facts), said


def test_a_server_that_is_killed_is_restarted_once_verified_and_announced(well, slack, restarts_of):
    server, told, known = well.container("demo-server"), len(slack.facts(COMPONENT)), len(actions(well, COMPONENT))
    begun, restarts = time.monotonic(), restarts_of(server)
    docker("kill", server)
    until(lambda: len(actions(well, COMPONENT)) > known, 60, "it was acted on and verified")
    figures.append(f"MCP server killed to restarted and verified: {time.monotonic() - begun:.0f} s")
    action = actions(well, COMPONENT)[0]
    assert action["result"] == "success", action
    assert f"{well.project}-demo-server-1" in action["action"]
    assert well.components()[COMPONENT]["up"] is True and state(server)["Running"]
    # Down, repaired, recovered: each once, and nothing by Alertmanager.
    until(lambda: len(slack.facts(COMPONENT)) >= told + 3, 60, "Slack has all three")
    until(lambda: not incident(well, COMPONENT), 60, "the incident is over")
    until(lambda: not well.query('ALERTS{alertname="McpServerDown"}'), 60, "no alert is left")
    each_once(slack.facts(COMPONENT)[told:], "is down", "was repaired", "recovered")
    assert not slack.find("McpServerDown")
    assert restarts() == 1
    done = f'sum(mcp_remediation_actions_total{{component="{COMPONENT}",result="success"}})'
    until(lambda: well.query(done).get((), 0) >= 1, 30, "Prometheus has the action")


def test_a_server_that_a_person_stopped_stays_stopped(well, slack, restarts_of):
    server, known = well.container("demo-server"), len(actions(well, COMPONENT))
    restarts = restarts_of(server)
    told = len(slack.facts(COMPONENT))
    docker("stop", server)
    until(lambda: reason(well, COMPONENT) == "stopped_by_operator", 60, "it is left alone")
    skipped = f'sum(mcp_remediation_decisions_total{{component="{COMPONENT}",decision="stopped_by_operator"}})'
    until(lambda: well.query(skipped).get((), 0) >= 1, 30, "Prometheus has the decision")
    failures = well.components()[COMPONENT]["consecutive_failures"]
    until(
        lambda: well.components()[COMPONENT]["consecutive_failures"] > failures + 8,
        60, "it was down on and on",
    )  # fmt: skip
    assert not state(server)["Running"] and restarts() == 0
    assert len(actions(well, COMPONENT)) == known
    each_once(slack.facts(COMPONENT)[told:], "is down", "was stopped by a person")
    docker("start", server)
    until(lambda: not incident(well, COMPONENT), 60, "the incident is over")
    until(lambda: len(slack.facts(COMPONENT)) > told + 2, 60, "Slack has the recovery")
    each_once(slack.facts(COMPONENT)[told:], "is down", "was stopped by a person", "recovered")
    assert restarts() == 0 and len(actions(well, COMPONENT)) == known


@pytest.fixture
def crasher(demo):
    """A container of the user's own that its engine starts again and again, a component and a rule for it."""
    name = f"{demo.project}-crasher"
    files = {
        demo.monitored / "health-monitor.toml": f"""
[health_monitor.components.crasher]
kind = "tcp"
address = "{name}:9"
""",
        demo.repaired / "remediation.toml": f"""
[remediation.targets.crasher]
kind = "docker"
container = "{name}"
engine = "tcp://docker-proxy:2375"

[remediation.rules.crasher]
component = "crasher"
failures = ["connection_refused", "dns", "timeout", "other"]
ladder = ["crasher"]
mode = "act"
""",
    }
    before = {file: file.read_text() for file in files}
    image = demo.containers()["redis"]["Config"]["Image"]
    docker(
        "run", "--detach", "--name", name, "--restart", "always", "--network", f"{demo.project}_ingest",
        "--entrypoint", "sh", image, "-c", "exit 1",
    )  # fmt: skip
    try:
        for file, text in files.items():
            file.write_text(before[file] + text)
        # The doctor says that it is down.
        demo.make("up", code=1, MCPMON_DOCTOR_PATIENCE="2")
        yield name
    finally:
        docker("rm", "--force", "--volumes", name)
        for file, text in before.items():
            file.write_text(text)
        demo.make("up")


def test_a_server_that_its_engine_restarts_is_left_to_the_engine(well, crasher, restarts_of):
    restarts = restarts_of(crasher)
    until(lambda: reason(well, "crasher") == "native_supervisor", 90, "remediation waits for the engine")
    waits = 'sum(mcp_remediation_decisions_total{component="crasher",decision="native_supervisor"})'
    until(lambda: well.query(waits).get((), 0) >= 1, 30, "Prometheus has the decision")
    failures = well.components()["crasher"]["consecutive_failures"]
    until(
        lambda: well.components()["crasher"]["consecutive_failures"] > failures + 8,
        60, "it was down on and on",
    )  # fmt: skip
    assert actions(well, "crasher") == [] and restarts() == 0
    assert json.loads(docker("inspect", crasher))[0]["RestartCount"] > 0


def test_the_exporter_is_repaired_by_the_rule_that_ships(well, restarts_of):
    exporter = well.container("exporter")
    restarts = restarts_of(exporter)
    known = len(actions(well, "metrics_server"))
    begun = time.monotonic()
    docker("kill", exporter)
    until(lambda: len(actions(well, "metrics_server")) > known, 60, "it was acted on and verified")
    figures.append(f"exporter killed to restarted and verified: {time.monotonic() - begun:.0f} s")
    assert actions(well, "metrics_server")[0]["result"] == "success"
    assert restarts() == 1
    assert well.request("exporter", "/health/ready")[0] == 200


def test_two_remediations_restart_once(well, slack, restarts_of):
    up = 'up{job="mcp_remediation"} == 1'
    well.make("up", COMPOSE_PROFILES="ha")
    until(lambda: len(well.query(up)) == 2, 60, "both are scraped")
    until(lambda: well.repairs()["held"] is None, 60, "repairs may be made")
    server, told = well.container("demo-server"), len(slack.facts(COMPONENT))
    restarts = restarts_of(server)
    success = f'sum(max_over_time(mcp_remediation_actions_total{{component="{COMPONENT}",result="success"}}[10m]))'
    docker("kill", server)
    until(lambda: restarts() > 0, 60, "it is restarted")
    until(lambda: len(slack.facts(COMPONENT)) >= told + 3, 60, "Slack has all three")
    until(lambda: not incident(well, COMPONENT), 60, "the incident is over")
    assert restarts() == 1
    each_once(slack.facts(COMPONENT)[told:], "is down", "was repaired", "recovered")
    assert well.query(success)
    for service in ("health-monitor-2", "remediation-2"):
        docker("rm", "--force", well.container(service))
    until(lambda: len(well.query(up)) == 1, 60, "one is scraped")
