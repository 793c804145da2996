"""What the tests put around our programs beside servers over stdio: MCP servers over HTTP, whole or broken,
a proxy of another's making, and a receiver in Slack's place."""

import contextlib
import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from exporter import BINARIES
from servers import BOUTIQUE, EVERYTHING, FASTMCP


def free_port() -> int:
    """A port that was free a moment ago, for programs that do not report one they chose."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def eventually(what: str, condition: Callable[[], object], seconds: float = 30):
    """What `condition` gives once it is true. What is refused or reset meanwhile is not there yet."""
    deadline = time.monotonic() + seconds
    last = None
    while time.monotonic() < deadline:
        try:
            if last := condition():
                return last
        except OSError as error:
            last = error
        time.sleep(0.05)
    raise AssertionError(f"waited {seconds} s for {what}; at the end there was {last!r}")


def is_listening(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), timeout=5):
        return True


@contextlib.contextmanager
def program(folder: Path, command: list, port: int, **environment: str) -> Iterator[subprocess.Popen]:
    """A program that listens on that port, ended by its own id. It may end before."""
    log = folder / f"{Path(command[0]).name}-{port}.log"
    with log.open("a") as output:
        process = subprocess.Popen(command, cwd=folder, env=os.environ | environment, stdout=output, stderr=output)
    try:
        def up() -> bool:
            assert process.poll() is None, f"{command} ended:\n{log.read_text()[-4000:]}"
            return is_listening(port)

        eventually(f"port {port} of {command}", up)
        yield process
    finally:
        kill(process)


def kill(process: subprocess.Popen) -> None:
    process.kill()
    process.wait()


def everything(folder: Path, port: int, transport: str = "streamableHttp"):
    """npm's server-everything over HTTP."""
    return program(folder, ["node", str(EVERYTHING), transport], port, PORT=str(port))


def fastmcp(folder: Path, port: int, *tools: str):
    """A server made with PyPI's fastmcp that has these tools."""
    return program(folder, [*FASTMCP, str(port), *tools], port)


def boutique(folder: Path, port: int, pace: float = 1):
    """The project's own example, made with rmcp."""
    return program(folder, [BOUTIQUE, "--listen", f"127.0.0.1:{port}", "--pace", str(pace)], port)


def fixture(folder: Path, port: int):
    """Our own server, which has all that the conformance suites ask for by name."""
    return program(folder, [BINARIES / "mcp-conformance-server", "--port", str(port)], port)


def mcp_proxy(folder: Path, port: int, url: str):
    """PyPI's mcp-proxy in front of that server: one speaks HTTP to it and stdio to another, which
    speaks HTTP to the client."""
    proxy = str(Path(os.environ["MCPMON_E2E_LEGACY"], "mcp-proxy"))
    command = [proxy, "--port", str(port), "--", proxy, "--transport", "streamablehttp", url]
    return program(folder, command, port)


@contextlib.contextmanager
def page(text: str) -> Iterator[str]:
    """An HTML page, and nothing else but refusals at any other address."""
    body = f"<html><body>{text}</body></html>".encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path != "/page":
                return self.send_error(404)
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with serving(Handler) as address:
        yield f"{address}/page"


@contextlib.contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@dataclass
class Receiver:
    """An HTTP server that answers every request alike and keeps what was posted."""

    answer: tuple[int, str, dict[str, str]]
    posted: list = field(default_factory=list)
    arrived: threading.Condition = field(default_factory=threading.Condition)
    url: str = ""

    def wait_for(self, text: str, seconds: float = 30) -> dict:
        """The first body that holds the text, whenever it came."""
        def found():
            return next((body for body in self.posted if text in json.dumps(body)), None)

        with self.arrived:
            assert self.arrived.wait_for(found, seconds), f"{text!r} was not posted, but {self.posted}"
            return found()


@contextlib.contextmanager
def receiver(status: int = 200, body: str = "ok", **headers: str) -> Iterator[Receiver]:
    kept = Receiver((status, body, headers))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            text = self.rfile.read(int(self.headers["Content-Length"]))
            with kept.arrived:
                kept.posted.append(json.loads(text))
                kept.arrived.notify_all()
            self.do_GET()

        def do_GET(self):
            status, body, headers = kept.answer
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(body.encode())))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_):
            pass

    with serving(Handler) as kept.url:
        yield kept
