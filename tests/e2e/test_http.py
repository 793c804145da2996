"""Real clients and real servers over HTTP, with the tap between them: both get what they get
without it, and every call is counted."""

import contextlib
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import anyio
import pytest
from mcp import Client, MCPError, types
from mcp.client.sse import sse_client

import clients
import parties
import servers
import session
from exporter import Exporter, Scrape
from servers import MODERN, Ask
from tap import running_tap

STARTS = {
    "everything": parties.everything,
    "sse": lambda folder, port: parties.everything(folder, port, "sse"),
    "fastmcp": lambda folder, port: parties.fastmcp(folder, port, "sew"),
    "boutique": parties.boutique,
}


@dataclass(frozen=True)
class Scene:
    """A server, by its name, and the client that speaks to it."""

    name: str
    client: str

    @property
    def path(self) -> str:
        return "/sse" if self.name == "sse" else "/mcp"

    @property
    def transport(self) -> str:
        return "sse" if self.name == "sse" else "http"

    @property
    def server(self) -> servers.Server:
        return servers.everything() if self.name == "sse" else getattr(servers, self.name)()

    @property
    def version(self) -> str:
        return clients.agreed(self.client, self.server)


def scenes(names: str, *who: str) -> list[Scene]:
    return [Scene(name, client) for name in names.split() for client in who]


SCENES = [
    *scenes("everything fastmcp boutique", *clients.NEWEST),
    # rmcp has no client for it any more.
    *scenes("sse", "legacy", "1.x", "typescript", "typescript-2"),
]


@pytest.fixture(scope="module")
def ports(tmp_path_factory) -> Iterator[Callable[[str], int]]:
    """Starts each server once, and says where it listens."""
    with contextlib.ExitStack() as running:
        known = {}

        def port(name: str) -> int:
            if name not in known:
                known[name] = parties.free_port()
                running.enter_context(STARTS[name](tmp_path_factory.mktemp(name), known[name]))
            return known[name]

        yield port


def connect(scene: Scene, url: str, **options) -> Client:
    return Client(sse_client(url) if scene.transport == "sse" else url, mode=scene.client, **options)


async def ask(client: Client, one: Ask) -> list:
    try:
        result = await client.call_tool(one.tool, one.arguments)
    except MCPError as error:
        return ["error", error.error.message]
    content = [block.model_dump(mode="json", exclude_none=True) for block in result.content]
    return ["error" if result.is_error else "success", content]


def hold(scene: Scene, url: str) -> list:
    """A whole session: the tools, and what each call gave."""
    calls = scene.server.calls
    if scene.client in clients.PROGRAMS:
        return clients.run(scene.client, calls, scene.transport, url)

    async def body():
        async with connect(scene, url) as client:
            assert client.protocol_version == scene.version
            tools = sorted(tool.name for tool in (await client.list_tools()).tools)
            return [tools, [await ask(client, one) for one in calls]]

    return session.run(body)


def parameter(scene: Scene):
    # These two wait for one another for 7 s, without the tap, too.
    marks = [pytest.mark.thorough] if scene == Scene("boutique", "typescript") else []
    return pytest.param(scene, id=f"{scene.name}-{scene.client}", marks=marks)


@pytest.mark.parametrize("scene", [parameter(scene) for scene in SCENES])
def test_a_session_is_the_one_held_without_the_tap_and_is_counted(scene, ports, exporter):
    port, asks = ports(scene.name), scene.server.asks
    with (
        running_tap(exporter.url, f"shop=http://127.0.0.1:{port}{scene.path}") as tap,
        ThreadPoolExecutor() as both,
    ):
        tapped = both.submit(hold, scene, tap + scene.path)
        direct = hold(scene, f"http://127.0.0.1:{port}{scene.path}")
        assert tapped.result() == direct
        assert [answer[0] for answer in direct[1]] == [one.status for one in scene.server.calls]

        calls, errors = Counter(), Counter()
        for one in asks:
            calls[one.label, one.status] += one.times
            if one.error:
                errors[one.error[0], one.label, one.error[1]] += one.times
        scrape = exporter.wait_for_calls("shop", calls.total())
        assert scrape.values("mcp_tool_calls_total", "shop") == calls
        assert scrape.values("mcp_errors_total", "shop") == errors
        assert not scrape.values("mcp_tap_events_dropped_total", "shop")
        assert [version for _, _, version in scrape.values("mcp_server_info", "shop")] == [scene.version]
        # The client has left, and with it what it had open.
        nothing_is_open(exporter)


# Since 2026-07-28 there is nothing that stays open.
STAYING = [scene for scene in SCENES if scene.client in clients.MODES and scene.version != MODERN]


@pytest.mark.parametrize("scene", STAYING, ids=lambda scene: f"{scene.name}-{scene.client}")
def test_an_open_session_is_a_connection(scene, ports, exporter):
    with running_tap(exporter.url, f"shop=http://127.0.0.1:{ports(scene.name)}{scene.path}") as tap:

        async def body():
            async with connect(scene, tap + scene.path) as client:
                await client.list_tools()
                scrape = await anyio.to_thread.run_sync(
                    exporter.wait_for, lambda scrape: scrape.values("mcp_active_connections", "shop")
                )
                assert scrape.values("mcp_active_connections", "shop") == {(scene.transport,): 1}

        session.run(body)


@pytest.mark.parametrize("name", ["everything", "sse"])
def test_a_server_asks_its_client_through_the_tap(name, ports, exporter):
    scene = Scene(name, "legacy")
    asked = threading.Event()

    async def sample(context, params) -> types.CreateMessageResult:
        asked.set()
        content = types.TextContent(type="text", text="silk")
        return types.CreateMessageResult(role="assistant", content=content, model="none")

    with running_tap(exporter.url, f"shop=http://127.0.0.1:{ports(name)}{scene.path}") as tap:

        async def body():
            async with connect(scene, tap + scene.path, sampling_callback=sample) as client:
                await client.list_tools()
                arguments = {"prompt": "a fabric", "maxTokens": 5}
                result = await client.call_tool("trigger-sampling-request", arguments)
                assert "silk" in result.content[0].text

        session.run(body)
        assert asked.is_set()
        key = ("sampling/createMessage", "")
        sample_name = "mcp_server_operation_duration_seconds_count"
        scrape = exporter.wait_for(lambda scrape: scrape.values(sample_name, "shop")[key])
        assert scrape.values(sample_name, "shop")[key] == 1


RULES = """
[[tap.agents]]
tools = ["simulate-*"]
agent = "researcher"
category = "studio"
"""


def test_a_task_is_one_call_up_to_its_result_where_its_rules_apply(ports, exporter, tmp_path):
    """Its status says that it is over, and its result is fetched after that."""
    scene, tool = Scene("everything", "typescript"), "simulate-research-query"
    (tmp_path / "rules.toml").write_text(RULES)
    upstream = f"shop=http://127.0.0.1:{ports(scene.name)}{scene.path}"
    with running_tap(exporter.url, upstream, "--config", str(tmp_path / "rules.toml")) as tap:
        calls = [Ask(tool, {"topic": "silk"}, as_task=True)]
        tools, answers = clients.run(scene.client, calls, scene.transport, tap + scene.path)
        assert tool in tools and answers[0][0] == "success" and "silk" in json.dumps(answers[0][1])
        scrape = exporter.wait_for(lambda scrape: scrape.values("mcp_agent_usage_total", "shop"))
        assert scrape.values("mcp_agent_usage_total", "shop") == {("researcher", "studio"): 1}
        assert scrape.values("mcp_tool_calls_total", "shop") == {(tool, "success"): 1}
        # Not the moment in which it was accepted.
        assert scrape.values("mcp_request_duration_seconds_sum", "shop")[tool,] > 1
        nothing_is_open(exporter)


SLOW_CALLS = {
    "boutique": ("generate_3d_from_text", {"prompt": "a hat"}),
    "everything": ("trigger-long-running-operation", {"duration": 600, "steps": 6000}),
    "sse": ("trigger-long-running-operation", {"duration": 600, "steps": 6000}),
}


def begun(exporter: Exporter, tool: str) -> None:
    in_flight = exporter.wait_for(lambda scrape: scrape.values("mcp_tool_inflight", "shop"))
    assert in_flight.values("mcp_tool_inflight", "shop") == {(tool,): 1}


def nothing_is_open(exporter: Exporter) -> Scrape:
    for gauge in ("mcp_active_connections", "mcp_tool_inflight"):
        scrape = exporter.wait_for(lambda scrape: not scrape.values(gauge, "shop"))
        assert not scrape.values(gauge, "shop")
    return scrape


@pytest.mark.parametrize(("name", "mode"), [("boutique", "auto"), ("sse", "legacy")])
def test_a_call_whose_server_is_killed_has_failed(name, mode, exporter, tmp_path):
    scene, port, (tool, arguments) = Scene(name, mode), parties.free_port(), SLOW_CALLS[name]
    start = {"boutique": lambda: parties.boutique(tmp_path, port, 100), "sse": lambda: STARTS["sse"](tmp_path, port)}
    with (
        start[name]() as process,
        running_tap(exporter.url, f"shop=http://127.0.0.1:{port}{scene.path}") as tap,
    ):

        async def kill():
            await anyio.to_thread.run_sync(begun, exporter, tool)
            process.kill()

        async def body():
            async with connect(scene, tap + scene.path) as client, anyio.create_task_group() as group:
                await client.list_tools()
                group.start_soon(kill)
                with pytest.raises(MCPError):
                    await client.call_tool(tool, arguments)

        session.run(body)
        scrape = nothing_is_open(exporter)
        assert scrape.values("mcp_tool_calls_total", "shop") == {(tool, "error"): 1}
        ((kind, _, reason),) = scrape.values("mcp_errors_total", "shop")
        assert kind == "transport_error" and reason in ("eof", "reset")


@pytest.mark.parametrize("name", SLOW_CALLS)
def test_a_client_that_waits_no_longer_is_a_timeout_where_it_says_so(name, ports, exporter):
    scene, (tool, arguments) = Scene(name, "legacy"), SLOW_CALLS[name]
    with running_tap(exporter.url, f"shop=http://127.0.0.1:{ports(name)}{scene.path}") as tap:

        async def body():
            async with connect(scene, tap + scene.path) as client:
                await client.list_tools()
                with pytest.raises(MCPError, match="timed out"):
                    await client.call_tool(tool, arguments, read_timeout_seconds=0.5)
                # What it said when it gave up is sent before this.
                await client.list_tools()

        session.run(body)
        scrape = exporter.wait_for_calls("shop", 1)
        assert scrape.values("mcp_tool_calls_total", "shop") == {(tool, "timeout"): 1}
        assert scrape.values("mcp_timeouts_total", "shop") == {(tool,): 1}
        nothing_is_open(exporter)
