"""The demo, and real programs around it: Prometheus of two generations, each with an Alertmanager."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import rules
import sample

BINARIES = Path(os.environ["MCPMON_BINARIES"])
ALERTMANAGER = Path(os.environ["MCPMON_ALERTMANAGER"])
GENERATIONS = {
    "prometheus-2": Path(os.environ["MCPMON_PROMETHEUS_2"]) / "prometheus",
    "prometheus-3": Path(os.environ["MCPMON_PROMETHEUS_3"]) / "prometheus",
}

PROMETHEUS_CONFIG = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [rules/*.yml]
alerting:
  alertmanagers: [{{static_configs: [{{targets: ['{alertmanager}']}}]}}]
scrape_configs:
  - job_name: devskyy_mcp
    static_configs:
      - targets: ['{exporter}']
        labels: {{service: devskyy_mcp, environment: production}}
  - job_name: mcp_health_monitor
    static_configs: [{{targets: ['{monitor}']}}]
  - job_name: mcp_remediation
    static_configs: [{{targets: ['{remediation}']}}]
  - job_name: alertmanager
    static_configs: [{{targets: ['{alertmanager}']}}]
  # Its own port is known when it runs.
  - job_name: prometheus
    file_sd_configs: [{{files: [self.json], refresh_interval: 1s}}]
"""

# An alert that fires at once: Alertmanager and the panels about alerts have something to show.
OWN_RULE = """
groups:
  - name: dashboards
    rules:
      - alert: AlwaysFiring
        expr: vector(1)
        labels: {severity: warning, server: boutique, tool_name: search_catalogue}
"""

ALERTMANAGER_CONFIG = """
route: {{receiver: page, group_wait: 0s}}
receivers: [{{name: page, webhook_configs: [{{url: 'http://{exporter}/v1/alerts'}}]}}]
"""


@dataclass(frozen=True)
class Prometheus:
    name: str
    address: str

    def api(self, path: str, **parameters) -> dict:
        """The `data` of an answer; an error of Prometheus is raised with its words."""
        form = urllib.parse.urlencode(parameters, doseq=True).encode() if parameters else None
        request = urllib.request.Request(f"http://{self.address}/api/v1/{path}", data=form)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{self.name}: {json.load(error)['error']}: {parameters}") from error

    def query(self, expr: str) -> list[dict]:
        data = self.api("query", query=expr)
        return data["result"] if data["resultType"] == "vector" else [data["result"]]

    def query_range(self, expr: str, start: float, end: float) -> list[dict]:
        return self.api("query_range", query=expr, start=start, end=end, step="2s")["result"]


@contextlib.contextmanager
def running(command: list, folder: Path, announcement: str, **options) -> Iterator[str]:
    """Starts a program and yields what `announcement` finds in its output: where it listens."""
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options
    )
    try:
        seen = []
        for line in process.stdout:
            seen.append(line)
            if found := re.search(announcement, line):
                break
        else:
            raise AssertionError(f"{command[0]} ended and said not where it listens:\n{''.join(seen)}")
        threading.Thread(target=process.stdout.read, daemon=True).start()
        yield found[1]
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def demo(folder: Path) -> Iterator[str]:
    """`mcpmon run --demo`, busier than for people; yields the exporter's address."""
    command = [BINARIES / "mcpmon", "run", "--demo", "--pace", "0.25"]
    environment = os.environ | {"METRICS_PORT": "0", "MCPMON__HEALTH_MONITOR__PORT": "0", "MCPMON__REMEDIATION__PORT": "0"}
    with running(command, folder, r"Metrics +http://([^/]+)/metrics", env=environment) as address:
        yield address


@contextlib.contextmanager
def alertmanager(folder: Path, exporter: str) -> Iterator[str]:
    (folder / "alertmanager.yml").write_text(ALERTMANAGER_CONFIG.format(exporter=exporter))
    command = [
        ALERTMANAGER, "--config.file=alertmanager.yml", "--storage.path=alertmanager",
        "--web.listen-address=127.0.0.1:0", "--cluster.listen-address=",
    ]  # fmt: skip
    with running(command, folder, r'Listening on".* address=(\S+)') as address:
        yield address


def hastened(text: str) -> str:
    """Rules for a demo of half a minute: evaluated each second, subqueries in steps of a second
    instead of at the whole five minutes, of which none has passed."""
    text = re.sub(r"^( *interval:) .*$", r"\1 1s", text, flags=re.MULTILINE)
    return re.sub(r"\[\w+:\w+\]", "[1m:1s]", text)


@contextlib.contextmanager
def prometheus(name: str, folder: Path, exporter: str) -> Iterator[Prometheus]:
    """Scrapes the demo, samples of the health monitor and of remediation, an Alertmanager and itself each
    second, with our rules evaluated as often."""
    (folder / "rules").mkdir()
    (folder / "rules" / "own.yml").write_text(OWN_RULE)
    for file in rules.FILES:
        (folder / "rules" / file.name).write_text(hastened(file.read_text()))
    with (
        alertmanager(folder, exporter) as notified,
        sample.health_monitor() as monitor,
        sample.remediation() as remediation,
    ):
        config = PROMETHEUS_CONFIG.format(
            exporter=exporter, alertmanager=notified, monitor=monitor, remediation=remediation
        )
        (folder / "prometheus.yml").write_text(config)
        command = [
            GENERATIONS[name], "--config.file=prometheus.yml", "--storage.tsdb.path=data",
            "--web.listen-address=127.0.0.1:0",
        ]  # fmt: skip
        with running(command, folder, r'Listening on".* address=(\S+)') as address:
            targets = json.dumps([{"targets": [address]}])
            (folder / "self.json.new").write_text(targets)
            shutil.move(folder / "self.json.new", folder / "self.json")
            yield Prometheus(name, address)
