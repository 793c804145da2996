"""The stack under test: `make` as its user calls it, and what the engine and the services say."""

import base64
import contextlib
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
SERVICES = [
    "alertmanager", "docker-proxy", "exporter", "health-monitor", "prometheus", "redis", "remediation",
]  # fmt: skip


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


def request(url: str, login: str | None = None, body=None) -> tuple[int, str]:
    """Status and body of one request, with an Authorization if given."""
    headers = {} if login is None else {"Authorization": login}
    if body is not None:
        headers["Content-Type"] = "application/json"
        body = json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=10) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@contextlib.contextmanager
def other_content(file: Path, text: str):
    """Another text in a file that nobody may write, for a while."""
    before, mode = file.read_text(), file.stat().st_mode
    file.chmod(0o644)
    file.write_text(text)
    try:
        yield
    finally:
        file.write_text(before)
        file.chmod(mode)


@dataclass
class Stack:
    """One project on the test's own engine, with ports and a state folder of its own."""

    work: Path
    root: Path = ROOT
    """The clone whose `make` is called."""
    patience: float = 400
    """The seconds that one call of `make` may take."""
    project: str = field(default_factory=lambda: f"mcpmon-{secrets.token_hex(4)}")

    def __post_init__(self):
        self.state = self.work / self.project
        names = ["exporter", "health-monitor", "remediation", "prometheus", "alertmanager", "grafana"]
        self.ports = dict(zip(names, free_ports(len(names))))
        self.environment = {
            **os.environ,
            **self.port_variables(),
            "COMPOSE_PROJECT_NAME": self.project,
            "MCPMON_STATE": str(self.state),
            "MCPMON_DEMO_PACE": "0.5",
        }

    def port_variables(self) -> dict[str, str]:
        """Where the services are published, as `make` is told."""
        return {
            f"MCPMON_{name.upper().replace('-', '_')}_PORT": str(port)
            for name, port in self.ports.items()
        }

    def hasten(self) -> "Stack":
        """Short intervals instead of those for people, by a file beside docker-compose.yml."""
        prometheus = fast_prometheus(self.work / f"prometheus-{self.project}")
        self.environment["STACK_PROMETHEUS"] = str(prometheus)
        self.monitored = self.copied("health-monitor", "STACK_HEALTH_MONITOR")
        self.repaired = self.copied("remediation", "STACK_REMEDIATION")
        self.environment["MCPMON_REMEDIATION_FILE"] = str(self.repaired / "remediation.toml")
        self.add_to_compose(ROOT / "tests/stack/override.yml")
        return self

    def copied(self, service: str, variable: str) -> Path:
        """A service's configuration, to be changed without changing the clone's."""
        folder = self.work / f"{service}-{self.project}"
        shutil.copytree(ROOT / "deploy" / service, folder)
        self.environment[variable] = str(folder)
        return readable(folder)

    def add_to_compose(self, file: Path):
        files = self.environment.get("COMPOSE_FILE", f"{self.root}/docker-compose.yml")
        self.environment["COMPOSE_FILE"] = f"{files}:{file}"

    # The front door

    def make(self, target: str, code: int = 0, **environment: str) -> str:
        done = subprocess.run(
            ["make", "--no-print-directory", "-C", self.root, target],
            env={**self.environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=self.patience,
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
        return request(self.url(service) + path, login, body)

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

    def components(self) -> dict[str, dict]:
        """What the health monitor says of each component."""
        login = f"Bearer {self.secret('read_token')}"
        status, body = self.request("health-monitor", "/api/v1/components", login)
        assert status == 200, body
        return {one["name"]: one for one in json.loads(body)["components"]}

    def repairs(self) -> dict:
        """What remediation says of itself."""
        login = f"Bearer {self.secret('read_token')}"
        status, body = self.request("remediation", "/api/v1/remediation", login)
        assert status == 200, body
        return json.loads(body)

    def verdict(self) -> dict:
        """What the exporter's page shows of the health monitor."""
        login = f"Bearer {self.secret('read_token')}"
        status, body = self.request("exporter", "/api/v1/status", login)
        assert status == 200, body
        return json.loads(body)["verdict"]

    def redis(self, user: str, *command: str) -> str:
        """What Redis answers to one of its users."""
        password = self.secret(f"redis_{user.replace('-', '_')}_password")
        return docker(
            "exec", "--env", f"REDISCLI_AUTH={password}", self.container("redis"),
            "redis-cli", "--user", user, *command,
        )  # fmt: skip


def fast_prometheus(folder: Path) -> Path:
    """The shipped configuration in seconds instead of minutes; promtool's tests keep to the minutes."""
    shutil.copytree(ROOT / "prometheus", folder)
    for file in [folder / "prometheus.yml", *(folder / "rules").glob("*.yml")]:
        text = re.sub(r"\b((?:scrape_|evaluation_)?interval): *\d+[sm]", r"\1: 2s", file.read_text())
        text = re.sub(r"\bfor: 1m$", "for: 4s", text, flags=re.MULTILINE)
        text = text.replace("scrape_timeout: 10s", "scrape_timeout: 2s")
        # How often a name is looked up is half a minute where nothing is said.
        file.write_text(re.sub(r"^( +)type: A$", r"\g<0>\n\1refresh_interval: 2s", text, flags=re.M))
    return readable(folder)


def readable(folder: Path) -> Path:
    """For the user of a container, who is none of this machine's."""
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    return folder


def every_address_works(stack: Stack, welcome: str):
    """Fetches each address that `make up` printed, with the credentials that its line names."""
    lines = re.findall(r"^(\w[\w ]*?)  +(http://\S+)(.*)$", welcome, re.M)
    printed = {name: (url, re.search(r" in (\S+)$", rest)) for name, url, rest in lines}
    credentials = {
        name: (stack.root / file[1]).read_text() for name, (_, file) in printed.items() if file
    }

    def fetch(name: str, path: str = "", login: str | None = None, body=None):
        return request(printed[name][0] + path, login, body)

    login = basic("anyone", credentials.pop("Status page"))
    status, page = fetch("Status page", login=login)
    assert status == 200 and "<!doctype html>" in page.lower()
    bearer = f"Bearer {credentials.pop('Events')}"
    batch = {"server": "x", "source": "x", "observer": "api", "events": []}
    assert fetch("Events", login=bearer, body=batch)[0] == 202
    bearer = f"Bearer {credentials.pop('Health')}"
    status, page = fetch("Health", login=bearer)
    assert status == 200 and json.loads(page)["components"]
    bearer = f"Bearer {credentials.pop('Repairs')}"
    status, page = fetch("Repairs", login=bearer)
    assert status == 200 and "mode" in json.loads(page)
    status, page = fetch("Prometheus")
    assert status == 200 and "Prometheus" in page
    status, page = fetch("Alertmanager")
    assert status == 200 and "Alertmanager" in page
    assert fetch("Prometheus", "/-/ready")[0] == fetch("Alertmanager", "/-/ready")[0] == 200
    status, page = fetch("Runbook")
    assert status == 200 and page.startswith("# Runbook\n")
    known = {"Status page", "Events", "Health", "Repairs", "Prometheus", "Alertmanager", "Runbook"}
    others = set(printed) - known
    assert not others and not credentials, f"not fetched: {others}"
