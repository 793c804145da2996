from dataclasses import dataclass

import pytest

import servers
import session
from exporter import Scrape, running_exporter
from servers import ERAS, Server
from session import Wire


@dataclass(frozen=True)
class Scene:
    """A server, and the mode in which the client speaks to it."""

    server: Server
    mode: str


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


SCENES = [(name, mode) for name in ("git", "time", "everything") for mode in ERAS]
# Made with the same SDK as server-everything, so the other era tells nothing new.
SCENES += [("filesystem", "legacy"), ("memory", "legacy")]


@pytest.fixture(scope="session", params=SCENES, ids=["-".join(scene) for scene in SCENES])
def scene(request, tmp_path_factory) -> Scene:
    name, mode = request.param
    if name == "git":
        repository = servers.make_repository(tmp_path_factory.mktemp("git") / "repository")
        return Scene(servers.git(repository), mode)
    if name == "filesystem":
        return Scene(servers.filesystem(tmp_path_factory.mktemp("files")), mode)
    return Scene(getattr(servers, name)(), mode)


@pytest.fixture(scope="session")
def direct(scene, tmp_path_factory) -> Wire:
    """The scene's session without the product."""
    wire = session.direct(tmp_path_factory.mktemp("direct"), scene.server)
    session.run(session.hold, wire, scene.mode, scene.server)
    return wire


@pytest.fixture(scope="session")
def observed(scene, tmp_path_factory) -> Observed:
    """The scene's session behind the tap, with an exporter of its own."""
    folder = tmp_path_factory.mktemp("observed")
    with running_exporter(folder) as exporter:
        wire = session.tapped(folder, scene.server, exporter.url)
        session.run(session.hold, wire, scene.mode, scene.server)
        return Observed(wire, exporter.wait_for_calls(scene.server.name, scene.server.call_count))
