"""One demo, watched by each generation of Prometheus at the same time."""

import contextlib

import pytest

import monitoring


@pytest.fixture(scope="session")
def watchers(tmp_path_factory):
    with contextlib.ExitStack() as stack:
        exporter = stack.enter_context(monitoring.demo(tmp_path_factory.mktemp("demo")))
        yield {
            name: stack.enter_context(
                monitoring.prometheus(name, tmp_path_factory.mktemp(name), exporter)
            )
            for name in monitoring.GENERATIONS
        }


@pytest.fixture(params=monitoring.GENERATIONS)
def watcher(request, watchers):
    return watchers[request.param]
