"""What is known while a session lives, and how it ends."""

import re
import signal
import subprocess

import anyio
import pytest
from mcp.client.stdio import PROCESS_TERMINATION_TIMEOUT

import clients
import recording
import servers
import session
from conftest import SCENES
from exporter import BINARIES


OPEN = [scene for scene in SCENES if not scene.marks and scene.values[0][1] in clients.MODES]


@pytest.mark.parametrize("scene", OPEN, indirect=True)
def test_an_open_session_is_a_connection_with_a_known_server(scene, exporter, tmp_path):
    server, mode = scene.server, scene.client
    wire = session.tapped(tmp_path / "tapped", server, exporter.url)

    async def body():
        async with session.connect(wire, mode) as client:
            await client.list_tools()
            info = recording.server_info(wire.at_server)
            assert info[2] == clients.agreed(mode, server)
            scrape = await anyio.to_thread.run_sync(
                exporter.wait_for,
                lambda scrape: scrape.values("mcp_server_info", server.name)
                and scrape.values("mcp_active_connections", server.name),
            )
            assert scrape.values("mcp_active_connections", server.name) == {("stdio",): 1}
            assert scrape.values("mcp_server_info", server.name) == {info: 1}

    session.run(body)
    scrape = exporter.wait_for(lambda scrape: not scrape.values("mcp_active_connections", server.name), seconds=5)
    assert not scrape.values("mcp_active_connections", server.name)


def test_the_server_is_named_after_its_command(exporter, repository, tmp_path):
    """The README's first example, with no name given."""
    server = servers.git(repository)
    tap = [str(BINARIES / "mcp-tap"), "--exporter", exporter.url, "--", "mcp-server-git", "--repository", "."]
    wire = session.Wire(tap, repository)
    session.hold(wire, "auto", server)
    scrape = exporter.wait_for_calls("mcp-server-git", server.call_count)
    assert scrape.values("mcp_tool_calls_total", "mcp-server-git") == {
        ("git_status", "success"): 3,
        ("git_log", "success"): 2,
        ("git_show", "error"): 2,
        ("git_status", "error"): 2,
        ("_other", "error"): 2,
    }


def test_stderr_and_exit_code_are_the_servers_own(exporter):
    refused = [str(servers.PYTHON / "mcp-server-time"), "--local-timezone", "Mars/Olympus"]
    tap = [str(BINARIES / "mcp-tap"), "--server", "script", "--exporter", exporter.url, "--"]
    plain, through = (
        subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
        for command in (refused, tap + refused)
    )
    assert plain.returncode == 1 and b"Mars/Olympus" in plain.stderr
    assert (through.returncode, through.stdout, through.stderr) == (plain.returncode, plain.stdout, plain.stderr)


def timeless(log: str) -> str:
    """Without times; fastmcp writes its own only where the second is another than in the line above."""
    log = re.sub(r"^\[\d\d/\d\d/\d\d \d\d:\d\d:\d\d\]", lambda stamp: " " * len(stamp[0]), log, flags=re.MULTILINE)
    return re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME", log)


def test_the_servers_log_reaches_the_clients_terminal(scene, direct, observed):
    assert timeless(observed.wire.stderr) == timeless(direct.stderr)
    if scene.server.name == "server-everything":
        assert "Starting default (STDIO) server..." in observed.wire.stderr


EXITS_WITH_40_PLUS_SIGNAL = """
import signal, sys
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, lambda number, _: sys.exit(40 + number))
print("up", flush=True)
signal.pause()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_reaches_the_server(number, exporter):
    server = [str(servers.PYTHON / "python"), "-c", EXITS_WITH_40_PLUS_SIGNAL]
    tap = [str(BINARIES / "mcp-tap"), "--server", "script", "--exporter", exporter.url, "--"]
    process = subprocess.Popen(tap + server, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdout.readline() == b"up\n"
        process.send_signal(number)
        assert process.wait(timeout=30) == 40 + number
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("ending", ["exit(7)", "os.kill(os.getpid(), 9)"])
def test_the_tap_ends_as_the_server_ended(ending, exporter):
    server = [str(servers.PYTHON / "python"), "-c", f"import os; {ending}"]
    tap = [str(BINARIES / "mcp-tap"), "--server", "script", "--exporter", exporter.url, "--"]
    plain, through = (subprocess.run(command, stdin=subprocess.DEVNULL, timeout=60) for command in (server, tap + server))
    assert through.returncode == plain.returncode


def test_an_exporter_that_is_away_costs_the_client_nothing(repository, tmp_path):
    server = servers.git(repository)
    wire = session.tapped(tmp_path / "tapped", server, "http://127.0.0.1:9")

    async def body():
        async with session.connect(wire, "auto") as client:
            await client.list_tools()
            for ask in server.asks:
                assert await session.answer(client, ask) == ask.status
            left = anyio.current_time()
        # Past its grace the client would send SIGTERM to what has not ended by itself.
        assert anyio.current_time() - left < PROCESS_TERMINATION_TIMEOUT

    session.run(body)
    assert wire.at_client == wire.at_server
    assert len(recording.calls(wire.at_server)) == len(server.asks)
