"""The stack as its user meets it. The tests run in this order and share one stack, with those of
test_stack_repairs.py and test_stack_then_down.py after them; those that disturb it put it back."""

import ipaddress
import json
import re
import stat
import subprocess
import time

from conftest import figures
from stack import SERVICES, docker, every_address_works, until


def test_up_from_nothing_makes_every_service_healthy(stack):
    states = {name: one["State"] for name, one in stack.containers().items()}
    assert sorted(states) == SERVICES
    assert {state["Health"]["Status"] for state in states.values()} == {"healthy"}
    assert "FAILED" not in stack.welcome
    assert stack.welcome.count("  ok  ") >= 6, stack.welcome


def test_every_address_that_up_prints_works_with_the_credentials_that_it_names(stack):
    every_address_works(stack, stack.welcome)


def test_grafana_is_left_out_in_one_line_where_its_image_cannot_be_had(stack):
    lines = [line for line in stack.welcome.splitlines() if "Grafana is left out" in line]
    assert len(lines) == 1


def test_no_port_listens_beyond_loopback(stack):
    for name, container in stack.containers().items():
        for bindings in container["NetworkSettings"]["Ports"].values():
            for binding in bindings or []:
                assert ipaddress.ip_address(binding["HostIp"]).is_loopback, name
    listening = subprocess.run(["ss", "-Hltn"], capture_output=True, text=True, check=True).stdout
    published = {str(port) for port in stack.ports.values()}
    for local in (line.split()[3] for line in listening.splitlines()):
        address, port = local.rsplit(":", 1)
        if port in published:
            assert ipaddress.ip_address(address.strip("[]")).is_loopback, local


def test_containers_may_do_as_little_as_possible(demo):
    for name, container in demo.containers().items():
        host = container["HostConfig"]
        assert container["Config"]["User"].split(":")[0] not in ("", "0", "root"), name
        assert host["ReadonlyRootfs"] and not host["Privileged"], name
        assert host["CapDrop"] == ["ALL"] and not host["CapAdd"], name
        assert "no-new-privileges:true" in host["SecurityOpt"], name
        assert 0 < host["Memory"] <= 512 << 20 and 0 < host["PidsLimit"] <= 128, name
        assert host["LogConfig"]["Config"]["max-size"] == "10m", name
        assert host["RestartPolicy"]["Name"] == "unless-stopped", name


def test_redis_is_reached_by_nobody_who_has_no_business_there(demo):
    networks = {
        name: set(one["NetworkSettings"]["Networks"]) for name, one in demo.containers().items()
    }
    coordination = f"{demo.project}_coordination"
    assert networks["redis"] == {coordination}
    assert {name for name in networks if coordination in networks[name]} == {
        "redis", "health-monitor", "remediation",
    }  # fmt: skip
    assert not networks["prometheus"] & networks["demo-server"]


def test_the_engine_s_socket_is_seen_by_the_filter_alone(demo):
    containers = demo.containers()
    mounted = {name for name, one in containers.items() for mount in one["Mounts"] if "docker.sock" in mount["Source"]}
    assert mounted == {"docker-proxy"}
    network = f"{demo.project}_docker"
    networks = {name: set(one["NetworkSettings"]["Networks"]) for name, one in containers.items()}
    assert networks["docker-proxy"] == {network}
    assert {name for name in networks if network in networks[name]} == {"docker-proxy", "remediation"}
    assert not containers["docker-proxy"]["HostConfig"]["PortBindings"]
    assert json.loads(docker("network", "inspect", network))[0]["Internal"]


def test_the_filter_lets_through_what_the_configuration_names(stack):
    listed = (stack.state / "docker-proxy" / "names.lst").read_text().split()
    assert listed == [f"{stack.project}-exporter-1", f"{stack.project}-demo-server-1"]
    file = stack.repaired / "remediation.toml"
    text = file.read_text()
    try:
        file.write_text(text + '\n[remediation.targets.none]\nkind = "docker"\ncontainer = "cafe"\n')
        report = stack.make("up", code=1)
        assert 'remediation.targets.none.container' in report and '"cafe"' in report
    finally:
        file.write_text(text)
    assert (stack.state / "docker-proxy" / "names.lst").read_text().split() == listed


def test_secrets_stay_in_a_closed_folder(stack):
    folder = stack.state / "secrets"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    tokens = [stack.secret(name) for name in ("read_token", "write_token", "webhook_token")]
    assert len(set(tokens)) == 3 and all(len(token) == 64 for token in tokens)
    described = json.dumps(stack.containers())
    for secret in folder.iterdir():
        text = secret.read_text().strip()
        assert not text or text not in described, f"{secret.name} shows in docker inspect"


def test_a_wrong_token_is_refused(stack):
    event = {"server": "x", "source": "x", "observer": "api", "events": []}
    read, write = (f"Bearer {stack.secret(name)}" for name in ("read_token", "write_token"))
    assert stack.request("exporter", "/metrics")[0] == 401
    assert stack.request("exporter", "/metrics", "Bearer wrong")[0] == 401
    assert stack.request("exporter", "/metrics", write)[0] == 403
    assert stack.request("exporter", "/metrics", read)[0] == 200
    assert stack.request("exporter", "/v1/events", read, event)[0] == 403
    assert stack.request("exporter", "/v1/events", write, event)[0] == 202
    assert stack.request("exporter", "/v1/alerts", write, {"alerts": []})[0] == 403
    assert stack.request("exporter", "/health/ready")[0] == 200


def test_redis_gives_each_user_its_part(stack):
    assert stack.redis("probe", "ping") == "PONG"
    assert "NOPERM" in stack.redis("probe", "get", "mcpmon:x")
    for user in ("health-monitor", "remediation"):
        assert stack.redis(user, "set", "mcpmon:test", user) == "OK"
        assert "NOPERM" in stack.redis(user, "set", "other:test", user)
        assert "NOPERM" in stack.redis(user, "flushall")
        assert "NOPERM" in stack.redis(user, "config", "set", "appendonly", "no")
    without = docker("exec", stack.container("redis"), "redis-cli", "get", "mcpmon:test")
    assert "NOAUTH" in without


def test_demo_traffic_reaches_prometheus(demo):
    used = 'count by (tool_name) (mcp_tool_calls_total{server="boutique"} > 0)'
    until(lambda: len(demo.query(used)) >= 9, 120, "calls of nine tools")
    calls = demo.query('sum by (status) (mcp_tool_calls_total{server="boutique"})')
    assert calls[("success",)] > calls[("error",)] > 0
    assert demo.query('up{job="devskyy_mcp",service="devskyy_mcp",environment="production"}')
    # One truth: what is counted is timed.
    counted, timed = "mcp_tool_calls_total", "mcp_request_duration_seconds_count"
    assert demo.query(f'sum({counted}{{server="boutique"}}) == sum({timed}{{server="boutique"}})')
    assert demo.query('sum(mcp_llm_tokens_total{server="boutique"})')[()] > 0
    # The rules of the stack have computed something from it.
    status, rules = demo.request("prometheus", "/api/v1/rules")
    assert status == 200
    groups = json.loads(rules)["data"]["groups"]
    health = [rule["health"] for group in groups for rule in group["rules"]]
    assert health and set(health) == {"ok"}


def test_the_demo_is_well_as_long_as_its_calls_come_to_an_end(demo):
    states = {name: one["State"]["Health"]["Status"] for name, one in demo.containers().items()}
    demo_s = {name: state for name, state in states.items() if name.startswith("demo-")}
    assert demo_s == dict.fromkeys(["demo-atelier", "demo-client", "demo-server", "demo-tap"], "healthy")
    address = ("127.0.0.1:8765", "127.0.0.1:1")
    well, unwell = (
        subprocess.run(
            ["docker", "exec", demo.container("demo-server"), "mcpmon", "demo-health", one],
            capture_output=True, text=True, check=False,
        )
        for one in address
    )  # fmt: skip
    assert well.returncode == 0, well.stderr
    assert unwell.returncode == 70 and "no answer from http://127.0.0.1:1/" in unwell.stderr


def test_memory_is_measured(demo):
    mebibytes = {}
    for line in docker("stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}}").splitlines():
        name, amount = line.split()[:2]
        service = name.removeprefix(f"{demo.project}-").removesuffix("-1")
        number, unit = re.fullmatch(r"([\d.]+)(\w+)", amount).groups()
        mebibytes[service] = float(number) * {"KiB": 1 / 1024, "MiB": 1, "GiB": 1024}[unit]
    each = ", ".join(f"{name} {value:.1f}" for name, value in sorted(mebibytes.items()))
    figures.append(f"memory with demo traffic: {sum(mebibytes.values()):.0f} MiB ({each})")
    assert sum(mebibytes.values()) < 512


def test_up_twice_is_harmless(demo):
    def lives():
        containers = demo.containers().items()
        return {name: (one["Id"], one["State"]["StartedAt"]) for name, one in containers}

    def secrets():
        return {file.name: file.read_bytes() for file in (demo.state / "secrets").iterdir()}

    before = lives(), secrets()
    begun = time.monotonic()
    demo.make("up")
    figures.append(f"make up, again: {time.monotonic() - begun:.1f} s")
    assert (lives(), secrets()) == before


PARTS = ["alertmanager", "metrics_server", "prometheus", "redis"]
SERVERS = ["atelier", "boutique"]


def test_the_health_monitor_finds_the_stack_and_the_demo_well(demo):
    def well():
        # The demo's component comes with a reload that `make demo` does not wait for.
        states = {name: one["state"] for name, one in demo.components().items()}
        return states == dict.fromkeys([*PARTS, *SERVERS], "healthy")

    until(well, 30, "everything is healthy")
    assert demo.components()["boutique"]["tools"]["listed"] >= 9
    assert demo.request("health-monitor", "/api/v1/components")[0] == 401
    up = "max by (component) (mcp_component_up == 1)"
    until(lambda: len(demo.query(up)) == len(PARTS + SERVERS), 30, "Prometheus has each component")
    assert list(demo.query('up{job="mcp_health_monitor"}').values()) == [1]
    # The monitor's and remediation's.
    assert list(demo.query('mcp_coordination_up{backend="redis"}').values()) == [1, 1]
    assert demo.verdict()["source"] == "health monitor"

    def on_the_page():
        return len(demo.verdict()["components"]) == len(PARTS + SERVERS)

    # The exporter asks the monitor every five seconds.
    until(on_the_page, 15, "the page has each component")


def test_the_health_monitor_reads_its_file_again_at_make_up(demo):
    file = demo.monitored / "health-monitor.toml"
    text, container = file.read_text(), demo.container("health-monitor")
    page = '[health_monitor.components.page]\nkind = "http"\nurl = "http://exporter:9090/health"\n'
    loaded = 'mcp_config_last_reload_successful{job="mcp_health_monitor"}'
    try:
        file.write_text(f"{text}\n{page}")
        demo.make("up")
        until(lambda: demo.components().get("page", {}).get("state") == "healthy", 30, "it is checked")
        file.write_text(text + "\n[health_monitor.components.page]\nkind = 'htp'\n")
        demo.make("up")
        until(lambda: list(demo.query(loaded).values()) == [0], 30, "the reload has failed")
        assert "page" in demo.components()
    finally:
        file.write_text(text)
        demo.make("up")
    until(lambda: list(demo.query(loaded).values()) == [1], 30, "the reload is well again")
    assert sorted(demo.components()) == sorted([*PARTS, *SERVERS])
    assert demo.container("health-monitor") == container


def test_a_server_that_stops_turns_red_and_people_are_told_once_and_once_of_its_recovery(demo, slack):
    told = len(slack.told("boutique"))
    silent = 'ALERTS{alertname="MonitorSilent"}'
    assert not demo.query(silent)
    begun = time.monotonic()
    docker("stop", demo.container("demo-server"))

    def red():
        verdict = demo.verdict()
        # The demo's own calls may be reasons, too.
        told = any(why.startswith("boutique is unhealthy") for why in verdict["reasons"])
        return verdict["status"] == "red" and told

    until(lambda: len(slack.told("boutique")) > told, 60, "Slack has the message")
    figures.append(f"MCP server stopped to Slack message: {time.monotonic() - begun:.0f} s")
    until(red, 15, "the exporter's page is red for it")
    assert demo.components()["boutique"]["state"] == "unhealthy"
    report = demo.make("doctor", code=1, MCPMON_DOCTOR_PATIENCE="2")
    assert "FAILED  the health monitor says that boutique is unhealthy: " in report
    assert "remedy: start it, or put its table in deploy/health-monitor" in report
    # Prometheus knows it too, and leaves the telling to the monitor.
    down = 'ALERTS{alertname="McpServerDown",alertstate="firing",server="boutique"}'
    until(lambda: demo.query(down), 60, "McpServerDown fires")
    failures = demo.components()["boutique"]["consecutive_failures"]
    until(
        lambda: demo.components()["boutique"]["consecutive_failures"] > failures + 5,
        60, "it was checked on and on",
    )  # fmt: skip
    assert len(slack.told("boutique")) == told + 1
    assert slack.told("boutique")[-1] == ":red_circle: boutique is down"

    begun = time.monotonic()
    docker("start", demo.container("demo-server"))
    until(lambda: len(slack.told("boutique")) > told + 1, 60, "Slack has the recovery")
    figures.append(f"MCP server started to Slack's recovery: {time.monotonic() - begun:.0f} s")
    assert slack.told("boutique")[-1] == ":large_green_circle: boutique recovered"
    recovery = slack.find("boutique recovered")
    assert re.search(r"\*boutique\*: down for (\d+ min )?\d+ s ", json.dumps(recovery))
    until(lambda: not demo.query(down), 30, "McpServerDown ends")
    until(lambda: not red(), 30, "the page is not red for it")
    assert len(slack.told("boutique")) == told + 2
    assert not slack.find("McpServerDown") and not demo.query(silent)


def test_two_monitors_are_one_to_their_user_and_one_of_them_may_die(demo, slack):
    told = len(slack.told("boutique"))
    up = 'up{job="mcp_health_monitor"} == 1'
    demo.make("up", COMPOSE_PROFILES="ha")
    until(lambda: len(demo.query(up)) == 2, 30, "both are scraped")
    docker("stop", demo.container("demo-server"))
    until(lambda: len(slack.told("boutique")) > told, 60, "Slack has the message")
    # The one whose name the exporter asks, and whose port is published.
    docker("kill", demo.container("health-monitor"))
    until(lambda: len(demo.query(up)) == 1, 30, "one is left")

    def page():
        verdict = demo.verdict()
        of = {one["name"]: one for one in verdict["components"]}
        return verdict["source"] == "health monitor" and of.get("boutique")

    def down():
        one = page()
        return one and one["state"] == "unhealthy" and one

    # Its last look at the shared records may be some seconds old, and the page's at it as well.
    seen = until(down, 30, "the exporter's page has the other's words")
    until(
        lambda: (page() or seen)["consecutive_failures"] > seen["consecutive_failures"] + 5,
        60, "the other one checks on",
    )  # fmt: skip
    docker("start", demo.container("demo-server"))
    until(lambda: len(slack.told("boutique")) > told + 1, 60, "Slack has the recovery")
    demo.make("up")
    until(lambda: len(demo.query(up)) == 2, 30, "both are scraped again")
    until(lambda: demo.components()["boutique"]["state"] == "healthy", 30, "it is healthy")
    assert [text.split()[0] for text in slack.told("boutique")[told:]] == [
        ":red_circle:", ":large_green_circle:",
    ]  # fmt: skip
    assert not demo.query('ALERTS{alertname="MonitorSilent"}')
    docker("rm", "--force", demo.container("health-monitor-2"))


def test_people_are_told_without_redis_and_the_monitor_finds_back_to_it(demo, slack):
    told = len(slack.told("boutique"))
    coordination = 'min(mcp_coordination_up{backend="redis"})'
    docker("stop", demo.container("redis"))
    until(lambda: demo.query(coordination) == {(): 0}, 30, "coordination is down")
    assert demo.verdict()["status"] in ("yellow", "red")
    docker("pause", demo.container("demo-server"))
    until(lambda: len(slack.told("boutique")) > told, 60, "Slack has the message")
    docker("start", demo.container("redis"))
    until(lambda: demo.query(coordination) == {(): 1}, 60, "coordination is up")
    assert demo.components()["boutique"]["up"] is False
    failures = demo.components()["boutique"]["consecutive_failures"]
    until(
        lambda: demo.components()["boutique"]["consecutive_failures"] > failures + 3,
        60, "it is counted on in Redis",
    )  # fmt: skip
    docker("unpause", demo.container("demo-server"))
    until(lambda: any("recovered" in text for text in slack.told("boutique")[told:]), 60, "Slack has the recovery")
    until(lambda: demo.components()["redis"]["state"] == "healthy", 60, "Redis is well")
    # As soon as it may act again, remediation sees that a person paused the container, and says so.
    about_health = [text for text in slack.told("boutique")[told:] if "by a person" not in text]
    assert [text.split()[0] for text in about_health] == [
        ":red_circle:", ":large_green_circle:",
    ]  # fmt: skip


def test_operators_talk_to_the_monitor_in_its_container(demo):
    def run(*words: str) -> subprocess.CompletedProcess:
        command = ["docker", "exec", demo.container("health-monitor"), "mcp-health-monitor", *words]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def operate(*words: str) -> str:
        done = run(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    begin = operate("maintenance", "start", "boutique", "--for", "30m", "--reason", "a deploy")
    assert begin == "boutique: in maintenance for 30m"
    assert "a deploy" in operate("maintenance", "list")
    until(lambda: "maintenance" in demo.components()["boutique"], 15, "it is in maintenance")
    operate("maintenance", "end", "boutique")
    assert operate("maintenance", "list") == "no maintenance window is open"
    # Its exit code is the overall status, which the demo's own calls have a say in.
    once = run("--config", "/etc/mcpmon/health-monitor.toml", "--once")
    assert once.returncode in (0, 1, 2), once.stderr
    assert all(f"✅ {name.upper()}" in once.stdout for name in PARTS)
