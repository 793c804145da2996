"""The official conformance suites find in a server behind the tap what they find in it without: check by
check the same passes and the same failures, with the same words."""

import contextlib
from collections import Counter
from pathlib import Path

import pytest

import conformance
import parties
from test_http import running_tap

# The fixture goes through all that the suites can ask; the others are for `make conformance`.
SERVERS = ["fixture", *(pytest.param(name, marks=pytest.mark.thorough) for name in ("everything", "fastmcp"))]


def start(server: str, folder: Path, port: int):
    if server == "everything":
        return parties.everything(folder, port)
    if server == "fastmcp":
        return parties.fastmcp(folder, port, "sew")
    return parties.fixture(folder, port)


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


@pytest.mark.parametrize("server", SERVERS)
def test_the_suites_find_the_same_through_the_tap(server, exporter, tmp_path):
    ports = parties.free_port(), parties.free_port()
    with contextlib.ExitStack() as running:
        # A server for each, so that neither finds what the other has left.
        for port in ports:
            running.enter_context(start(server, tmp_path, port))
        tap = running.enter_context(running_tap(exporter.url, f"shop=http://127.0.0.1:{ports[1]}/mcp"))
        urls = {"direct": f"http://127.0.0.1:{ports[0]}/mcp", "tapped": f"{tap}/mcp"}

        # The suites mostly wait, so they run at the same time.
        runs = [(suite, way) for suite in conformance.SUITES for way in urls]
        begun = [conformance.start(suite, urls[way], tmp_path / f"{suite}-{way}") for suite, way in runs]
        for one in begun:
            running.callback(parties.kill, one)
        for one in begun:
            assert one.wait(timeout=100) in (0, 1)

        found = {(suite, way): conformance.checks(tmp_path / f"{suite}-{way}", urls[way]) for suite, way in runs}
        for suite in conformance.SUITES:
            assert found[suite, "tapped"] == expected(found[suite, "direct"]), suite
            summary = Counter(status for checks in found[suite, "tapped"].values() for _, status, _ in checks)
            print(f"{server}, {suite}: {len(found[suite, 'tapped'])} scenarios, {dict(summary)}")

        scrape = exporter.wait_for_calls("shop", 1)
        assert scrape.values("mcp_tool_calls_total", "shop")
        assert not scrape.values("mcp_tap_events_dropped_total", "shop")
