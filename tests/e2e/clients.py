"""The clients that put a server to use: PyPI's mcp 2.x, which runs in the tests' own process, and programs
made with other SDKs."""

import json
import os
import subprocess
from pathlib import Path

import conformance
from exporter import BINARIES
from servers import INITIALIZE, LEGACY, MODERN, Ask, Server

HERE = Path(__file__).parent

# The modes of PyPI's mcp 2.x: `auto` asks `server/discover` first and falls back to `initialize`.
MODES = ["legacy", "auto"]

PROGRAMS = {
    "1.x": [str(LEGACY / "python"), str(HERE / "legacy/client.py")],
    "typescript": ["node", str(HERE / "typescript/client.mjs")],
    # It wants Node 20, which not every system has.
    "typescript-2": [conformance.node(), str(HERE / "typescript/client2.mjs")],
    "rmcp": [str(BINARIES / "examples/rmcp_client")],
}

# The newest revision that each speaks.
NEWEST = {"legacy": INITIALIZE, "auto": MODERN, "1.x": INITIALIZE, "typescript": INITIALIZE} | {
    "typescript-2": MODERN,
    "rmcp": MODERN,
}


def agreed(client: str, server: Server) -> str:
    """The revision that the two speak with one another."""
    return min(NEWEST[client], server.newest)


def run(client: str, calls: list[Ask], transport: str, *target: str, **options) -> list:
    """What a program gets from a server: its tools, and for each call success or error, and with what."""
    asked = json.dumps([[one.tool, one.arguments, *["task"] * one.as_task] for one in calls])
    done = subprocess.run(
        [*PROGRAMS[client], transport, *target],
        input=asked,
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
        check=True,
        env=os.environ | {"NODE_NO_WARNINGS": "1"},
        **options,
    )
    return json.loads(done.stdout)
