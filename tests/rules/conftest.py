import os
from pathlib import Path

import pytest

VERSIONS = ("2.42", "3.5")
FOLDERS = {"2.42": "MCPMON_PROMETHEUS_2", "3.5": "MCPMON_PROMETHEUS_3"}


@pytest.fixture(scope="session")
def programs():
    """Where a program of that Prometheus version is; Alertmanager comes with 3.5."""

    def path(version: str, program: str) -> Path:
        found = Path(os.environ[FOLDERS[version]]) / program
        assert found.exists(), f"{found} is missing; make test-deps installs it"
        return found

    return path
