"""The JSON is what Grafana's own schema packages describe: 9.4's and the newest."""

import copy
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from dashboards import DASHBOARDS, ROOT

NODE_MODULES = Path(os.environ["MCPMON_DASHBOARD_NODE_MODULES"])

OPTIONS = [
    "--noEmit", "--strict", "--skipLibCheck", "--target", "es2022", "--module", "preserve",
    "--moduleResolution", "node10", "--pretty", "false",
]  # fmt: skip

UNKNOWN_OVERRIDE = {
    "matcher": {"id": "byName", "options": "x"},
    "properties": [{"id": "custom.lineDash", "value": 1}],
}

# The names of the types in schema.ts.
AGES = ("Oldest", "Newest")


def complaints(folder: Path, dashboards: dict[str, dict]) -> list[str]:
    """What the TypeScript compiler says to a program that assigns the dashboards to the types."""
    (folder / "node_modules").symlink_to(NODE_MODULES)
    shutil.copy(Path(__file__).with_name("schema.ts"), folder)
    for name, dashboard in dashboards.items():
        text = json.dumps(dashboard, indent=1)
        for age in AGES:
            (folder / f"{name}-{age}.ts").write_text(
                f'import type {{ {age} }} from "./schema";\nexport const dashboard: {age} = {text};\n'
            )
    command = [NODE_MODULES / ".bin" / "tsc", *OPTIONS]
    compiled = subprocess.run(
        [*command, *(file.name for file in folder.glob("*-*.ts"))], cwd=folder, capture_output=True, text=True
    )
    assert compiled.stdout or compiled.returncode == 0, compiled.stderr
    return compiled.stdout.splitlines()


def test_the_dashboards_are_of_grafana_s_types(tmp_path):
    assert complaints(tmp_path, {d.name: d.json for d in DASHBOARDS}) == []


def test_what_grafana_does_not_know_is_found(tmp_path):
    """Each fault in a copy of its own, so that the check above is known to see it."""

    def broken(change) -> dict:
        dashboard = copy.deepcopy(next(d.json for d in DASHBOARDS if d.name == "devskyy_dashboard"))
        change(dashboard, next(p for p in dashboard["panels"] if p["type"] == "timeseries"))
        return dashboard

    faults = {
        "field": broken(lambda d, p: d.update(autoRefresh="30s")),
        "panel": broken(lambda d, p: p.update(type="pie")),
        "option": broken(lambda d, p: p["options"].update(hideLegend=True)),
        "value": broken(lambda d, p: p["options"]["tooltip"].update(mode="several")),
        "custom": broken(lambda d, p: p["fieldConfig"]["defaults"]["custom"].update(lineDash=1)),
        "override": broken(lambda d, p: p["fieldConfig"]["overrides"].append(UNKNOWN_OVERRIDE)),
        "variable": broken(lambda d, p: d["templating"]["list"][0].update(type="choice")),
    }
    said = complaints(tmp_path, faults)
    assert {line.partition(".ts(")[0] for line in said} == {f"{f}-{age}" for f in faults for age in AGES}


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda d: d.name)
def test_the_number_lets_9_4_load_and_newer_servers_migrate(dashboard):
    assert dashboard.json["schemaVersion"] == 37
    assert "id" not in dashboard.json, "a provisioned dashboard has no id of its own"


def provisioned(kind: str) -> dict:
    (file,) = (ROOT / "grafana" / "provisioning" / kind).glob("*.yml")
    return yaml.safe_load(file.read_text())


def test_the_data_source_is_the_one_that_dashboards_choose():
    (source,) = provisioned("datasources")["datasources"]
    assert source["uid"] == "prometheus"
    assert source["url"] == "http://prometheus:9090"
    for dashboard in DASHBOARDS:
        variable = dashboard.variables()["datasource"]
        assert variable["query"] == source["type"]
        assert variable["current"] == {"text": source["name"], "value": source["uid"]}


def test_the_dashboards_are_provisioned_from_a_folder():
    (provider,) = provisioned("dashboards")["providers"]
    assert provider["type"] == "file"
    assert provider["options"]["path"] == "/var/lib/grafana/dashboards"
    assert provider["allowUiUpdates"] is False


class Compose(yaml.SafeLoader):
    """Reads Compose's `!reset`, which takes away what `extends` brought."""


Compose.add_constructor("!reset", lambda loader, node: None)


def test_the_stack_mounts_what_grafana_is_told_to_read():
    """Grafana itself is not started in the tests; what it would look for lies where it looks."""
    compose = yaml.load((ROOT / "docker-compose.yml").read_text(), Loader=Compose)
    volumes = compose["services"]["grafana"]["volumes"]
    mounts = {inside: outside for outside, inside, *_ in (one.split(":") for one in volumes)}
    (provider,) = provisioned("dashboards")["providers"]
    assert mounts[provider["options"]["path"]] == "./grafana/dashboards"
    assert mounts["/etc/grafana/provisioning"] == "./grafana/provisioning"
    for dashboard in DASHBOARDS:
        runbook = dashboard.variables()["runbook"]["query"]
        assert mounts[f"/usr/share/grafana{runbook}"] == "./docs/RUNBOOK.md"


def test_the_dashboards_are_what_their_source_generates():
    checked = subprocess.run(
        [ROOT / "grafana" / "generate", "--check"], capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stderr
