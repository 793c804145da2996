"""The ingest API as a Python program would have it: uvicorn, starlette, orjson, prometheus_client."""

import socket

import orjson
import uvicorn
from prometheus_client import Counter, Histogram, Summary
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 120, 300)
TOOL = ("server", "tool_name")
CALLS = Counter("mcp_tool_calls_total", "Calls.", ("server", "status", "tool_name"))
DURATION = Histogram("mcp_request_duration_seconds", "Durations.", TOOL, buckets=BOUNDS)
REQUEST_SIZE = Summary("mcp_request_size_bytes", "Requests.", TOOL)
RESPONSE_SIZE = Summary("mcp_response_size_bytes", "Replies.", TOOL)


async def events(request: Request) -> Response:
    batch = orjson.loads(await request.body())
    server = batch["server"]
    for event in batch["events"]:
        tool = event["tool"]
        CALLS.labels(server, event["status"], tool).inc()
        DURATION.labels(server, tool).observe(event["duration_seconds"])
        REQUEST_SIZE.labels(server, tool).observe(event["request_bytes"])
        RESPONSE_SIZE.labels(server, tool).observe(event["response_bytes"])
    reply = orjson.dumps({"accepted": len(batch["events"]), "rejected": []})
    return Response(reply, status_code=202, media_type="application/json")


listener = socket.create_server(("127.0.0.1", 0))
print(f"listening on http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
app = Starlette(routes=[Route("/v1/events", events, methods=["POST"])])
config = uvicorn.Config(app, loop="uvloop", http="httptools", log_level="warning", access_log=False)
uvicorn.Server(config).run(sockets=[listener])
