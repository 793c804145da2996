"""What a recorded conversation must look like on /metrics.

Written from the catalogue's text alone and sharing no code with the product: it pairs recorded
requests with recorded replies and says for each tool call its name, status, error and sizes.
"""

import base64
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

RPC_REASONS = {-32700: "parse", -32600: "invalid_request", -32601: "method_not_found", -32603: "internal"}


@dataclass(frozen=True)
class Recording:
    """Every byte of both directions, in order."""

    client: bytes
    server: bytes

    @classmethod
    def read(cls, path: Path) -> "Recording":
        streams = {"client": bytearray(), "server": bytearray()}
        for line in path.read_text("ascii").splitlines():
            chunk = json.loads(line)
            streams[chunk["from"]] += base64.b64decode(chunk["data"])
        return cls(bytes(streams["client"]), bytes(streams["server"]))


@dataclass(frozen=True)
class Request:
    """A client's request with its reply; sizes are the messages' bytes without the line end."""

    method: str
    params: dict
    request_bytes: int
    reply: dict | None
    response_bytes: int | None


@dataclass(frozen=True)
class Call:
    """A finished tool call as it must be counted."""

    tool: str
    status: str
    error: tuple[str, str] | None
    request_bytes: int
    response_bytes: int | None


def messages(stream: bytes) -> list[tuple[dict, int]]:
    return [(json.loads(line), len(line)) for line in stream.split(b"\n") if line.strip()]


def typed(identifier: object) -> tuple[str, object]:
    return type(identifier).__name__, identifier


def requests(recording: Recording) -> list[Request]:
    """The client's requests in the order in which they were sent."""
    replies = {
        typed(message["id"]): (message, size)
        for message, size in messages(recording.server)
        if "id" in message and "method" not in message
    }
    return [
        Request(message["method"], message.get("params") or {}, size, *replies.get(typed(message["id"]), (None, None)))
        for message, size in messages(recording.client)
        if "id" in message and "method" in message
    ]


def listed_tools(recording: Recording) -> set[str]:
    return {
        tool["name"]
        for request in requests(recording)
        if request.method == "tools/list" and request.reply
        for tool in request.reply["result"]["tools"]
    }


def outcome(reply: dict | None) -> tuple[str, tuple[str, str] | None]:
    """Status and (error_type, reason) of a call with this reply; a call without one was cancelled."""
    if reply is None:
        return "cancelled", None
    if "error" in reply:
        code = reply["error"]["code"]
        if code == -32602:
            return "error", ("validation_error", "invalid_params")
        return "error", ("rpc_error", RPC_REASONS.get(code, "rpc_other"))
    if reply["result"].get("isError"):
        return "error", ("tool_error", "is_error")
    return "success", None


def calls(recording: Recording) -> list[Call]:
    """The tool calls; a tool that the server did not list is `_other`."""
    known = listed_tools(recording)
    found = []
    for request in requests(recording):
        if request.method == "tools/call":
            name = request.params["name"]
            status, error = outcome(request.reply)
            found.append(
                Call(name if name in known else "_other", status, error, request.request_bytes, request.response_bytes)
            )
    return found


def samples(found: list[Call]) -> dict[str, Counter]:
    """The samples that these calls must leave, by sample name; keys are the label values beside
    `server`, in the catalogue's order."""
    expected = {
        "mcp_tool_calls_total": Counter((call.tool, call.status) for call in found),
        "mcp_request_duration_seconds_count": Counter((call.tool,) for call in found),
        "mcp_errors_total": Counter((call.error[0], call.tool, call.error[1]) for call in found if call.error),
        "mcp_timeouts_total": Counter((call.tool,) for call in found if call.status == "timeout"),
    }
    for family, size in (("mcp_request_size_bytes", "request_bytes"), ("mcp_response_size_bytes", "response_bytes")):
        counts, sums = Counter(), Counter()
        for call in found:
            if getattr(call, size) is not None:
                counts[call.tool,] += 1
                sums[call.tool,] += getattr(call, size)
        expected |= {f"{family}_count": counts, f"{family}_sum": sums}
    return expected


def operations(recording: Recording) -> Counter:
    """How many requests of each JSON-RPC method were answered, by (method, error_type)."""
    found = Counter()
    for request in requests(recording):
        if request.reply is not None:
            error = outcome(request.reply)[1]
            found[request.method, error[0] if error else ""] += 1
    return found


def server_info(recording: Recording) -> tuple[str, str, str]:
    """Name, version and protocol version, as the conversation settled them."""
    for request in reversed(requests(recording)):
        result = (request.reply or {}).get("result", {})
        if request.method == "initialize":
            info = result["serverInfo"]
            return info["name"], info["version"], result["protocolVersion"]
        if info := result.get("_meta", {}).get("io.modelcontextprotocol/serverInfo"):
            version = request.params["_meta"]["io.modelcontextprotocol/protocolVersion"]
            return info["name"], info["version"], version
    raise AssertionError("no reply names the server")
