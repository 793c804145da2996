"""The stack under test: `make` as its user calls it, and what the engine and the services say."""

import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ["alertmanager", "exporter", "prometheus", "redis"]


def until(condition, timeout: float, what: str):
    """Waits until the condition gives something true, and gives that."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"not within {timeout:.0f} s: {what}"
        time.sleep(0.25)


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@dataclass
class Stack:
    """One project on the test's own engine, with ports and a state folder of its own."""

    work: Path
    project: str = field(default_factory=lambda: f"mcpmon-{secrets.token_hex(4)}")

    def __post_init__(self):
        self.state = self.work / self.project
        names = ["EXPORTER", "PROMETHEUS", "ALERTMANAGER", "GRAFANA"]
        self.ports = dict(zip([name.lower() for name in names], free_ports(len(names))))
        prometheus = fast_prometheus(self.work / "prometheus")
        self.environment = {
            **os.environ,
            **{f"MCPMON_{name}_PORT": str(self.ports[name.lower()]) for name in names},
            "COMPOSE_PROJECT_NAME": self.project,
            "COMPOSE_FILE": f"{ROOT}/docker-compose.yml:{ROOT}/tests/stack/override.yml",
            "STACK_PROMETHEUS": str(prometheus),
            "MCPMON_STATE": str(self.state),
            "MCPMON_DEMO_PACE": "0.5",
        }

    # The front door

    def make(self, target: str, code: int = 0, **environment: str) -> str:
        done = subprocess.run(
            ["make", "--no-print-directory", "-C", ROOT, target],
            env={**self.environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=400,
            check=False,
        )
        assert (done.returncode == 0) == (code == 0), done.stdout
        return done.stdout

    # What the engine says

    def listed(self, *command: str) -> list[str]:
        label = f"label=com.docker.compose.project={self.project}"
        return docker(*command, "--quiet", "--filter", label).split()

    def containers(self) -> dict[str, dict]:
        """Every container of the project, by service, as the engine describes it."""
        ids = self.listed("ps", "--all", "--no-trunc")
        described = json.loads(docker("inspect", *ids)) if ids else []
        return {one["Config"]["Labels"]["com.docker.compose.service"]: one for one in described}

    def container(self, service: str) -> str:
        return self.containers()[service]["Id"]

    # What the services say

    def secret(self, name: str) -> str:
        return (self.state / "secrets" / name).read_text()

    def url(self, service: str) -> str:
        return f"http://127.0.0.1:{self.ports[service]}"

    def request(self, service: str, path: str, login: str | None = None, body=None):
        """Status and body of one request, with an Authorization if given."""
        headers = {} if login is None else {"Authorization": login}
        if body is not None:
            headers["Content-Type"] = "application/json"
            body = json.dumps(body).encode()
        request = urllib.request.Request(self.url(service) + path, body, headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def query(self, expression: str, at: float | None = None) -> dict[tuple, float]:
        """An instant query's samples, each by its label values in the order of their names."""
        parameters = {"query": expression} | ({} if at is None else {"time": at})
        status, body = self.request(
            "prometheus", "/api/v1/query?" + urllib.parse.urlencode(parameters)
        )
        assert status == 200, body
        samples = json.loads(body)["data"]["result"]
        return {
            tuple(value for _, value in sorted(one["metric"].items())): float(one["value"][1])
            for one in samples
        }

    def redis(self, user: str, *command: str) -> str:
        """What Redis answers to one of its users."""
        password = self.secret(f"redis_{user.replace('-', '_')}_password")
        return docker(
            "exec", "--env", f"REDISCLI_AUTH={password}", self.container("redis"),
            "redis-cli", "--user", user, *command,
        )  # fmt: skip


def fast_prometheus(folder: Path) -> Path:
    """The shipped configuration with short intervals; the rules' own `for` stays."""
    shutil.copytree(ROOT / "prometheus", folder)
    for file in [folder / "prometheus.yml", *(folder / "rules").glob("*.yml")]:
        text = re.sub(r"\b((?:scrape_|evaluation_)?interval): *\d+s", r"\1: 2s", file.read_text())
        file.write_text(text.replace("scrape_timeout: 10s", "scrape_timeout: 2s"))
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    return folder
