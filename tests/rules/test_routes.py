"""Who gets which alert, as amtool reads the rendered configuration."""

import subprocess

import pytest
import yaml

from rulebook import ALERTS
from servers import render

BY_SEVERITY = {"critical": "critical", "warning": "warning", "info": "status-page", "none": "dead-mans-switch"}
SECRETS = ("SLACK_WEBHOOK_URL_FILE", "DEADMAN_URL_FILE", "EXPORTER_WEBHOOK_TOKEN_FILE", "REMEDIATION_WEBHOOK_TOKEN_FILE")
REMEDIATION = {"REMEDIATION_URL": "http://remediation:9096"}


@pytest.fixture
def secrets(tmp_path) -> dict[str, str]:
    for name in SECRETS:
        (tmp_path / name).write_text("https://localhost/")
    return {name: str(tmp_path / name) for name in SECRETS}


@pytest.fixture
def amtool(programs):
    def run(*arguments) -> str:
        done = subprocess.run([programs("3.5", "amtool"), *arguments], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    return run


def receivers(path) -> dict[str, set[str]]:
    """What each receiver has."""
    config = yaml.safe_load(path.read_text())
    return {receiver["name"]: set(receiver) - {"name"} for receiver in config["receivers"]}


@pytest.mark.parametrize("others", [{}, REMEDIATION], ids=["alone", "with remediation"])
@pytest.mark.parametrize("present", [(), *((name,) for name in SECRETS), SECRETS], ids=lambda names: "+".join(names) or "none")
def test_amtool_accepts_it_with_any_secrets(amtool, secrets, tmp_path, present, others):
    amtool("check-config", render(tmp_path, **{name: secrets[name] for name in present}, **others))


def test_without_secrets_alerts_go_to_the_status_page_alone(tmp_path):
    assert receivers(render(tmp_path)) == {
        "status-page": {"webhook_configs"},
        "critical": {"webhook_configs"},
        "warning": {"webhook_configs"},
        "dead-mans-switch": set(),
    }


def test_with_secrets_every_receiver_is_there(tmp_path, secrets):
    path = render(tmp_path, **secrets)
    assert receivers(path) == {
        "status-page": {"webhook_configs"},
        "critical": {"webhook_configs", "slack_configs"},
        "warning": {"webhook_configs", "slack_configs"},
        "dead-mans-switch": {"webhook_configs"},
    }
    webhook = yaml.safe_load(path.read_text())["receivers"][0]["webhook_configs"][0]
    assert webhook["url"] == "http://exporter:9090/v1/alerts"
    assert webhook["http_config"]["authorization"]["credentials_file"] == secrets["EXPORTER_WEBHOOK_TOKEN_FILE"]
    assert "${" not in path.read_text() and "#if" not in path.read_text() and "#end" not in path.read_text()


def test_remediation_is_told_with_its_token_and_of_the_end_too(tmp_path, secrets):
    config = yaml.safe_load(render(tmp_path, **secrets, **REMEDIATION).read_text())
    (receiver,) = [one for one in config["receivers"] if one["name"] == "remediation"]
    (webhook,) = receiver["webhook_configs"]
    assert webhook["url"] == "http://remediation:9096/v1/alerts"
    assert webhook["send_resolved"] is True
    assert webhook["http_config"]["authorization"]["credentials_file"] == secrets["REMEDIATION_WEBHOOK_TOKEN_FILE"]


def test_render_refuses_what_would_break_the_file(tmp_path):
    with pytest.raises(subprocess.CalledProcessError):
        render(tmp_path, EXPORTER_URL="http://x\nroute: {}")
    assert not (tmp_path / "alertmanager.yml").exists()


@pytest.mark.parametrize("alert", argvalues=ALERTS, ids=lambda alert: alert.name)
def test_the_alert_goes_by_its_severity_unless_the_monitor_tells_it(amtool, tmp_path, alert):
    labels = [f"alertname={alert.name}", *(f"{name}={value}" for name, value in alert.raw["labels"].items())]
    expected = "status-page" if "notify" in alert.raw["labels"] else BY_SEVERITY[alert.severity]
    amtool("config", "routes", "test", f"--config.file={render(tmp_path)}", f"--verify.receivers={expected}", *labels)


@pytest.mark.parametrize("labels, receiver", [
    (["alertname=Anything", "severity=critical", "notify=monitor"], "status-page"),
    (["alertname=Other", "severity=critical"], "critical"),
    (["alertname=Other"], "status-page"),
])
def test_other_alerts_have_a_route(amtool, tmp_path, labels, receiver):
    amtool("config", "routes", "test", f"--config.file={render(tmp_path)}", f"--verify.receivers={receiver}", *labels)


@pytest.mark.parametrize("labels, receivers", [
    (["alertname=ComponentDown", "component=api", "severity=critical", "notify=monitor"], "remediation,status-page"),
    (["alertname=McpServerDown", "server=boutique", "severity=critical", "notify=monitor"], "remediation,status-page"),
    # A rule of the user's own says what is wrong.
    (["alertname=Own", "server=boutique", "failure=http_5xx", "severity=critical"], "remediation,critical"),
    (["alertname=Own", "component=api", "failure=timeout"], "remediation,status-page"),
    (["alertname=ServerErrorRatioHigh", "server=boutique", "severity=critical"], "critical"),
    (["alertname=ServerDown", "job=devskyy_mcp", "severity=critical"], "critical"),
    (["alertname=DeadMansSwitch", "severity=none"], "dead-mans-switch"),
    (["alertname=RepairCircuitOpen", "component=api", "severity=warning", "notify=monitor"], "status-page"),
    (["alertname=UntoldTrouble", "component=api", "severity=critical"], "critical"),
])
def test_remediation_hears_of_what_is_down_beside_the_others(amtool, tmp_path, labels, receivers):
    config = render(tmp_path, **REMEDIATION)
    amtool("config", "routes", "test", f"--config.file={config}", f"--verify.receivers={receivers}", *labels)


def test_inhibition_asks_for_each_label_it_compares(tmp_path):
    """A label that both sides lack counts as equal, so one alert could silence all others."""
    for rule in yaml.safe_load(render(tmp_path).read_text())["inhibit_rules"]:
        for side in ("source_matchers", "target_matchers"):
            for label in rule["equal"]:
                assert f'{label}!=""' in rule[side], f"{side} of {rule} does not ask for {label}"


def test_inhibition_names_alerts_that_exist(tmp_path):
    names = {alert.name for alert in ALERTS}
    for rule in yaml.safe_load(render(tmp_path).read_text())["inhibit_rules"]:
        for matcher in rule["source_matchers"] + rule["target_matchers"]:
            if matcher.startswith("alertname"):
                assert set(matcher.split('"')[1].split("|")) <= names, matcher
