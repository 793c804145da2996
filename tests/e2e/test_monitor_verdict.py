"""The overall status with a real Prometheus, a real Alertmanager and a real exporter beside the probes."""

import contextlib
import json
import os
import urllib.parse
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from monitor import Once, configuration, once
from parties import eventually, free_port, program

PROMETHEUS = Path(os.environ["MCPMON_PROMETHEUS_3"], "prometheus")
ALERTMANAGER = Path(os.environ["MCPMON_ALERTMANAGER"])

RULE = """
groups:
  - name: calls
    rules:
      - alert: CallsFail
        expr: mcp_tool_calls_total{status="error"} > 5
        labels: {severity: critical}
        annotations: {summary: "calls of {{ $labels.server }} fail"}
"""


def ask(url: str, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read().decode()


def post_calls(exporter, succeeded: int, failed: int) -> None:
    call = {"type": "tool_call", "tool": "search", "duration_seconds": 0.01}
    error = {"status": "error", "error_type": "api_error", "reason": "upstream_5xx"}
    events = [call | {"status": "success"}] * succeeded + [call | error] * failed
    ask(f"{exporter.url}/v1/events", {"server": "boutique", "source": "b-1", "events": events})


@pytest.fixture
def alertmanager(tmp_path) -> Iterator[str]:
    """An Alertmanager that tells nobody."""
    (tmp_path / "alertmanager.yml").write_text("route: {receiver: nobody, group_wait: 0s}\nreceivers: [{name: nobody}]\n")
    port = free_port()
    options = ["--config.file=alertmanager.yml", "--storage.path=alertmanager-data", "--cluster.listen-address="]
    with program(tmp_path, [ALERTMANAGER, *options, f"--web.listen-address=127.0.0.1:{port}"], port):
        url = f"http://127.0.0.1:{port}"
        eventually("Alertmanager", lambda: ask(f"{url}/-/ready"))
        yield url


@contextlib.contextmanager
def running_prometheus(folder: Path, exporter: str, alertmanager: str) -> Iterator[str]:
    """A Prometheus that scrapes the exporter and evaluates the rule, both each second."""
    address = {"scheme": "http", "static_configs": [{"targets": [alertmanager.removeprefix("http://")]}]}
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rule.yml"],
        "alerting": {"alertmanagers": [address]},
        "scrape_configs": [{"job_name": "devskyy_mcp", "static_configs": [{"targets": [exporter.removeprefix("http://")]}]}],
    }
    (folder / "rule.yml").write_text(RULE)
    (folder / "prometheus.yml").write_text(json.dumps(config))
    port = free_port()
    options = ["--config.file=prometheus.yml", "--storage.tsdb.path=prometheus-data"]
    # What was sent before Alertmanager was found is lost and sent again after a minute by default.
    options += ["--rules.alert.resend-delay=1s", f"--web.listen-address=127.0.0.1:{port}"]
    with program(folder, [PROMETHEUS, *options], port):
        url = f"http://127.0.0.1:{port}"
        eventually("Prometheus", lambda: ask(f"{url}/-/ready"))
        yield url


def once_it_says(config: Path, sentence: str) -> Once:
    """The first run whose reasons hold the sentence."""

    def said():
        run = once(config)
        return run if sentence in run.reasons else None

    return eventually(f"{sentence!r} among the reasons", said)


def test_calls_that_the_exporter_counted_make_it_red(exporter, tmp_path):
    config = configuration(tmp_path, {"exporter": {"kind": "exporter", "url": exporter.url}})
    quiet = once(config)
    assert (quiet.code, quiet.status) == (0, "green"), quiet.reasons
    post_calls(exporter, succeeded=94, failed=6)
    red = once_it_says(config, "boutique: 6 % of calls fail, expected less than 5 %")
    assert (red.code, red.status, red.states()) == (2, "red", {"exporter": "healthy"})


def test_prometheus_tells_of_calls_and_alertmanager_of_what_fires(exporter, alertmanager, tmp_path):
    with running_prometheus(tmp_path, exporter.url, alertmanager) as prometheus:
        components = {
            "exporter": {"kind": "exporter", "url": exporter.url},
            "prometheus": {"kind": "prometheus", "url": prometheus},
            "alertmanager": {"kind": "alertmanager", "url": alertmanager},
        }
        config = configuration(tmp_path, components)
        post_calls(exporter, succeeded=1, failed=0)
        query = urllib.parse.urlencode({"query": 'mcp_tool_calls_total{status="error"}'})
        # An increase needs a value to begin with.
        eventually("a first sample", lambda: json.loads(ask(f"{prometheus}/api/v1/query?{query}"))["data"]["result"])
        before = once(config)
        assert (before.code, before.status) == (0, "green"), before.reasons
        assert before.report["overall"]["left_out"] == []

        post_calls(exporter, succeeded=80, failed=20)
        once_it_says(config, "boutique: ")
        red = once_it_says(config, "the critical alert CallsFail is firing: calls of boutique fail")
        assert (red.code, red.states()) == (2, dict.fromkeys(components, "healthy"))
        assert " % of calls fail, expected less than 5 %" in red.reasons


def alert(name: str, severity: str, over: bool = False) -> list[dict]:
    labels = {"alertname": name, "severity": severity, "server": "boutique"}
    now = datetime.now(UTC)
    times = {"startsAt": (now - timedelta(minutes=9)).isoformat()}
    times["endsAt"] = (now - timedelta(seconds=1) if over else now + timedelta(minutes=9)).isoformat()
    return [{"labels": labels, "annotations": {"summary": "nobody can buy"}} | times]


def test_an_alert_counts_while_it_fires_and_nobody_silenced_it(alertmanager, tmp_path):
    config = configuration(tmp_path, {"alertmanager": {"kind": "alertmanager", "url": alertmanager}})
    ask(f"{alertmanager}/api/v2/alerts", alert("ShopSlow", "warning"))
    ask(f"{alertmanager}/api/v2/alerts", alert("ShopDown", "critical"))
    red = once_it_says(config, "the critical alert ShopDown is firing: nobody can buy")
    assert (red.code, red.reasons) == (2, "the critical alert ShopDown is firing: nobody can buy")

    matcher = {"name": "alertname", "value": "ShopDown", "isRegex": False, "isEqual": True}
    now = datetime.now(UTC)
    times = {"startsAt": now.isoformat(), "endsAt": (now + timedelta(minutes=9)).isoformat()}
    silence = {"matchers": [matcher], "createdBy": "rosa", "comment": "known"} | times
    number = json.loads(ask(f"{alertmanager}/api/v2/silences", silence))["silenceID"]
    eventually("green while it is silenced", lambda: once(config).code == 0)

    request = urllib.request.Request(f"{alertmanager}/api/v2/silence/{number}", method="DELETE")
    urllib.request.urlopen(request, timeout=10).close()
    once_it_says(config, "the critical alert ShopDown is firing")
    ask(f"{alertmanager}/api/v2/alerts", alert("ShopDown", "critical", over=True))
    eventually("green after it is resolved", lambda: once(config).code == 0)


def test_a_source_that_cannot_be_read_is_no_reason_to_be_green(exporter, tmp_path):
    away = f"http://127.0.0.1:{free_port()}"
    components = {
        "exporter": {"kind": "exporter", "url": exporter.url},
        "alertmanager": {"kind": "alertmanager", "url": away},
    }
    run = once(configuration(tmp_path, components))
    assert run.code == 2 and "alertmanager is unhealthy" in run.reasons
    assert "the alerts cannot be read: alertmanager: " in run.reasons
