"""`make run`: one command, every family that the exporter publishes has samples, and the health
monitor finds the boutique well."""

import json
import os
import re
import subprocess
import threading
import urllib.request
from pathlib import Path

import test_page
from exporter import BINARIES, Exporter, Scrape, promtool_remarks, read_until

METRICS_PAGE = Path(__file__).parents[2] / "docs" / "METRICS.md"


def catalogued() -> set[str]:
    """The families that docs/METRICS.md lists for the exporter."""
    section = METRICS_PAGE.read_text().split("## mcp-exporter\n")[1].split("\n## ")[0]
    return set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))


def sampled(text: str) -> set[str]:
    """The families of a scrape that have at least one sample."""
    families = set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))
    samples = set(re.findall(r"^(\w+)[{ ]", text, re.MULTILINE))
    return {family for family in families if {family, f"{family}_count"} & samples}


def test_the_demo_fills_every_family_of_the_exporter(tmp_path):
    demo = subprocess.Popen(
        [BINARIES / "mcpmon", "run", "--demo", "--for", "25s"],
        cwd=tmp_path,
        env=os.environ | {"METRICS_PORT": "0", "MCPMON__HEALTH_MONITOR__PORT": "0", "MCPMON__REMEDIATION__PORT": "0"},
        stdout=subprocess.PIPE,
        stderr=(tmp_path / "stderr").open("w"),
        text=True,
    )
    try:
        address = read_until(demo.stdout, r"Metrics +(http://127\.0\.0\.1:\d+)/metrics")
        components = read_until(demo.stdout, r"Health +(http://127\.0\.0\.1:\d+/api/v1/components)")
        lines = []
        reader = threading.Thread(target=lambda: lines.extend(demo.stdout))
        reader.start()
        exporter = Exporter(address, demo)
        # Some gauges have samples only while a call waits or runs.
        missing = catalogued()

        def complete(scrape: Scrape) -> bool:
            missing.difference_update(sampled(scrape.text))
            return not missing

        scrape = exporter.wait_for(complete, seconds=17)
        assert not missing
        assert promtool_remarks(scrape.text) == ""
        counted = scrape.values("mcp_tool_calls_total", "boutique").total()
        assert "<title>" in exporter.get("/")
        assert exporter.json("/api/v1/summary")
        the_boutique_is_well(exporter, components, tmp_path)

        assert demo.wait(timeout=40) == 0, (tmp_path / "stderr").read_text()
        reader.join()
        assert int(re.search(r"(\d+) calls", lines[-1])[1]) >= counted > 0
    finally:
        demo.kill()
        demo.wait()


def the_boutique_is_well(exporter: Exporter, components: str, folder: Path) -> None:
    """To the health monitor, and on the page."""
    with urllib.request.urlopen(components, timeout=10) as answer:
        found = {component["name"]: component for component in json.load(answer)["components"]}
    assert found.keys() == {"boutique", "metrics_server"}
    boutique = found["boutique"]
    assert (boutique["kind"], boutique["state"], boutique["up"]) == ("mcp", "healthy", True)
    assert (boutique["tools"]["listed"], boutique["tools"]["unavailable"]) == (10, [])
    exporter.wait_for_components({"boutique": "healthy", "metrics_server": "healthy"})
    page = test_page.browse(folder, exporter.url, "--dump-dom")
    assert test_page.complaints(page) == []
    shown = {row[0]: row for row in test_page.Tables(page.stdout).rows["components"]}
    assert shown["boutique"][1:3] == ["mcp", "✓ healthy"] and shown["boutique"][4] == "10 of 10"
