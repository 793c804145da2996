"""Real clients and real servers over HTTP, with the tap between them: both get what they get
without it, and every call is counted."""

import json
import os
import subprocess
import threading
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest
from mcp import Client, MCPError, types
from mcp.client.sse import sse_client

import parties
import servers
import session
from exporter import BINARIES
from servers import INITIALIZE, MODERN, Ask
from tap import running_tap

# Clients that are programs of their own.
CLIENTS = {
    "1.x": [str(Path(os.environ["MCPMON_E2E_LEGACY"], "python")), str(Path(__file__).parent / "legacy/client.py")],
    "typescript": ["node", str(Path(__file__).parent / "typescript/client.mjs")],
}

FASTMCP_ASKS = [
    Ask("sew", {"length_cm": 3}, times=4),
    Ask("sew", {"length_cm": "much"}, 2, "error", servers.IS_ERROR),
    Ask("rip", {}, 2, "error", servers.IS_ERROR, "_other"),
]


@dataclass(frozen=True)
class Scene:
    """A server over a transport, and the client that speaks to it."""

    server: str
    client: str
    version: str

    @property
    def path(self) -> str:
        return "/sse" if self.server == "sse" else "/mcp"

    @property
    def transport(self) -> str:
        return "sse" if self.server == "sse" else "http"

    @property
    def asks(self) -> list[Ask]:
        return FASTMCP_ASKS if self.server == "fastmcp" else servers.everything().asks

    def start(self, folder: Path, port: int):
        if self.server == "fastmcp":
            return parties.fastmcp(folder, port, "sew")
        return parties.everything(folder, port, self.server)


SCENES = [
    Scene("streamableHttp", "legacy", INITIALIZE),
    Scene("streamableHttp", "auto", INITIALIZE),
    Scene("streamableHttp", "1.x", INITIALIZE),
    Scene("streamableHttp", "typescript", INITIALIZE),
    Scene("sse", "legacy", INITIALIZE),
    Scene("sse", "1.x", INITIALIZE),
    Scene("sse", "typescript", INITIALIZE),
    Scene("fastmcp", "legacy", INITIALIZE),
    Scene("fastmcp", "auto", MODERN),
    Scene("fastmcp", "1.x", INITIALIZE),
    Scene("fastmcp", "typescript", INITIALIZE),
]


def connect(scene: Scene, url: str, **options) -> Client:
    mode = "auto" if scene.client == "auto" else "legacy"
    return Client(sse_client(url) if scene.server == "sse" else url, mode=mode, **options)


async def ask(client: Client, one: Ask) -> list:
    try:
        result = await client.call_tool(one.tool, one.arguments)
    except MCPError as error:
        return ["error", error.error.message]
    content = [block.model_dump(mode="json", exclude_none=True) for block in result.content]
    return ["error" if result.is_error else "success", content]


def run_client(client: str, calls: list[Ask], *target: str) -> list:
    """What a program of its own gets from a server: its tools, and an answer to each call."""
    asked = json.dumps([[one.tool, one.arguments] for one in calls])
    done = subprocess.run([*CLIENTS[client], *target], input=asked, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def hold(scene: Scene, url: str) -> list:
    """A whole session: the tools, and what each call gave."""
    calls = [one for one in scene.asks for _ in range(one.times)]
    if scene.client in CLIENTS:
        return run_client(scene.client, calls, scene.transport, url)

    async def body():
        async with connect(scene, url) as client:
            assert client.protocol_version == scene.version
            tools = sorted(tool.name for tool in (await client.list_tools()).tools)
            return [tools, [await ask(client, one) for one in calls]]

    return session.run(body)


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: f"{scene.server}-{scene.client}")
def test_a_session_is_the_one_held_without_the_tap_and_is_counted(scene, exporter, tmp_path):
    port = parties.free_port()
    with (
        scene.start(tmp_path, port),
        running_tap(exporter.url, f"shop=http://127.0.0.1:{port}{scene.path}") as tap,
    ):
        direct = hold(scene, f"http://127.0.0.1:{port}{scene.path}")
        assert hold(scene, tap + scene.path) == direct
        assert [answer[0] for answer in direct[1]] == [one.status for one in scene.asks for _ in range(one.times)]

        calls, errors = Counter(), Counter()
        for one in scene.asks:
            calls[one.label, one.status] += one.times
            if one.error:
                errors[one.error[0], one.label, one.error[1]] += one.times
        scrape = exporter.wait_for_calls("shop", calls.total())
        assert scrape.values("mcp_tool_calls_total", "shop") == calls
        assert scrape.values("mcp_errors_total", "shop") == errors
        assert not scrape.values("mcp_tap_events_dropped_total", "shop")
        # The client has left, and with it what it had open.
        for gauge in ("mcp_active_connections", "mcp_tool_inflight"):
            scrape = exporter.wait_for(lambda scrape: not scrape.values(gauge, "shop"))
            assert not scrape.values(gauge, "shop")


def test_the_typescript_client_over_stdio(exporter):
    server = servers.everything()
    calls = [one for one in server.asks for _ in range(one.times)]
    tap = [str(BINARIES / "mcp-tap"), "--server", "shop", "--exporter", exporter.url, "--"]
    direct, tapped = (run_client("typescript", calls, "stdio", *way, *server.command) for way in ([], tap))
    assert tapped == direct
    assert [answer[0] for answer in direct[1]] == [one.status for one in calls]
    scrape = exporter.wait_for_calls("shop", server.call_count)
    assert scrape.values("mcp_tool_calls_total", "shop") == Counter((one.label, one.status) for one in calls)
    assert not scrape.values("mcp_tap_events_dropped_total", "shop")


# Since 2026-07-28 there is nothing that stays open.
STAYING = [scene for scene in SCENES if scene.client not in CLIENTS and scene.version != MODERN]


@pytest.mark.parametrize("scene", STAYING, ids=lambda scene: f"{scene.server}-{scene.client}")
def test_an_open_session_is_a_connection(scene, exporter, tmp_path):
    port = parties.free_port()
    with (
        scene.start(tmp_path, port),
        running_tap(exporter.url, f"shop=http://127.0.0.1:{port}{scene.path}") as tap,
    ):

        async def body():
            async with connect(scene, tap + scene.path) as client:
                await client.list_tools()
                scrape = await anyio.to_thread.run_sync(
                    exporter.wait_for, lambda scrape: scrape.values("mcp_active_connections", "shop")
                )
                assert scrape.values("mcp_active_connections", "shop") == {(scene.transport,): 1}

        session.run(body)


@pytest.mark.parametrize("server", ["streamableHttp", "sse"])
def test_a_server_asks_its_client_through_the_tap(server, exporter, tmp_path):
    scene, port = Scene(server, "legacy", INITIALIZE), parties.free_port()
    asked = threading.Event()

    async def sample(context, params) -> types.CreateMessageResult:
        asked.set()
        content = types.TextContent(type="text", text="silk")
        return types.CreateMessageResult(role="assistant", content=content, model="none")

    with (
        scene.start(tmp_path, port),
        running_tap(exporter.url, f"shop=http://127.0.0.1:{port}{scene.path}") as tap,
    ):

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
