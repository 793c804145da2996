"""The program mcp-health-monitor: as a service, whose words are awaited, and as a command."""

import contextlib
import json
import os
import signal
import subprocess
import threading
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from exporter import BINARIES, Scrape, read_until
from parties import eventually

PROGRAM = BINARIES / "mcp-health-monitor"
OPERATE_TOKEN = "operators-only"

# As often as may be, so that three failures take a second; and slow only where a busy machine is not
# the reason.
HASTE = {"interval_seconds": 0.5, "recheck_seconds": 0.5, "slow_seconds": 5, "timeout_seconds": 10}


def table(name: str, values: dict) -> str:
    """One table of TOML. Texts, numbers, booleans and lists are written as in JSON."""
    lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in values.items()]
    return "\n".join([f"[{name}]", *lines, ""])


def configuration(folder: Path, components: dict[str, dict], **tables: dict) -> Path:
    """Writes a configuration of these components; more tables by their names."""
    path = folder / "health.toml"
    monitor = HASTE | {"port": 0, "operate_token": OPERATE_TOKEN} | tables.pop("health_monitor", {})
    tables = {"health_monitor": monitor, "coordination": {"state_dir": str(folder / "state")}} | tables
    text = [table(name, values) for name, values in tables.items()]
    text += [table(f"health_monitor.components.{name}", keys) for name, keys in components.items()]
    path.write_text("\n".join(text))
    return path


def command(folder: Path, *arguments, **environment: str) -> subprocess.CompletedProcess:
    """Runs the program to its end, with nothing in its environment but PATH and what is given."""
    environment = {"PATH": os.environ["PATH"]} | environment
    return subprocess.run([PROGRAM, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=60)


@dataclass(frozen=True)
class Once:
    code: int
    report: dict

    @property
    def status(self) -> str:
        return self.report["overall"]["status"]

    @property
    def reasons(self) -> str:
        return "\n".join(self.report["overall"]["reasons"])

    def states(self) -> dict[str, str]:
        return states(self.report)


def once(config: Path) -> Once:
    """One `--once --format json` with that configuration."""
    ended = command(config.parent, "--once", "--format", "json", "--config", config)
    assert ended.stdout, ended.stderr
    return Once(ended.returncode, json.loads(ended.stdout))


def states(report: dict) -> dict[str, str]:
    return {component["name"]: component["state"] for component in report["components"]}


@dataclass(frozen=True)
class Monitor:
    url: str
    config: Path
    log: Path

    def get(self, path: str) -> str:
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            return answer.read().decode()

    def report(self) -> dict:
        return json.loads(self.get("/api/v1/components"))

    def scrape(self) -> Scrape:
        return Scrape(self.get("/metrics"))

    def wait_for(self, condition: Callable[[dict], object], seconds: float = 30) -> dict:
        """The first report that meets `condition`; past the deadline, what there is instead."""

        def met() -> dict | None:
            report = self.report()
            return report if condition(report) else None

        try:
            return eventually("a report", met, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{json.dumps(self.report(), indent=1)}\n{self.log.read_text()[-4000:]}") from None

    def wait_for_states(self, wanted: dict[str, str], seconds: float = 30) -> dict[str, dict]:
        """The components by name, once those that are named are in that state."""
        report = self.wait_for(lambda report: wanted.items() <= states(report).items(), seconds)
        return {component["name"]: component for component in report["components"]}

    def operate(self, *arguments: str) -> str:
        """What the program says to an operator who runs it beside this monitor."""
        port = self.url.rpartition(":")[2]
        ended = command(self.config.parent, *arguments, "--config", self.config, MCPMON__HEALTH_MONITOR__PORT=port)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout


@contextlib.contextmanager
def running_monitor(config: Path) -> Iterator[Monitor]:
    """Starts the service with that configuration and stops it with SIGTERM, to which it must answer 0."""
    log = config.parent / "monitor.log"
    with log.open("a") as errors:
        process = subprocess.Popen(
            [PROGRAM, "--config", config],
            cwd=config.parent,
            env={"PATH": os.environ["PATH"]},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    try:
        url = read_until(process.stdout, r"listening on (http://127\.0\.0\.1:\d+)")
        threading.Thread(target=process.stdout.read, daemon=True).start()
        yield Monitor(url, config, log)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0, log.read_text()[-4000:]
    finally:
        process.kill()
        process.wait()
