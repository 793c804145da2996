"""The official conformance suites find in a server behind the tap what they find in it without: check by
check the same passes and the same failures, with the same words."""

import contextlib
import subprocess
from collections import Counter
from pathlib import Path

import pytest

import conformance
import parties
from test_http import running_tap

SERVERS = ["everything", "fastmcp", "fixture"]

# These three go through all that the suites can ask; the others are for `make conformance`.
ALWAYS = {("fixture", suite) for suite in conformance.SUITES}

PAIRS = [
    pytest.param(server, suite, id=f"{server}-{suite}", marks=[] if (server, suite) in ALWAYS else [pytest.mark.thorough])
    for server in SERVERS
    for suite in conformance.SUITES
]


def start(server: str, folder: Path, port: int):
    if server == "everything":
        return parties.everything(folder, port)
    if server == "fastmcp":
        return parties.fastmcp(folder, port, "sew")
    return parties.fixture(folder, port)


def finish(running: subprocess.Popen, seconds: float = 110) -> None:
    try:
        assert running.wait(timeout=seconds) in (0, 1)
    finally:
        parties.kill(running)


def expected(direct: dict[str, list]) -> dict[str, list]:
    """What is to be found through the tap: the same, and protection against DNS rebinding, which it gives
    to a server that has none of its own."""
    return {
        scenario: [
            [name, "SUCCESS", ""] if name == "localhost-host-rebinding-rejected" else [name, status, error]
            for name, status, error in found
        ]
        for scenario, found in direct.items()
    }


@pytest.mark.parametrize("server,suite", PAIRS)
def test_the_suite_finds_the_same_through_the_tap(server, suite, exporter, tmp_path):
    ports = parties.free_port(), parties.free_port()
    with contextlib.ExitStack() as running:
        # A server for each, so that neither finds what the other has left.
        for port in ports:
            running.enter_context(start(server, tmp_path, port))
        urls = {
            "direct": f"http://127.0.0.1:{ports[0]}/mcp",
            "tapped": running.enter_context(running_tap(exporter.url, f"shop=http://127.0.0.1:{ports[1]}/mcp")) + "/mcp",
        }
        suites = [conformance.start(suite, url, tmp_path / name) for name, url in urls.items()]
        for one in suites:
            finish(one)
        direct, tapped = (conformance.checks(tmp_path / name, url) for name, url in urls.items())
        assert tapped == expected(direct)

        summary = Counter(status for found in tapped.values() for _, status, _ in found)
        print(f"{server}, {suite}: {len(tapped)} scenarios, {dict(summary)}")
        scrape = exporter.wait_for_calls("shop", 1)
        assert scrape.values("mcp_tool_calls_total", "shop")
        assert not scrape.values("mcp_tap_events_dropped_total", "shop")
