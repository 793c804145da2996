"""Real Prometheus, Alertmanager and demo processes, and a receiver for what they send."""

import contextlib
import http.server
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from rulebook import ALERTMANAGER


def free_port() -> int:
    """A port that was free a moment ago: Prometheus and Alertmanager do not report one they chose."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def fetch(url: str, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read().decode()


def eventually(what: str, condition: Callable[[], object], process: subprocess.Popen, seconds: float = 90):
    """What `condition` gives once it is true; a dead process and a deadline say what was awaited."""
    deadline = time.monotonic() + seconds
    while True:
        assert process.poll() is None, f"the program ended while waiting for {what}"
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            if found := condition():
                return found
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.1)


@contextlib.contextmanager
def running(command: list, folder: Path, **options) -> Iterator[subprocess.Popen]:
    """A program, whose output goes to a file in `folder`, ended by SIGTERM to its own id."""
    log = folder / f"{Path(command[0]).name}.log"
    with log.open("w") as output:
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=output, **options)
    try:
        yield process
    except AssertionError as error:
        raise AssertionError(f"{error}\n{log.read_text()[-4000:]}") from error
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@dataclass(frozen=True)
class Receiver:
    """An HTTP server that takes what is posted, in Slack's place and in an outside check's."""

    url: str
    received: list
    arrived: threading.Condition

    def wait_for(self, path: str, condition: Callable[[dict], bool], seconds: float = 60) -> dict:
        """The first body posted to `path` that meets `condition`, whenever it came."""
        found = []

        def search() -> bool:
            found.extend(body for got, body in self.received if got == path and condition(body))
            return bool(found)

        with self.arrived:
            assert self.arrived.wait_for(search, seconds), f"not posted to {path}; posted was: {self.received}"
        return found[0]


@contextlib.contextmanager
def receiver() -> Iterator[Receiver]:
    received, arrived = [], threading.Condition()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            with arrived:
                received.append((self.path, json.loads(body)))
                arrived.notify_all()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield Receiver(f"http://127.0.0.1:{server.server_address[1]}", received, arrived)
    finally:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def running_demo(folder: Path) -> Iterator[str]:
    """The demo at ten times its pace; gives the exporter's URL."""
    command = [Path(os.environ["MCPMON_BINARIES"]) / "mcpmon", "run", "--demo", "--pace", "0.1"]
    with running(command, folder, env=os.environ | {"METRICS_PORT": "0", "MCPMON__HEALTH_MONITOR__PORT": "0", "MCPMON__REMEDIATION__PORT": "0"}) as process:
        said = folder / "mcpmon.log"
        url = eventually("the demo's URL", lambda: re.search(r"Metrics +(http://\S+)/metrics", said.read_text()), process)[1]
        yield url


def render(folder: Path, **variables: str) -> Path:
    """Runs alertmanager/render into `folder`, templates beside it as in the stack."""
    shutil.copytree(ALERTMANAGER / "templates", folder / "templates", dirs_exist_ok=True)
    output = folder / "alertmanager.yml"
    environment = {"PATH": os.environ["PATH"]} | variables
    subprocess.run([ALERTMANAGER / "render", output], check=True, env=environment, cwd="/")
    return output


def without_waiting(path: Path) -> None:
    """Makes a rendered configuration send at once, and again after a second when something changes."""
    config = yaml.safe_load(path.read_text())
    for route in [config["route"], *config["route"]["routes"]]:
        route |= {"group_wait": "0s", "group_interval": "1s"}
    path.write_text(yaml.safe_dump(config, width=1000))


@contextlib.contextmanager
def running_alertmanager(program: Path, folder: Path) -> Iterator[str]:
    url = f"http://127.0.0.1:{free_port()}"
    command = [program, f"--config.file={folder / 'alertmanager.yml'}", f"--storage.path={folder / 'alertmanager-data'}"]
    command += [f"--web.listen-address={url[7:]}", "--cluster.listen-address="]
    with running(command, folder) as process:
        eventually("Alertmanager", lambda: fetch(f"{url}/-/ready"), process)
        yield url


@dataclass(frozen=True)
class Prometheus:
    url: str
    process: subprocess.Popen

    def api(self, path: str, **parameters: str):
        answer = json.loads(fetch(f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"))
        assert answer["status"] == "success", answer
        return answer["data"]

    def query(self, expression: str) -> list:
        return self.api("query", query=expression)["result"]

    def eventually(self, what: str, condition: Callable[[], object]):
        return eventually(what, condition, self.process)


@contextlib.contextmanager
def running_prometheus(program: Path, folder: Path, port: int) -> Iterator[Prometheus]:
    url = f"http://127.0.0.1:{port}"
    command = [program, f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'prometheus-data'}"]
    # What was sent before Alertmanager was found is lost and sent again after a minute by default.
    command += [f"--web.listen-address=127.0.0.1:{port}", "--rules.alert.resend-delay=1s"]
    with running(command, folder) as process:
        eventually("Prometheus", lambda: fetch(f"{url}/-/ready"), process)
        yield Prometheus(url, process)
