"""Every alert has a case in which it fires, one in which it is silent, one without data."""

import subprocess

import pytest
import yaml

from conftest import VERSIONS
from rulebook import ALERTS, PROMETHEUS, RECORDS

CASES = [
    (case, test)
    for path in sorted((PROMETHEUS / "tests").glob("*.yml"))
    for case in yaml.safe_load(path.read_text())["tests"]
    for test in case["alert_rule_test"]
]


def test_every_case_says_its_kind():
    for case, _ in CASES:
        assert case["name"].startswith(("fires: ", "silent: ", "absent: ")), case["name"]


def test_cases_name_alerts_that_exist():
    assert {test["alertname"] for _, test in CASES} == {alert.name for alert in ALERTS}


def raw_metrics(rule) -> set[str]:
    """The metrics that an alert rests on, through the recorded ones."""
    records = {record.name: record for record in RECORDS}
    found = set()
    for name in rule.metrics:
        found |= raw_metrics(records[name]) if name in records else {name}
    return found


def fed(case) -> set[str]:
    return {series["series"].split("{")[0] for series in case.get("input_series", [])}


@pytest.mark.parametrize("alert", argvalues=ALERTS, ids=lambda alert: alert.name)
def test_the_alert_has_a_case_in_which_it_fires(alert):
    assert any(test["exp_alerts"] for case, test in CASES if test["alertname"] == alert.name and case["name"].startswith("fires"))


@pytest.mark.parametrize("alert", argvalues=ALERTS, ids=lambda alert: alert.name)
def test_the_alert_has_a_case_in_which_data_leave_it_silent(alert):
    if not alert.metrics:
        assert alert.name == "DeadMansSwitch", "only the dead-man's switch always fires"
        return
    silent = [
        case
        for case, test in CASES
        if test["alertname"] == alert.name and not test["exp_alerts"] and case["name"].startswith("silent")
    ]
    assert any(fed(case) & raw_metrics(alert) for case in silent), "a silent case has to feed what the alert reads"


@pytest.mark.parametrize("alert", argvalues=ALERTS, ids=lambda alert: alert.name)
def test_the_alert_has_a_case_in_which_its_data_end(alert):
    absent = [case for case, test in CASES if test["alertname"] == alert.name and case["name"].startswith("absent")]
    assert absent
    for case in absent:
        assert all(series["values"].endswith(" stale") for series in case["input_series"])
        assert raw_metrics(alert) & fed(case) or not alert.metrics, "the case has to feed what the alert reads"


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("path", sorted((PROMETHEUS / "tests").glob("*.yml")), ids=lambda path: path.stem)
def test_promtool_agrees(programs, version, path):
    done = subprocess.run([programs(version, "promtool"), "test", "rules", path], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("version", VERSIONS)
def test_promtool_accepts_the_configuration(programs, version):
    promtool = programs(version, "promtool")
    rules = sorted((PROMETHEUS / "rules").glob("*.yml"))
    for command in (
        [promtool, "check", "rules", "--lint=all", "--lint-fatal", *rules],
        [promtool, "check", "config", "--syntax-only", PROMETHEUS / "prometheus.yml"],
    ):
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
