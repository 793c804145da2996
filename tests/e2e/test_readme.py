"""The changes that the README asks for, word for word and in the form in which each client has them, and
what `mcp-tap wrap` makes of the same: real clients use it, and what they did is counted."""

import json
import os
import re
import shlex
import subprocess
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest
from mcp import Client, StdioServerParameters

import parties
import servers
import session
from exporter import BINARIES, Exporter
from servers import FASTMCP, PYTHON, Ask

README = Path(__file__).parents[2] / "README.md"
SECTION = README.read_text().split("## Watch your own server\n")[1].split("\n## ")[0]

# How the README calls what each client reads.
FORMS = {
    "claude": "Claude Desktop, `claude_desktop_config.json`",
    "cursor": "Cursor, `~/.cursor/mcp.json`",
    "vscode": "VS Code, `.vscode/mcp.json`",
    "python": "A client in Python",
}

# Where `mcp-tap wrap` looks for it, on Linux.
FILES = {
    "claude": ".config/Claude/claude_desktop_config.json",
    "cursor": ".cursor/mcp.json",
    "vscode": ".config/Code/User/mcp.json",
}


def change(form: str) -> tuple[str, str]:
    """What stands there before and after."""
    found = re.search(re.escape(FORMS[form]) + r"[^\n]*:\n\n```diff\n(.*?)```", SECTION, re.DOTALL)
    assert found, f"the README shows no change for {FORMS[form]}"
    lines = found[1].splitlines()
    # One line for each server.
    assert len([line for line in lines if line[0] == "+"]) == len([line for line in lines if line[0] == "-"])
    before, after = ("\n".join(line[1:] for line in lines if line[0] in kept) for kept in (" -", " +"))
    return before, after


@dataclass(frozen=True)
class Place:
    """Where the README's words are true: its programs are on the path, and its server and tap listen."""

    repository: Path
    ports: dict[str, int]

    def put(self, words: str) -> str:
        """The README's words with this place's ports."""
        for port, real in self.ports.items():
            words = words.replace(f"127.0.0.1:{port}", f"127.0.0.1:{real}")
        return words

    def asks(self, name: str) -> list[Ask]:
        return servers.FASTMCP_ASKS if name == "shop" else servers.git(self.repository).asks


def write_program(file: Path, text: str) -> None:
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)


@pytest.fixture(scope="module")
def ports(tmp_path_factory) -> Iterator[dict[str, int]]:
    """The README's ports, and free ones in their place; on the first the server listens."""
    ports = {"8000": parties.free_port(), "8080": parties.free_port()}
    with parties.fastmcp(tmp_path_factory.mktemp("shop"), ports["8000"], "sew"):
        yield ports


@pytest.fixture
def place(exporter, repository, ports, tmp_path, monkeypatch) -> Place:
    programs = tmp_path / "bin"
    programs.mkdir()
    # It would ask PyPI for what is installed here.
    write_program(programs / "uvx", 'exec "$@"')
    # Clients give their servers little of their environment.
    tap = shlex.quote(str(BINARIES / "mcp-tap"))
    write_program(programs / "mcp-tap", f'MCP_EXPORTER_URL={exporter.url} exec {tap} "$@"')
    monkeypatch.setenv("PATH", f"{programs}:{PYTHON}:{os.environ['PATH']}")
    monkeypatch.chdir(repository)
    return Place(repository, ports)


def over_http(place: Place, folder: Path, command: str) -> AbstractContextManager:
    """Runs a command line that starts a tap on the README's port."""
    words = shlex.split(place.put(command).replace("target/release/", ""))
    return parties.program(folder, words, place.ports["8080"])


def clients(form: str, text: str) -> dict[str, Client]:
    """A client for each server that the text names."""
    if form == "python":
        scope = {}
        exec(text, {"Client": Client, "StdioServerParameters": StdioServerParameters}, scope)
        return scope
    named = json.loads(text)["servers" if form == "vscode" else "mcpServers"]
    if form == "vscode":
        assert all(entry.pop("type") == ("http" if "url" in entry else "stdio") for entry in named.values())
    return {name: Client(entry.get("url") or StdioServerParameters(**entry)) for name, entry in named.items()}


def use(client: Client, asks: list[Ask]) -> list:
    """What the client gets: the tools, and success or error for each call."""

    async def body():
        async with client:
            tools = [tool.name for tool in (await client.list_tools()).tools]
            return [tools, [await session.answer(client, ask) for ask in asks for _ in range(ask.times)]]

    return session.run(body)


def assert_counted(exporter: Exporter, server: str, asks: list[Ask]) -> None:
    expected = Counter()
    for ask in asks:
        expected[ask.label, ask.status] += ask.times
    scrape = exporter.wait_for_calls(server, expected.total())
    assert scrape.values("mcp_tool_calls_total", server) == expected


@pytest.mark.parametrize("form", FORMS)
def test_the_change_puts_the_tap_in_front_and_changes_nothing_else(form, place, exporter, tmp_path):
    before, after = (clients(form, place.put(text)) for text in change(form))
    assert before.keys() == after.keys() and before.keys() == ({"git"} if form == "claude" else {"git", "shop"})
    (command,) = re.findall(r"^\$ (.*mcp-tap --listen.*)$", SECTION, re.MULTILINE)
    with over_http(place, tmp_path, command), ThreadPoolExecutor() as hands:
        got = [
            {name: hands.submit(use, client, place.asks(name)) for name, client in named.items()}
            for named in (before, after)
        ]
        for name in before:
            assert got[1][name].result() == got[0][name].result()
            # It was called without the tap, too, and is counted once.
            assert_counted(exporter, {"git": "mcp-server-git"}.get(name, name), place.asks(name))


def use_file(place: Place, named: dict, file: Path) -> Counter:
    """What a client that reads configurations calls: how often which server, tool and with what end."""
    # fastmcp reads Claude Desktop's form, whose entries are VS Code's as well.
    file.write_text(json.dumps({"mcpServers": named}))
    # Where there are several servers, it puts a server's name before the names of its tools.
    before = {name: f"{name}_" if len(named) > 1 else "" for name in named}
    # A call that succeeds and one that does not, for it opens a session of its own for each.
    asks = {name: {ask.status: ask for ask in place.asks(name) if not ask.counted_as} for name in named}
    calls = [(name, ask) for name in named for ask in asks[name].values()]
    done = subprocess.run(
        [FASTMCP[0], str(Path(__file__).parent / "fastmcp/client.py"), str(file)],
        input=json.dumps([[before[name] + ask.tool, ask.arguments] for name, ask in calls]),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=100,
    )
    tools, answers = json.loads(done.stdout)
    assert {before[name] + ask.tool for name, ask in calls} <= set(tools)
    assert answers == [ask.status for _, ask in calls]
    return Counter((name, ask.tool, ask.status) for name, ask in calls)


def test_a_client_uses_the_configurations_that_wrapping_wrote(place, exporter, tmp_path):
    home = tmp_path / "home"
    files = {form: home / file for form, file in FILES.items()}
    for form, file in files.items():
        file.parent.mkdir(parents=True)
        file.write_text(place.put(change(form)[0]))
    wrap = [BINARIES / "mcp-tap", "wrap", "--exporter", exporter.url]
    said = subprocess.run(wrap, env={"HOME": str(home)}, stdout=subprocess.PIPE, text=True, check=True).stdout
    # Twice, for Cursor and for VS Code: what to do about the server that is asked over HTTP.
    advice = set(re.findall(r"Run `(.*?)` and write http://(\S+) in place of its scheme and host", said))
    ((command, address),) = advice
    used = Counter()
    with over_http(place, tmp_path, command), ThreadPoolExecutor() as hands:
        using = []
        for form, file in files.items():
            text = file.read_text().replace(f"127.0.0.1:{place.ports['8000']}", place.put(address))
            named = json.loads(text)["servers" if form == "vscode" else "mcpServers"]
            assert "--" in named["git"]["args"] and named["git"]["command"] == str(BINARIES / "mcp-tap")
            using.append(hands.submit(use_file, place, named, tmp_path / f"{form}.json"))
        for one in using:
            used += one.result()
        for server in ("git", "shop"):
            expected = Counter({(tool, end): count for (name, tool, end), count in used.items() if name == server})
            scrape = exporter.wait_for_calls(server, expected.total())
            assert scrape.values("mcp_tool_calls_total", server) == expected
