"""`make up` in a fresh clone, and nothing else: our images are compiled inside Docker. Not among the
tests that pytest finds by itself, for it compiles everything; `make image-build-test` names it."""

import os
import subprocess
import time
from pathlib import Path

from conftest import figures, image_sizes
from stack import ROOT, Stack, docker, every_address_works

CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")


def test_make_up_needs_nothing_but_a_clone():
    work = Path(os.environ["STACK_WORK"])
    clone = work / "clone"
    subprocess.run(["git", "clone", "--quiet", "--no-local", ROOT, clone], check=True)
    stack = Stack(work, root=clone, patience=3000)
    del stack.environment["MCPMON_STATE"]
    stack.environment.pop("MCPMON_PREBUILT", None)
    # The machine's own, for where TLS is inspected on the way out; elsewhere it changes nothing.
    stack.environment["MCPMON_CA_BUNDLE"] = str(CA_BUNDLE)
    begun = time.monotonic()
    try:
        welcome = stack.make("up")
        figures.append(f"make up in a clean clone: {time.monotonic() - begun:.0f} s")
        figures.append(image_sizes())
        assert "FAILED" not in welcome
        every_address_works(stack, welcome)
        assert_programs_brought_no_secrets()
        begun = time.monotonic()
        stack.make("up")
        figures.append(f"make up, again: {time.monotonic() - begun:.0f} s")
        stack.make("demo")
    finally:
        stack.make("down", ARGS="--volumes")
    assert stack.listed("ps", "--all") == stack.listed("volume", "ls") == []


def assert_programs_brought_no_secrets():
    """The build's CA bundle and the clone stay outside; the image has the builder's own bundle."""
    for name in ("mcpmon-exporter", "mcpmon-health-monitor", "mcpmon-remediation", "mcpmon-tap", "mcpmon"):
        image = f"{name}:0.1.0"
        container = docker("create", image)
        try:
            done = subprocess.run(
                f"docker export {container} | tar -t", shell=True, check=True,
                capture_output=True, text=True,
            )  # fmt: skip
        finally:
            docker("rm", container)
        files = done.stdout.split()
        assert any(name.startswith("usr/local/bin/mcp") for name in files)
        strange = [name for name in files if name.startswith(("src/", "run/secrets/", "root/"))]
        assert not strange
