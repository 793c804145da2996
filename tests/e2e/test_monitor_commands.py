"""The command line of the health monitor: what it prints, and how it ends."""

import json
import re

import pytest

import parties
from monitor import command, configuration, once
from parties import free_port

LINE = "=" * 60


@pytest.fixture
def api():
    with parties.receiver() as api:
        yield api


def in_its_own(folder) -> dict[str, str]:
    """The variables for a run without a configuration."""
    return {"HOME": str(folder), "XDG_STATE_HOME": str(folder / "state")}


def test_the_prototypes_command_line_prints_what_the_prototype_printed(api, exporter, tmp_path):
    arguments = ["--once", "--api-url", api.url, "--metrics-url", exporter.url]
    ended = command(tmp_path, *arguments, **in_its_own(tmp_path))
    assert re.sub(r"\d+ms", "45ms", ended.stdout) == (
        f"{LINE}\nMCP HEALTH CHECK RESULTS\n{LINE}\n\n"
        "✅ API\n   Status: healthy\n   Latency: 45ms\n\n"
        "✅ METRICS_SERVER\n   Status: healthy\n   Latency: 45ms\n\n"
        "Overall: GREEN\n"
        "   Left out: error ratio and p95 of calls: neither a Prometheus nor an exporter is configured\n"
        "   Left out: alerts: no Alertmanager is configured\n"
    )
    assert (ended.returncode, ended.stderr) == (0, "")


def test_the_prototypes_environment_names_the_api(api, tmp_path):
    away = f"http://127.0.0.1:{free_port()}"
    ended = command(tmp_path, "--once", "--metrics-url", away, DEVSKYY_API_URL=api.url, **in_its_own(tmp_path))
    assert "✅ API\n   Status: healthy\n" in ended.stdout
    assert "❌ METRICS_SERVER\n   Status: unhealthy\n   Error: " in ended.stdout and "refused" in ended.stdout
    assert "Overall: RED\n   metrics_server is unhealthy" in ended.stdout
    assert ended.returncode == 2


def test_the_exit_code_is_the_overall_status(api, tmp_path):
    """Yellow and unknown; green and red are above."""
    well = {"kind": "http", "url": api.url}
    with parties.receiver(401, "", WWW_Authenticate="Bearer") as locked:
        wants_credentials = {"kind": "mcp", "url": f"{locked.url}/mcp"}
        yellow = once(configuration(tmp_path, {"api": well, "boutique": wants_credentials}))
    assert (yellow.code, yellow.status) == (1, "yellow")
    assert yellow.states() == {"api": "healthy", "boutique": "auth_required"}
    assert "boutique wants credentials" in yellow.reasons
    port = free_port()
    with parties.everything(tmp_path, port, "sse"):
        old = {"kind": "mcp", "url": f"http://127.0.0.1:{port}/sse"}
        unknown = once(configuration(tmp_path, {"old": old}))
    assert (unknown.code, unknown.status, unknown.states()) == (3, "unknown", {"old": "unsupported_transport"})


def test_json_has_what_the_text_has(api, tmp_path):
    config = configuration(tmp_path, {"api": {"kind": "http", "url": api.url}})
    report = once(config).report
    (component,) = report["components"]
    assert component["latency_ms"] < 5000 and component["last_check"] == component["since"]
    text = command(tmp_path, "--once", "--config", config).stdout
    assert f"Overall: {report['overall']['status'].upper()}\n" in text
    for sentence in report["overall"]["left_out"]:
        assert f"   Left out: {sentence}\n" in text


WRONG = """
[health_monitor]
interval_seconds = 0

[health_monitor.components.boutique]
kind = "mcp"

[health_monitor.components.renderer]
kind = "ping"
"""

MISTAKES = [
    "health_monitor.interval_seconds",
    "health_monitor.components.boutique.command",
    "health_monitor.components.renderer.kind",
]


@pytest.mark.parametrize("mode", ["--check-config", "--once"])
def test_every_mistake_of_the_configuration_is_told_at_once(mode, tmp_path):
    config = tmp_path / "health.toml"
    config.write_text(WRONG)
    ended = command(tmp_path, mode, "--config", config)
    assert (ended.returncode, ended.stdout) == (64, "")
    for key in MISTAKES:
        assert [line for line in ended.stderr.splitlines() if key in line], (key, ended.stderr)
    assert "http" in ended.stderr, "it says which kinds there are"


def test_a_sound_configuration_and_a_wrong_flag(api, tmp_path):
    config = configuration(tmp_path, {"api": {"kind": "http", "url": api.url}})
    assert command(tmp_path, "--check-config", "--config", config).returncode == 0
    wrong = command(tmp_path, "--ones")
    assert wrong.returncode == 64 and "--once" in wrong.stderr


def test_the_third_run_that_fails_sends_the_message(tmp_path):
    """From cron, without Redis: the failures are counted in the state directory."""
    with parties.receiver() as slack:
        away = f"http://127.0.0.1:{free_port()}"
        arguments = ["--once", "--format", "json", "--api-url", away, "--metrics-url", away]
        arguments += ["--slack-webhook", f"{slack.url}/hook"]
        told = []
        for failures in (1, 2, 3, 4):
            ended = command(tmp_path, *arguments, MCPMON__SLACK__GROUP_SECONDS="0", **in_its_own(tmp_path))
            counted = {one["consecutive_failures"] for one in json.loads(ended.stdout)["components"]}
            assert (ended.returncode, counted) == (2, {failures}), ended.stderr
            told.append(len(slack.posted))
        assert told == [0, 0, 1, 1]
        assert slack.posted[0]["text"] == ":red_circle: 2 components are down"
