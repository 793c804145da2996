"""Serves the samples of /metrics of the health monitor and of remediation."""

import contextlib
import http.server
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path

HEALTH_MONITOR, REMEDIATION = (
    Path(__file__).with_name(f"{name}.prom").read_text() for name in ("health_monitor", "remediation")
)
STATES = (
    "healthy", "degraded", "unhealthy", "unknown", "auth_required", "rate_limited",
    "http_up_mcp_broken", "protocol_mismatch", "tools_missing", "unsupported_transport",
)  # fmt: skip


def exposition(sample: str, now: float) -> str:
    """A sample at a moment: times and growing counts are put in, and `*` is a series for each state."""

    def states(match: re.Match) -> str:
        component, current = match.groups()
        lines = (
            f'mcp_component_state{{component="{component}",state="{state}"}} {int(state == current)}'
            for state in STATES
        )
        return "\n".join(lines)

    text = re.sub(r'^mcp_component_state\{component="(\w+)",\*\} (\w+)$', states, sample, flags=re.MULTILINE)
    text = re.sub(r"\+(\d+)\+", lambda match: str(int(now) // int(match[1])), text)
    return re.sub(r"@(\d+)@", lambda match: f"{now - int(match[1]):.3f}", text)


def labels() -> dict[str, set[str]]:
    """Each family of the samples with the labels that its series have."""
    found: dict[str, set[str]] = {}
    for name, inside in re.findall(r"^(\w+)(?:\{(.*)\})? \S+$", exposition(HEALTH_MONITOR + REMEDIATION, 0), re.MULTILINE):
        found.setdefault(name, set()).update(re.findall(r'(\w+)="', inside))
    return found


class Handler(http.server.BaseHTTPRequestHandler):
    sample: str

    def do_GET(self):
        body = exposition(self.sample, time.time()).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def serving(sample: str) -> Iterator[str]:
    """A process's worth of a sample; yields its address."""
    handler = type("OfSample", (Handler,), {"sample": sample})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def health_monitor() -> contextlib.AbstractContextManager[str]:
    return serving(HEALTH_MONITOR)


def remediation() -> contextlib.AbstractContextManager[str]:
    return serving(REMEDIATION)
