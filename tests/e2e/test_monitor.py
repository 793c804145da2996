"""The health monitor over third-party MCP servers: what it finds, what it counts, whom it tells."""

import contextlib
import re
from dataclasses import dataclass

import pytest
from mcp import Client

import parties
import servers
import session
from exporter import promtool_remarks
from monitor import Monitor, configuration, running_monitor, states
from parties import free_port

HEALTHY = ["everything_http", "everything_stdio", "git", "time", "atelier"]


@dataclass(frozen=True)
class Watched:
    """A monitor over servers of every transport, and how a client reaches each of them."""

    monitor: Monitor
    targets: dict


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    folder = tmp_path_factory.mktemp("watched")
    repository = servers.make_repository(folder / "repository")
    commands = {
        "everything_stdio": servers.everything().command,
        "git": servers.git(repository).command,
        "time": servers.time().command,
    }
    ports = {name: free_port() for name in ("everything_http", "atelier", "sse")}
    urls = {name: f"http://127.0.0.1:{port}/{'sse' if name == 'sse' else 'mcp'}" for name, port in ports.items()}
    components = {name: {"kind": "mcp", "command": command} for name, command in commands.items()}
    components |= {name: {"kind": "mcp", "url": url} for name, url in urls.items()}
    with (
        parties.everything(folder, ports["everything_http"]),
        parties.everything(folder, ports["sse"], "sse"),
        parties.fastmcp(folder, ports["atelier"], "sew", "cut"),
        running_monitor(configuration(folder, components)) as monitor,
    ):
        monitor.wait_for_states(dict.fromkeys(HEALTHY, "healthy") | {"sse": "unsupported_transport"}, seconds=60)
        yield Watched(monitor, {name: commands.get(name) or urls[name] for name in HEALTHY})


def listed(target: list[str] | str, folder) -> set[str]:
    """The tools that the PyPI client lists."""

    async def of(client) -> set[str]:
        return {tool.name for tool in (await client.list_tools()).tools}

    async def body():
        if isinstance(target, str):
            async with Client(target) as client:
                return await of(client)
        async with session.connect(session.Wire(target, folder), "auto") as client:
            return await of(client)

    return session.run(body)


def named(report: dict, name: str) -> dict:
    (component,) = (component for component in report["components"] if component["name"] == name)
    return component


def samples(monitor: Monitor, name: str, *labels: str) -> dict:
    """The values of a sample name by these labels, zeros too."""
    families = monitor.scrape().families().values()
    lines = (line for family in families for line in family.samples if line.name == name)
    return {tuple(line.labels[label] for label in labels): line.value for line in lines}


def availability(monitor: Monitor, server: str) -> dict[str, float]:
    by_pair = samples(monitor, "mcp_tool_availability", "server", "tool_name")
    return {tool: value for (of, tool), value in by_pair.items() if of == server}


def changes(monitor: Monitor) -> dict[str, float]:
    """How the listing of the only server changed since the monitor's start."""
    by_change = samples(monitor, "mcp_tools_list_changes_total", "change", "server")
    return {change: value for (change, _), value in by_change.items()}


@pytest.mark.parametrize("name", HEALTHY)
def test_the_tools_are_those_that_a_client_lists(watched, name, tmp_path):
    tools = listed(watched.targets[name], tmp_path)
    assert tools
    assert availability(watched.monitor, name) == dict.fromkeys(tools, 1)
    component = named(watched.monitor.report(), name)
    counts = component["tools"]
    assert (counts["listed"], counts["available"], counts["unavailable"]) == (len(tools), len(tools), [])
    assert counts["complete"] and component["up"] and component["consecutive_failures"] == 0


def test_the_gauges_say_what_the_report_says(watched):
    monitor = watched.monitor
    expected = {(name, "mcp", name): 1 for name in HEALTHY}
    assert samples(monitor, "mcp_component_up", "component", "kind", "server") == expected
    in_state = samples(monitor, "mcp_component_state", "component", "state")
    current = {name: state for (name, state), value in in_state.items() if value}
    assert current == dict.fromkeys(HEALTHY, "healthy") | {"sse": "unsupported_transport"}
    # Every state of every component has its series, so that a change is seen as one.
    assert len(in_state) == len(current) * len({state for _, state in in_state})


def test_the_scrape_is_clean(watched):
    scrape = watched.monitor.scrape()
    assert promtool_remarks(scrape.text) == ""
    families = scrape.families()
    assert families["mcp_component_up"].type == families["mcp_tool_availability"].type == "gauge"
    assert families["mcp_tools_list_changes"].type == "counter"
    assert all(family.documentation for family in families.values())


def test_a_server_of_the_old_transport_is_unknown_and_never_unhealthy(watched):
    """However often it is checked."""
    monitor, checks = watched.monitor, set()

    def four_checks(report: dict) -> bool:
        old = named(report, "sse")
        assert old["state"] == "unsupported_transport" and old["consecutive_failures"] == 0
        assert "up" not in old and "HTTP+SSE" in old["error"]
        checks.add(old["last_check"])
        return len(checks) >= 4

    overall = monitor.wait_for(four_checks)["overall"]
    assert overall["status"] == "yellow"
    assert [reason for reason in overall["reasons"] if "sse speaks a transport that cannot be probed" in reason]


def texts(message: dict) -> str:
    """What a person reads of a message in Slack's form."""
    blocks = [block for attachment in message["attachments"] for block in attachment["blocks"]]
    return "\n".join([message["text"], *(block["text"]["text"] for block in blocks if block["type"] == "section")])


def test_a_server_that_is_killed_is_told_once_and_so_is_its_recovery(tmp_path):
    port = free_port()
    components = {
        "boutique": {"kind": "mcp", "url": f"http://127.0.0.1:{port}/mcp"},
        "api": {"kind": "http", "url": ""},
    }
    with parties.receiver() as slack, contextlib.ExitStack() as life:
        components["api"]["url"] = slack.url
        config = configuration(tmp_path, components, slack={"webhook_url": f"{slack.url}/hook", "group_seconds": 0})
        server = life.enter_context(parties.everything(tmp_path, port))
        with running_monitor(config) as monitor:
            monitor.wait_for_states({"boutique": "healthy", "api": "healthy"})
            assert slack.posted == []
            parties.kill(server)
            counted_to_three_and_red(monitor)
            told = slack.wait_for("boutique is down")
            assert told["text"] == ":red_circle: boutique is down"
            assert "*boutique*: connection refused" in texts(told)

            with parties.everything(tmp_path, port):
                monitor.wait_for_states({"boutique": "healthy"})
                recovered = slack.wait_for("boutique recovered")
                assert recovered["text"] == ":large_green_circle: boutique recovered"
                assert re.search(r"\*boutique\*: down for (less than a second|(\d+ min )?\d+ s) ", texts(recovered))
                assert monitor.wait_for(lambda report: report["overall"]["status"] == "green")
    # The monitor has ended by now, and would have sent what it still had to say.
    assert slack.posted == [told, recovered]


def counted_to_three_and_red(monitor: Monitor) -> None:
    seen = []

    def is_red(report: dict) -> bool:
        seen.append(named(report, "boutique"))
        return report["overall"]["status"] == "red"

    overall = monitor.wait_for(is_red)["overall"]
    assert any("boutique is unhealthy after" in reason for reason in overall["reasons"])
    # One failure or two are a warning.
    counts = {state: {one["consecutive_failures"] for one in seen if one["state"] == state} for state in states_of(seen)}
    assert list(counts) == ["healthy", "degraded", "unhealthy"]
    assert counts["degraded"] <= {1, 2} and min(counts["unhealthy"]) >= 3


def states_of(components: list[dict]) -> list[str]:
    """The states in the order in which they were first seen."""
    return list(dict.fromkeys(component["state"] for component in components))


def test_a_tool_that_a_restart_lost_is_missed_until_somebody_accepts_it(tmp_path):
    port = free_port()
    config = configuration(tmp_path, {"atelier": {"kind": "mcp", "url": f"http://127.0.0.1:{port}/mcp"}})
    with parties.fastmcp(tmp_path, port, "sew", "cut"), running_monitor(config) as monitor:
        monitor.wait_for_states({"atelier": "healthy"})
        assert availability(monitor, "atelier") == {"sew": 1, "cut": 1}
        assert changes(monitor) == {"added": 0, "changed": 0, "removed": 0}
    # The records are in the state directory.
    with parties.fastmcp(tmp_path, port, "sew"), running_monitor(config) as monitor:
        atelier = monitor.wait_for_states({"atelier": "degraded"})["atelier"]
        assert atelier["warning"] == "tools not available: cut"
        assert atelier["tools"]["unavailable"] == ["cut"] and atelier["up"]
        assert availability(monitor, "atelier") == {"sew": 1, "cut": 0}
        assert changes(monitor) == {"added": 0, "changed": 0, "removed": 1}
        assert any("1 of 2 tools are unavailable: cut" in one for one in monitor.report()["overall"]["reasons"])

        said = monitor.operate("ack", "atelier")
        assert said == "atelier: it is in no trouble; 1 vanished tools forgotten\n"
        monitor.wait_for_states({"atelier": "healthy"})
        assert availability(monitor, "atelier") == {"sew": 1}


def test_who_answers_http_and_is_no_server_for_us_is_called_what_it_is(tmp_path):
    login = "<!doctype html><title>Sign in</title>"
    with (
        parties.receiver(401, "", WWW_Authenticate="Bearer") as locked,
        parties.receiver(200, login, Content_Type="text/html") as website,
        parties.receiver(429, "", Retry_After="7") as busy,
    ):
        places = {"locked": locked, "website": website, "busy": busy}
        components = {name: {"kind": "mcp", "url": f"{place.url}/mcp"} for name, place in places.items()}
        with running_monitor(configuration(tmp_path, components)) as monitor:
            wanted = {"locked": "auth_required", "website": "http_up_mcp_broken", "busy": "rate_limited"}
            report = monitor.wait_for(lambda report: states(report) == wanted)
            assert report["overall"]["status"] == "red"
            found = {component["name"]: component for component in report["components"]}
            assert "up" not in found["busy"], "nothing is known of it"
            up = samples(monitor, "mcp_component_up", "component")
            assert up == {("locked",): 1, ("website",): 0}, "who wants credentials is there"
