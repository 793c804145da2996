"""The prototype's way to serve metrics: prometheus_client's own server."""

import threading

from prometheus_client import Counter, start_http_server

CALLS = Counter("mcp_tool_calls_total", "Calls.", ("server", "status", "tool_name"))
CALLS.labels("bench", "success", "search_catalogue").inc()
server, _ = start_http_server(0, addr="127.0.0.1")
print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
threading.Event().wait()
