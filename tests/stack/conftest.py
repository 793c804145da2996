import os
import re
import time
from pathlib import Path

import pytest

from receiver import Receiver
from stack import Stack, docker

figures: list[str] = []


@pytest.fixture(scope="session")
def slack():
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture(scope="session")
def stack(slack):
    """The stack, brought up from nothing, with its webhook at our receiver."""
    stack = Stack(Path(os.environ["STACK_WORK"])).hasten()
    begun = time.monotonic()
    try:
        stack.welcome = stack.make("up", SLACK_WEBHOOK_URL=slack.url)
        healthy = re.search(r"healthy after (\d+) s", stack.welcome)[1]
        took = time.monotonic() - begun
        figures.append(f"make up: {took:.1f} s, healthy {healthy} s after the start")
        figures.append(image_sizes())
        yield stack
    finally:
        stack.make("down", ARGS="--volumes")
        # The engine's data stay for the next run, and these are of no use to it.
        docker("image", "prune", "--force")


@pytest.fixture(scope="session")
def demo(stack):
    """The stack with demo traffic."""
    stack.make("demo")
    yield stack


def image_sizes() -> str:
    """One line with each image of the stack that is there, and its size."""
    images = docker("images", "--format", "{{.Repository}}:{{.Tag}} {{.Size}}").splitlines()
    named = ("mcpmon", "prom/", "redis:", "haproxy:", "grafana/grafana:")
    return "images: " + ", ".join(sorted(image for image in images if image.startswith(named)))


def pytest_terminal_summary(terminalreporter):
    for figure in figures:
        terminalreporter.write_line(f"measured: {figure}")
