"""The main job: a real client calls a real server, and the call is on /metrics, right to the last
byte and status."""

from collections import Counter

import anyio
import pytest

import recording
import servers
import session
from clients import MODES
from exporter import Scrape


def assert_agreement(scrape: Scrape, server: str, calls: list[recording.Call]) -> None:
    for sample, expected in recording.samples(calls).items():
        assert scrape.values(sample, server) == expected, sample


def test_calls_and_errors_are_those_that_the_test_made(scene, observed):
    calls, errors = Counter(), Counter()
    for ask in scene.server.asks:
        calls[ask.label, ask.status] += ask.times
        if ask.error:
            errors[ask.error[0], ask.label, ask.error[1]] += ask.times
    assert observed.scrape.values("mcp_tool_calls_total", scene.server.name) == calls
    assert observed.scrape.values("mcp_errors_total", scene.server.name) == errors


def test_every_sample_agrees_with_the_recorded_bytes(scene, observed):
    assert_agreement(observed.scrape, scene.server.name, recording.calls(observed.wire.at_server))


def test_every_request_is_an_operation(scene, observed):
    measured = observed.scrape.values("mcp_server_operation_duration_seconds_count", scene.server.name)
    assert measured == recording.operations(observed.wire.at_server)


def test_the_tap_changes_no_byte(observed):
    assert observed.wire.at_server == observed.wire.at_client


def test_the_conversation_is_the_one_held_without_the_tap(scene, direct, observed):
    assert observed.wire.at_server.client == direct.at_server.client
    if scene.server.name != "mcp-server-time":  # its answers hold the time
        assert observed.wire.at_server.server == direct.at_server.server


@pytest.mark.parametrize("mode", MODES)
def test_overlapping_calls_are_paired_with_their_own_replies(mode, exporter, tmp_path):
    server = servers.time()
    wire = session.tapped(tmp_path / "tapped", server, exporter.url)

    async def body():
        async with session.connect(wire, mode) as client, anyio.create_task_group() as group:
            await client.list_tools()
            for ask in server.asks:
                for _ in range(5 * ask.times):
                    group.start_soon(session.answer, client, ask)

    session.run(body)
    scrape = exporter.wait_for_calls(server.name, 5 * server.call_count)
    found = recording.calls(wire.at_server)
    assert len(found) == 5 * server.call_count
    assert_agreement(scrape, server.name, found)


@pytest.mark.parametrize("mode", MODES)
def test_a_call_that_the_client_withdraws_is_cancelled(mode, exporter, tmp_path):
    server = servers.everything()
    tool = "trigger-long-running-operation"
    wire = session.tapped(tmp_path / "tapped", server, exporter.url)

    async def body():
        async with session.connect(wire, mode) as client:
            await client.list_tools()
            begun = anyio.Event()

            async def progress(*_):
                begun.set()

            async def call():
                await client.call_tool(tool, {"duration": 600, "steps": 6000}, progress_callback=progress)

            async with anyio.create_task_group() as group:
                group.start_soon(call)
                await begun.wait()
                group.cancel_scope.cancel()
            assert await session.answer(client, server.asks[0]) == "success"

    session.run(body)
    scrape = exporter.wait_for_calls(server.name, 2)
    assert scrape.values("mcp_tool_calls_total", server.name) == {(tool, "cancelled"): 1, ("echo", "success"): 1}
    assert_agreement(scrape, server.name, recording.calls(wire.at_server))
