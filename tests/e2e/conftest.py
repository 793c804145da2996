from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

import parties
import servers
import session
from exporter import Scrape, running_exporter
from servers import Server
from session import Wire


@dataclass(frozen=True)
class Scene:
    """A server, and the client that speaks to it."""

    server: Server
    client: str


@dataclass(frozen=True)
class Observed:
    """A whole session behind the tap, and the scrape after it."""

    wire: Wire
    scrape: Scrape


@pytest.fixture
def exporter(tmp_path):
    with running_exporter(tmp_path) as running:
        yield running


@pytest.fixture
def repository(tmp_path):
    return servers.make_repository(tmp_path / "repository")


@pytest.fixture(scope="session")
def page():
    """The address of a page that is always the same."""
    with parties.page("<h1>Silk</h1><p>Grüße, 世界.</p>" * 50) as url:
        yield url


def scenes(clients: str, *servers: str, **options):
    """Each of these clients before each of these servers."""
    return [
        pytest.param((server, client), id=f"{server}-{client}", **options)
        for server in servers
        for client in clients.split()
    ]


SCENES = [
    *scenes("legacy auto", "git", "time", "everything"),
    # Made with the same SDK as server-everything, so the other era tells nothing new.
    *scenes("legacy", "filesystem", "memory"),
    *scenes("auto", "fetch", "sqlite", "fastmcp"),
    *scenes("legacy auto 1.x typescript-2 rmcp", "boutique"),
    *scenes("1.x typescript typescript-2 rmcp", "everything"),
    # Every other pair of these.
    *scenes("1.x typescript typescript-2 rmcp", "git", "time", "fetch", "sqlite", "fastmcp", marks=pytest.mark.thorough),
    *scenes("1.x typescript typescript-2 rmcp", "filesystem", "memory", marks=pytest.mark.thorough),
    *scenes("legacy", "fetch", "fastmcp", marks=pytest.mark.thorough),
    *scenes("typescript", "boutique", marks=pytest.mark.thorough),
]


@pytest.fixture(scope="session", params=SCENES)
def scene(request, tmp_path_factory) -> Scene:
    name, client = request.param
    if name == "git":
        repository = servers.make_repository(tmp_path_factory.mktemp("git") / "repository")
        return Scene(servers.git(repository), client)
    if name == "filesystem":
        return Scene(servers.filesystem(tmp_path_factory.mktemp("files")), client)
    if name == "fetch":
        return Scene(servers.fetch(request.getfixturevalue("page")), client)
    return Scene(getattr(servers, name)(), client)


@pytest.fixture(scope="session")
def held(scene, tmp_path_factory) -> tuple[Wire, Observed]:
    """The scene's session without the product and behind the tap, with an exporter of its own; at the same
    time, for what takes long is the start of the programs."""
    apart, folder = tmp_path_factory.mktemp("direct"), tmp_path_factory.mktemp("observed")
    server = scene.server
    with running_exporter(folder) as exporter, ThreadPoolExecutor(1 if server.is_shared else 2) as hands:
        direct, tapped = session.direct(apart, server), session.tapped(folder, server, exporter.url)
        for one in [hands.submit(session.hold, wire, scene.client, server) for wire in (direct, tapped)]:
            one.result()
        return direct, Observed(tapped, exporter.wait_for_calls(server.name, server.call_count))


@pytest.fixture(scope="session")
def direct(held) -> Wire:
    return held[0]


@pytest.fixture(scope="session")
def observed(held) -> Observed:
    return held[1]
