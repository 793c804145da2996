"""A running mcp-exporter and what its /metrics says."""

import contextlib
import json
import os
import re
import signal
import subprocess
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

BINARIES = Path(os.environ["MCPMON_BINARIES"])

# The order in which tests give label values beside `server`.
LABELS = {
    "mcp_tool_calls_total": ("tool_name", "status"),
    "mcp_errors_total": ("error_type", "tool_name", "reason"),
    "mcp_active_connections": ("transport",),
    "mcp_agent_usage_total": ("agent_name", "category"),
    "mcp_server_info": ("name", "version", "protocol_version"),
    "mcp_server_operation_duration_seconds_count": ("mcp_method_name", "error_type"),
}


@dataclass(frozen=True)
class Scrape:
    """One answer of /metrics, read by prometheus_client."""

    text: str

    def families(self) -> dict:
        return {family.name: family for family in text_string_to_metric_families(self.text)}

    def values(self, sample: str, server: str) -> Counter:
        """The values of a sample name for one server, without zeros, by the labels in LABELS."""
        names = LABELS.get(sample, ("tool_name",))
        found = Counter()
        for family in text_string_to_metric_families(self.text):
            for line in family.samples:
                if line.name == sample and line.labels["server"] == server and line.value:
                    found[tuple(line.labels.get(name, "") for name in names)] += line.value
        return found


@dataclass(frozen=True)
class Exporter:
    url: str
    process: subprocess.Popen

    def get(self, path: str) -> str:
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            return answer.read().decode()

    def json(self, path: str) -> dict:
        return json.loads(self.get(path))

    def scrape(self) -> Scrape:
        return Scrape(self.get("/metrics"))

    def wait_for(self, condition: Callable[[Scrape], bool], seconds: float = 30) -> Scrape:
        """Scrapes until `condition` holds; past the deadline the last scrape is returned as it is,
        so that the caller's assertion shows what is wrong with it."""
        deadline = time.monotonic() + seconds
        while not condition(scrape := self.scrape()) and time.monotonic() < deadline:
            time.sleep(0.05)
        return scrape

    def wait_for_calls(self, server: str, count: int) -> Scrape:
        return self.wait_for(lambda scrape: scrape.values("mcp_tool_calls_total", server).total() >= count)

    def wait_for_components(self, states: dict[str, str], seconds: float = 30) -> dict:
        """The status once the health monitor's components are in these states, which it is asked
        for every five seconds; past the deadline, what there is instead."""
        deadline = time.monotonic() + seconds
        while True:
            status = self.json("/api/v1/status")
            if {one["name"]: one["state"] for one in status["verdict"]["components"]} == states:
                return status
            assert time.monotonic() < deadline, status
            time.sleep(0.05)


def promtool_remarks(text: str) -> str:
    """What `promtool check metrics` finds wrong with a scrape; empty when it finds nothing."""
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
    remarks = checked.stdout + checked.stderr
    assert remarks or checked.returncode == 0
    return remarks


def read_until(lines: Iterator[str], pattern: str) -> str:
    """The first match of `pattern`'s group in a program's output."""
    seen = []
    for line in lines:
        seen.append(line)
        if found := re.search(pattern, line):
            return found[1]
    raise AssertionError(f"the program ended and said no {pattern!r}:\n" + "".join(seen))


@contextlib.contextmanager
def running_exporter(folder: Path, **environment: str) -> Iterator[Exporter]:
    """Starts mcp-exporter on a free port and stops it with SIGTERM, to which it must answer 0. Its
    environment holds nothing else but what is given."""
    process = subprocess.Popen(
        [BINARIES / "mcp-exporter"],
        cwd=folder,
        env={"METRICS_PORT": "0"} | environment,
        stdout=subprocess.PIPE,
        stderr=(folder / "exporter.log").open("w"),
        text=True,
    )
    try:
        url = read_until(process.stdout, r"listening on (http://127\.0\.0\.1:\d+)")
        threading.Thread(target=process.stdout.read, daemon=True).start()
        yield Exporter(url, process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0, (folder / "exporter.log").read_text()
    finally:
        process.kill()
        process.wait()
