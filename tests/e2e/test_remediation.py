"""Remediation with a real Alertmanager: its webhook opens the incident, the repair is made and verified,
and the resolved alert ends it."""

import http.server
import json
import os
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from exporter import BINARIES, read_until
from parties import eventually, free_port, program

ALERTMANAGER = Path(os.environ["MCPMON_ALERTMANAGER"])
WEBHOOK_TOKEN = "alertmanagers-only"

MCPMON = """
[exporter]
port = 0

[coordination]
backend = "memory"
state_dir = "{state}"

[health_monitor]
port = 0
interval_seconds = 0.5
recheck_seconds = 0.5
slow_seconds = 5

[health_monitor.components.shop]
kind = "http"
url = "{shop}"

[remediation]
port = 0
webhook_token = "{token}"
lease_seconds = 0.5
grace_seconds = 0
verify_every_seconds = 0.2
cool_down_seconds = 0.5
allowed_commands = ["{tidy}"]

[remediation.targets.shop]
kind = "command"
program = "{tidy}"

[remediation.rules.shop]
component = "shop"
failures = ["timeout"]
ladder = ["shop"]
mode = "act"
"""

# What tidies up says for whom it was called.
TIDY = """#!/bin/sh
echo "$MCPMON_COMPONENT $MCPMON_INCIDENT" >> "$(dirname "$0")/tidied"
"""

ROUTE = """
route: {receiver: remediation, group_wait: 0s, group_interval: 1s, group_by: [alertname]}
receivers:
  - name: remediation
    webhook_configs:
      - url: REMEDIATION/v1/alerts
        send_resolved: true
        http_config: {authorization: {credentials: TOKEN}}
"""


def ask(url: str, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read().decode()


@pytest.fixture
def shop() -> Iterator[str]:
    """An HTTP server that is well: what the alert is about, no probe sees."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def remediation(shop, tmp_path) -> Iterator[str]:
    """`mcpmon run` with one component, one rule and one listed program; gives remediation's address."""
    tidy = tmp_path / "tidy"
    tidy.write_text(TIDY)
    tidy.chmod(0o755)
    config = tmp_path / "mcpmon.toml"
    config.write_text(MCPMON.format(state=tmp_path / "state", shop=shop, tidy=tidy, token=WEBHOOK_TOKEN))
    process = subprocess.Popen(
        [BINARIES / "mcpmon", "run", "--config", config],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"]},
        stdout=subprocess.PIPE,
        stderr=(tmp_path / "stderr").open("w"),
        text=True,
    )
    try:
        yield read_until(process.stdout, r"Repairs +(http://127\.0\.0\.1:\d+)/")
        threading.Thread(target=process.stdout.read).start()
    finally:
        process.terminate()
        assert process.wait(timeout=20) == 0, (tmp_path / "stderr").read_text()


@pytest.fixture
def alertmanager(remediation, tmp_path) -> Iterator[str]:
    """An Alertmanager that tells remediation."""
    route = ROUTE.replace("REMEDIATION", remediation).replace("TOKEN", WEBHOOK_TOKEN)
    (tmp_path / "alertmanager.yml").write_text(route)
    port = free_port()
    options = ["--config.file=alertmanager.yml", "--storage.path=alertmanager-data", "--cluster.listen-address="]
    with program(tmp_path, [ALERTMANAGER, *options, f"--web.listen-address=127.0.0.1:{port}"], port):
        url = f"http://127.0.0.1:{port}"
        eventually("Alertmanager", lambda: ask(f"{url}/-/ready"))
        yield url


def alert(labels: dict[str, str], over: bool = False) -> list[dict]:
    now = datetime.now(UTC)
    ends = now if over else now + timedelta(hours=1)
    times = {"startsAt": (now - timedelta(minutes=1)).isoformat(), "endsAt": ends.isoformat()}
    return [{"labels": labels, "annotations": {"summary": "calls of the shop take too long"}} | times]


def records(remediation: str, event: str) -> list[dict]:
    """The records of one kind, the oldest first."""
    page = json.loads(ask(f"{remediation}/api/v1/audit?limit=1000"))["records"]
    return [record for record in reversed(page) if record["event"] == event]


def test_an_alert_is_answered_once_and_ends(remediation, alertmanager, tmp_path):
    shop = {"alertname": "ShopSlow", "component": "shop", "failure": "timeout"}
    ask(f"{alertmanager}/api/v2/alerts", alert(shop))
    [outcome] = eventually("the repair", lambda: records(remediation, "outcome"))
    assert (outcome["component"], outcome["result"]) == ("shop", "success"), outcome
    [line] = (tmp_path / "tidied").read_text().splitlines()
    assert line == f"shop {outcome['incident']}"

    # It is sent again with each alert that joins its group, and is no reason to act again.
    ask(f"{alertmanager}/api/v2/alerts", alert(shop | {"instance": "2"}))
    recovered = lambda: [record for record in records(remediation, "decision") if record["reason"] == "recovered"]
    eventually("the decision that nothing is to be done", recovered)

    for labels in (shop, shop | {"instance": "2"}):
        ask(f"{alertmanager}/api/v2/alerts", alert(labels, over=True))
    eventually("the end of the incident", lambda: records(remediation, "resolved"))
    assert len((tmp_path / "tidied").read_text().splitlines()) == 1
    assert json.loads(ask(f"{remediation}/api/v1/remediation"))["incidents"] == []


def test_an_alert_about_nobody_is_on_record_and_answered_by_nothing(remediation, alertmanager, tmp_path):
    ask(f"{alertmanager}/api/v2/alerts", alert({"alertname": "DiskFull", "instance": "db-1"}))
    decided = eventually("the decision", lambda: records(remediation, "decision"))
    assert [record["reason"] for record in decided] == ["no_component"]
    assert not (tmp_path / "tidied").exists()
