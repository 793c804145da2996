"""A client in front of a server over stdio: directly, or through the tap between two recorders."""

import contextlib
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import anyio
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.stdio import stdio_client

import clients
from exporter import BINARIES
from recording import Recording
from servers import PYTHON, Ask, Server

RECORDER = Path(__file__).with_name("recorder.py")


def record(file: Path, command: list[str]) -> list[str]:
    return [sys.executable, str(RECORDER), str(file), "--", *command]


@dataclass(frozen=True)
class Wire:
    """How the client reaches the server, and where the recorders write."""

    command: list[str]
    folder: Path

    @property
    def at_client(self) -> Recording:
        return Recording.read(self.folder / "client-side")

    @property
    def at_server(self) -> Recording:
        return Recording.read(self.folder / "server-side")

    @property
    def stderr(self) -> str:
        return (self.folder / "stderr").read_text()


def direct(folder: Path, server: Server) -> Wire:
    folder.mkdir(exist_ok=True)
    return Wire(record(folder / "server-side", server.command), folder)


def tapped(folder: Path, server: Server, exporter_url: str) -> Wire:
    folder.mkdir(exist_ok=True)
    tap = [str(BINARIES / "mcp-tap"), "--server", server.name, "--exporter", exporter_url, "--"]
    return Wire(record(folder / "client-side", tap + record(folder / "server-side", server.command)), folder)


@contextlib.asynccontextmanager
async def connect(wire: Wire, mode: str) -> AsyncIterator[Client]:
    command, *arguments = wire.command
    environment = os.environ | {"PATH": f"{PYTHON}:{os.environ['PATH']}"}
    parameters = StdioServerParameters(command=command, args=arguments, env=environment, cwd=wire.folder)
    with (wire.folder / "stderr").open("a") as stderr:
        async with Client(stdio_client(parameters, errlog=stderr), mode=mode) as client:
            yield client


async def answer(client: Client, ask: Ask) -> str:
    """Makes one call; returns what the client's author would see: success or error."""
    try:
        result = await client.call_tool(ask.tool, ask.arguments)
    except MCPError:
        return "error"
    return "error" if result.is_error else "success"


async def converse(wire: Wire, mode: str, server: Server) -> None:
    async with connect(wire, mode) as client:
        assert client.protocol_version == clients.agreed(mode, server)
        assert (await client.list_tools()).tools
        for ask in server.calls:
            assert await answer(client, ask) == ask.status, ask


def hold(wire: Wire, client: str, server: Server) -> None:
    """A whole session: lists the tools, makes every call in turn, closes."""
    if client in clients.MODES:
        return run(converse, wire, client, server)
    with (wire.folder / "stderr").open("a") as stderr:
        tools, answers = clients.run(client, server.calls, "stdio", *wire.command, cwd=wire.folder, stderr=stderr)
    assert tools
    assert [answer[0] for answer in answers] == [ask.status for ask in server.calls]


def run(function, *arguments):
    """Runs an async test body to its end."""
    return anyio.run(function, *arguments)
