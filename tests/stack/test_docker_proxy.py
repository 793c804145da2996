"""The filter before the Docker engine: the shipped configuration, a real HAProxy, the engine's own socket.

Two containers of the test's own: one that is listed, one that is not.
"""

import contextlib
import json
import os
import re
import secrets
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import hostile
from conftest import figures
from stack import ROOT, docker, readable, until

COMPOSE = (ROOT / "docker-compose.yml").read_text()
HAPROXY, REDIS = (re.search(rf"image: ({name}:\S+)", COMPOSE)[1] for name in ("haproxy", "redis"))


class Containers:
    """One that is listed, and one that is not."""

    def __init__(self):
        mark = secrets.token_hex(4)
        self.names = {part: f"filter-{part}-{mark}" for part in ("listed", "unlisted")}
        server = (REDIS, "redis-server", "--port", "0", "--save", "")
        self.ids = {part: docker("run", "--detach", "--name", name, *server) for part, name in self.names.items()}
        self.began = time.time()

    def close(self):
        docker("rm", "--force", "--volumes", *self.names.values())

    def named_in(self, raw: bytes) -> bytes:
        """A request with their names put in."""
        for part in ("unlisted", "listed"):
            name, number = self.names[part], self.ids[part]
            forms = {"ID_": number, "SHORT_": number[:12], "UPPER_": name.upper(), "": name}
            for form, text in forms.items():
                raw = raw.replace(f"{form}{part.upper()}".encode(), text.encode())
        return raw

    def started(self, part: str) -> str:
        return docker("inspect", "--format", "{{.State.StartedAt}}", self.names[part])

    def happened(self) -> list[tuple[str, str]]:
        """What the engine has done to any container since they started: (action, name)."""
        lines = docker(
            "events", "--since", f"{self.began:.9f}", "--until", f"{time.time():.9f}",
            "--filter", "type=container", "--format", "{{.Action}} {{.Actor.Attributes.name}}",
        ).splitlines()  # fmt: skip
        # Health checks of others run on.
        return [tuple(line.rsplit(" ", 1)) for line in lines if not line.startswith(("exec_", "health_"))]

    def happened_so_far(self) -> list[tuple[str, str]]:
        """The same, when nothing comes any more: the engine tells of an end a moment after it."""
        seen = []

        def settled() -> bool:
            seen.append(sorted(self.happened()))
            return len(seen) > 1 and seen[-1] == seen[-2]

        until(settled, 20, "the engine has told everything")
        return seen[-1]


class Filter:
    """HAProxy as the stack starts it, with these names in its list."""

    def __init__(self, containers: Containers, *names: str):
        self.containers = containers
        self.container = f"filter-proxy-{secrets.token_hex(4)}"
        folder = Path(os.environ["STACK_WORK"]) / self.container
        folder.mkdir()
        (folder / "names.lst").write_text("".join(f"{name}\n" for name in names))
        readable(folder)
        engine = os.environ["DOCKER_HOST"].removeprefix("unix://")
        docker(
            "run", "--detach", "--name", self.container, "--read-only", "--cap-drop", "ALL",
            "--security-opt", "no-new-privileges", "--user", "99:99", "--group-add", str(os.stat(engine).st_gid),
            "--volume", f"{ROOT}/deploy/docker-proxy:/usr/local/etc/haproxy:ro",
            "--volume", f"{folder}:/run/docker-proxy:ro", "--volume", f"{engine}:/run/docker.sock",
            "--entrypoint", "haproxy", HAPROXY, "-W", "-db", "-f", "/usr/local/etc/haproxy/haproxy.cfg",
        )  # fmt: skip
        self.address = docker("inspect", "--format", "{{.NetworkSettings.IPAddress}}", self.container)
        try:
            until(self.listens, 20, "HAProxy listens")
        except AssertionError:
            self.close()
            raise

    def listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((self.address, 2375)) == 0

    def close(self):
        docker("rm", "--force", self.container)

    def send(self, raw: bytes) -> str:
        """Everything that comes back until the connection ends."""
        answer = b""
        with socket.create_connection((self.address, 2375), timeout=30) as connection:
            connection.sendall(self.containers.named_in(raw))
            with contextlib.suppress(ConnectionResetError):
                while more := connection.recv(65536):
                    answer += more
        return answer.decode("latin-1")


@pytest.fixture(scope="module")
def containers():
    containers = Containers()
    yield containers
    containers.close()


@pytest.fixture(scope="module")
def gate(containers):
    gate = Filter(containers, containers.names["listed"])
    containers.began = time.time()
    yield gate
    gate.close()


def statuses(answer: str) -> list[int]:
    return [int(code) for code in re.findall(r"^HTTP/1\.[01] (\d+)", answer, re.M)]


def refused(answer: str) -> bool:
    """Whether it is the filter's own, or no answer at all: the engine speaks JSON or plain text."""
    head = answer.lower()
    own = "content-type: text/html" in head and "cache-control: no-cache" in head
    return not answer or (own and all(400 <= code < 500 for code in statuses(answer)))


def of_the_engine(answer: str) -> bool:
    return re.search(r"^(api-version|server: docker|docker-experimental|ostype):?", answer, re.I | re.M) is not None


@pytest.mark.parametrize("name", hostile.ALLOWED)
def test_what_remediation_asks_passes(gate, name):
    raw, status = hostile.ALLOWED[name]
    answer = gate.send(raw)
    assert statuses(answer) == [status], answer
    assert of_the_engine(answer)


def test_a_restart_restarts_and_a_description_describes(gate, containers):
    before = containers.started("listed")
    assert statuses(gate.send(hostile.ALLOWED["restart"][0])) == [204]
    assert containers.started("listed") != before
    answer = gate.send(hostile.ALLOWED["description"][0])
    described = json.loads(answer[answer.index("{") : answer.rindex("}") + 1])
    assert described["Name"] == "/" + containers.names["listed"]


def test_nothing_else_passes_whatever_it_looks_like(gate, containers):
    before = {part: containers.started(part) for part in containers.names}
    known = containers.happened_so_far()
    # Some say nothing more and wait for the end: side by side they take as long as one.
    with ThreadPoolExecutor(32) as pool:
        answers = dict(zip(hostile.CASES, pool.map(gate.send, hostile.CASES.values()), strict=True))
    passed = {name: answer[:200] for name, answer in answers.items() if not refused(answer)}
    assert not passed
    assert {part: containers.started(part) for part in before} == before
    assert containers.happened_so_far() == known
    figures.append(f"filter before the engine: {len(answers)} hostile requests refused")


def test_the_engine_never_did_anything_to_the_one_that_is_not_listed(gate, containers):
    names = {name for _, name in containers.happened()}
    assert containers.names["listed"] in names and containers.names["unlisted"] not in names


def test_without_names_nobody_is_restarted(containers):
    """As when no target is configured."""
    gate = Filter(containers)
    try:
        assert statuses(gate.send(hostile.ALLOWED["restart"][0])) == [403]
        assert statuses(gate.send(hostile.ALLOWED["ping"][0])) == [200]
    finally:
        gate.close()
