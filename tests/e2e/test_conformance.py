"""The official conformance suites find in a server behind the tap what they find in it without, and so they
do in a client: check by check the same passes and the same failures, with the same words."""

import contextlib
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import conformance
import parties
from exporter import read_until
from tap import running_tap

# The fixture goes through all that the suites can ask; the others are for `make conformance`.
SERVERS = ["fixture", *(pytest.param(name, marks=pytest.mark.thorough) for name in ("everything", "fastmcp"))]

CLIENT = [sys.executable, str(conformance.HERE / "client.py")]
TYPESCRIPT = ["node", str(conformance.HERE / "client.mjs")]
BEHIND_TAP = [sys.executable, str(conformance.HERE / "behind_tap.py")]

# Client scenarios that go through most of what a proxy can spoil: a resumed stream, signing in, several
# rounds, headers of the client's own. `make conformance` has all.
SCENARIOS = {
    "0.2-2025-11-25": ["sse-retry", "auth/scope-step-up"],
    "0.2-2026-07-28": ["sep-2322-client-request-state", "http-custom-headers"],
}
TYPESCRIPT_SCENARIOS = {
    "0.1-all": ["initialize", "tools_call", "elicitation-sep1034-client-defaults", "sse-retry"],
    "0.2-2025-11-25": ["initialize", "tools_call", "elicitation-sep1034-client-defaults", "sse-retry"],
}
# Each with the calls that its client makes in all of them, by how they end: one is not allowed to, and signs
# in once more.
CLIENTS = [
    pytest.param(CLIENT, SCENARIOS, {"success": 8, "error": 1}, id="python"),
    pytest.param(TYPESCRIPT, TYPESCRIPT_SCENARIOS, {"success": 6}, id="typescript", marks=pytest.mark.thorough),
]


def start(server: str, folder: Path, port: int):
    if server == "everything":
        return parties.everything(folder, port)
    if server == "fastmcp":
        return parties.fastmcp(folder, port, "sew")
    return parties.fixture(folder, port)


def only(suite: str, scenario: str) -> list[str]:
    """That scenario of a suite, at its revision."""
    package, *_, revision = conformance.SUITES[suite]
    return [package, "--scenario", scenario, *(["--spec-version", revision] if revision != "all" else [])]


@contextlib.contextmanager
def all_ended(begun: Iterator[subprocess.Popen], seconds: float):
    """Suites that run at the same time, for they mostly wait."""
    with contextlib.ExitStack() as running:
        processes = []
        for one in begun:
            running.callback(parties.kill, one)
            processes.append(one)
        for one in processes:
            assert one.wait(timeout=seconds) in (0, 1)
        yield


def expected(direct: conformance.Found) -> conformance.Found:
    """What is to be found through the tap: the same, and protection against DNS rebinding, which it gives
    to a server that has none of its own."""
    return {
        scenario: [
            [name, "SUCCESS", ""] if name == "localhost-host-rebinding-rejected" else [name, status, error]
            for name, status, error in found
        ]
        for scenario, found in direct.items()
    }


def run_suites(folder: Path, urls: dict[str, str], suites: dict[str, list[str]], seconds: float = 100) -> dict:
    """What each suite found on each way to a server, by both."""
    runs = [(suite, way) for suite in suites for way in urls]
    begun = (
        conformance.ask_server(urls[way], suites[suite], folder / f"{suite}-{way}") for suite, way in runs
    )
    with all_ended(begun, seconds):
        return {(suite, way): conformance.found(folder / f"{suite}-{way}") for suite, way in runs}


@pytest.mark.parametrize("server", SERVERS)
def test_the_suites_find_the_same_through_the_tap(server, exporter, tmp_path):
    ports = parties.free_port(), parties.free_port()
    with contextlib.ExitStack() as running:
        # A server for each, so that neither finds what the other has left.
        for port in ports:
            running.enter_context(start(server, tmp_path, port))
        tap = running.enter_context(running_tap(exporter.url, f"shop=http://127.0.0.1:{ports[1]}/mcp"))
        ways = {"direct": f"http://127.0.0.1:{ports[0]}/mcp", "tapped": f"{tap}/mcp"}
        found = run_suites(tmp_path, ways, conformance.SUITES)
        for suite in conformance.SUITES:
            direct, tapped = found[suite, "direct"], found[suite, "tapped"]
            assert not conformance.differences(expected(direct), tapped), suite
            print(f"{server}, {suite}: {conformance.summary(tapped)}")

        scrape = exporter.wait_for_calls("shop", 1)
        assert scrape.values("mcp_tool_calls_total", "shop")
        assert not scrape.values("mcp_tap_events_dropped_total", "shop")


@pytest.mark.parametrize(("client", "scenarios", "calls"), CLIENTS)
def test_client_scenarios_find_the_same_through_the_tap(client, scenarios, calls, exporter, tmp_path):
    runs = [(suite, scenario) for suite, them in scenarios.items() for scenario in them]
    ways = {"direct": client, "tapped": [*BEHIND_TAP, *client]}

    def folder(suite: str, scenario: str, way: str) -> Path:
        return tmp_path / f"{suite}-{scenario.replace('/', '-')}-{way}"

    begun = (
        conformance.ask_client(command, only(*run), folder(*run, way), MCP_EXPORTER_URL=exporter.url)
        for run in runs
        for way, command in ways.items()
    )
    with all_ended(begun, 100):
        for run in runs:
            direct, tapped = (conformance.found(folder(*run, way)) for way in ways)
            assert not conformance.differences(direct, tapped)
            assert {status for checks in direct.values() for _, status, _ in checks} <= {"SUCCESS", "SKIPPED"}, direct
    # A tap that has ended has delivered what it saw.
    ends = Counter()
    for (_, end), count in exporter.scrape().values("mcp_tool_calls_total", "shop").items():
        ends[end] += count
    assert ends == calls


@pytest.mark.thorough
@pytest.mark.timeout(900)
@pytest.mark.parametrize("suite", conformance.SUITES)
def test_the_client_suites_find_the_same_through_the_tap(suite, exporter, tmp_path):
    found = {}
    for way, command in {"direct": CLIENT, "tapped": [*BEHIND_TAP, *CLIENT]}.items():
        # One after the other: a suite starts all its clients at once. What measures time is done alone.
        runs = [conformance.SUITES[suite], *([only(suite, "sse-retry")] if suite != "0.2-2026-07-28" else [])]
        found[way] = {}
        for number, options in enumerate(runs):
            folder = tmp_path / f"{way}-{number}"
            run = conformance.ask_client(command, options, folder, MCP_EXPORTER_URL=exporter.url)
            with all_ended([run], 400):
                found[way] |= conformance.found(folder)
    assert not conformance.differences(found["direct"], found["tapped"])
    print(f"clients, {suite}: {conformance.summary(found['tapped'])}")


# Whether a loss would be noticed --------------------------------------------------------------------

# A way of losing something, and the scenario that goes through it soonest.
LOSSES = {"header": ("0.2-2025-11-25", "ping"), "buffer": ("0.2-2026-07-28", "server-stateless")}


@contextlib.contextmanager
def lossy(how: str, url: str) -> Iterator[str]:
    command = [sys.executable, str(conformance.HERE / "lossy.py"), how, url]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield read_until(process.stdout, r"listening on (http://127\.0\.0\.1:\d+)")
    finally:
        parties.kill(process)


def test_the_comparison_sees_what_a_proxy_loses(tmp_path):
    port = parties.free_port()
    with contextlib.ExitStack() as running:
        running.enter_context(parties.fixture(tmp_path, port))
        server = f"http://127.0.0.1:{port}"
        proxies = {how: running.enter_context(lossy(how, server)) for how in LOSSES}
        runs = [(how, way, url) for how in LOSSES for way, url in (("direct", server), ("lossy", proxies[how]))]
        begun = (
            conformance.ask_server(f"{url}/mcp", only(*LOSSES[how]), tmp_path / f"{how}-{way}")
            for how, way, url in runs
        )
        with all_ended(begun, 100):
            for how in LOSSES:
                direct, other = (conformance.found(tmp_path / f"{how}-{way}") for way in ("direct", "lossy"))
                assert conformance.differences(direct, other), how
                assert conformance.lost(direct, other)[2], how


@pytest.mark.thorough
@pytest.mark.timeout(300)
def test_a_proxy_that_is_not_transparent_is_told_from_one_that_is(tmp_path):
    """PyPI's mcp-proxy, which answers for the server as its SDK understands it."""
    ports = [parties.free_port() for _ in range(3)]
    url = f"http://127.0.0.1:{ports[1]}/mcp"
    with (
        parties.fixture(tmp_path, ports[0]),
        parties.fixture(tmp_path, ports[1]),
        parties.mcp_proxy(tmp_path, ports[2], url),
    ):
        ways = {"direct": f"http://127.0.0.1:{ports[0]}/mcp", "proxied": f"http://127.0.0.1:{ports[2]}/mcp"}
        # With all its scenarios the older suite would wait for ever for a stream that cannot be resumed.
        suites = {"0.1": ["conformance-0.1"]} | conformance.SUITES
        del suites["0.1-all"]
        found = run_suites(tmp_path, ways, suites, 250)
    for suite in suites:
        direct, proxied = found[suite, "direct"], found[suite, "proxied"]
        passed, kept, scenarios = conformance.lost(direct, proxied)
        print(f"through mcp-proxy, {suite}: {kept} of {passed} checks as direct, lost: {', '.join(scenarios)}")
        assert scenarios and conformance.differences(direct, proxied)
