"""Rules name what exists, and keep to what pint and the conventions ask for."""

import re

import promql_parser as promql
import pytest

from rulebook import ALERTS, FOREIGN, RECORDS, ROOT, RULES, buckets, catalogue, descend, matchers

SCRAPE_SECONDS = 15
LOOK_BACK_SECONDS = 300
RANGE_FUNCTIONS = {"rate", "irate", "increase", "delta", "deriv", "resets", "changes"}
COUNTER_FUNCTIONS = {"rate", "irate", "increase", "resets", "absent", "absent_over_time"}
TARGET_LABELS = {"job", "instance", "service", "environment"}
BY_NAME = dict(argvalues=RULES, ids=lambda rule: rule.name)


def seconds(text: str) -> int:
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    return sum(int(n) * units[unit] for n, unit in re.findall(r"(\d+)([smhd])", text))


def test_names_are_unique():
    names = [rule.name for rule in RULES]
    assert sorted(names) == sorted(set(names))
    groups = {(rule.file, rule.group["name"]) for rule in RULES}
    assert len(groups) == len({name for _, name in groups})


def kept_labels(rule) -> set[str]:
    """The labels that an alert's series can have; absent() makes them of its matchers."""
    if any(isinstance(node, promql.Call) and node.func.name == "absent" for node, _ in rule.nodes):
        return {label for selector in rule.selectors for label in matchers(selector)}
    aggregations = [node for node, _ in rule.nodes if isinstance(node, promql.AggregateExpr)]
    kept = set() if aggregations else set(TARGET_LABELS)
    for node in aggregations:
        kept |= set(node.modifier.labels) - {"le"} if node.modifier else set()
    known = catalogue()
    for selector in rule.selectors:
        level, _, recorded = selector.name.partition(":")
        if recorded and not aggregations:
            kept |= {{"tool": "tool_name"}.get(label, label) for label in level.split("_")}
        elif not aggregations:
            kept |= known.get(selector.name, {"alertmanager", "integration", "rule_group"})
    return kept


@pytest.mark.parametrize("rule", **BY_NAME)
def test_metrics_and_labels_are_catalogued(rule):
    known = catalogue()
    recorded = {record.name for record in RECORDS}
    for selector in rule.selectors:
        if selector.name == "ALERTS":
            names = {alert.name for alert in ALERTS}
            assert matchers(selector).get("alertname", rule.name) in names, "it waits for an alert that there is not"
        assert selector.name in known or selector.name in recorded | FOREIGN, f"no such metric: {selector.name}"
        if selector.name in known:
            strange = set(matchers(selector)) - known[selector.name] - TARGET_LABELS
            assert not strange, f"{selector.name} has no label {strange}"


@pytest.mark.parametrize("rule", **BY_NAME)
def test_labels_that_are_kept_exist(rule):
    """`by` with a label that its metrics do not have keeps nothing."""
    known = catalogue()
    for node, _ in rule.nodes:
        if not isinstance(node, promql.AggregateExpr) or node.modifier is None:
            continue
        for selector, _ in descend(node.expr, None):
            if isinstance(selector, promql.VectorSelector) and selector.name in known:
                strange = set(node.modifier.labels) - known[selector.name] - TARGET_LABELS
                assert not strange, f"{selector.name} has no label {strange}"


@pytest.mark.parametrize("rule", **BY_NAME)
def test_ranges_hold_at_least_four_scrapes(rule):
    """pint's promql/rate: with fewer, one lost scrape is a gap."""
    for node, _ in rule.nodes:
        if isinstance(node, promql.Call) and node.func.name in RANGE_FUNCTIONS:
            assert node.args[0].range.total_seconds() >= 4 * SCRAPE_SECONDS


@pytest.mark.parametrize("rule", **BY_NAME)
def test_counters_are_read_through_rate(rule):
    """pint's promql/counter; counting series and asking when they began are not reading values."""
    for node, parent in rule.nodes:
        if not isinstance(node, promql.VectorSelector) or not node.name.endswith(("_total", "_count", "_sum", "_bucket")):
            continue
        outer = next((p for n, p in rule.nodes if n is parent), None)
        via = {p.func.name for p in (parent, outer) if isinstance(p, promql.Call)}
        grouped = isinstance(parent, promql.AggregateExpr) and str(parent.op).endswith("group")
        begun = isinstance(parent, promql.BinaryExpr) and str(parent.op) == "unless"
        assert via & COUNTER_FUNCTIONS or grouped or begun, f"{node.name} is compared raw"


@pytest.mark.parametrize("rule", **BY_NAME)
def test_group_intervals_leave_no_gaps(rule):
    """pint's group/interval: a series must come before the look-back ends."""
    assert 0 < seconds(rule.group["interval"]) < LOOK_BACK_SECONDS


@pytest.mark.parametrize("rule", **BY_NAME)
def test_nothing_hides_missing_data(rule):
    """`or vector(0)` turns "no data" into "fine"; topk in an alert makes alerts come and go."""
    assert not re.search(r"or\s+vector\(0\)", rule.raw["expr"])
    if rule.is_alert:
        assert not re.search(r"\b(topk|bottomk)\b", rule.raw["expr"])


@pytest.mark.parametrize("rule", **BY_NAME)
def test_le_is_matched_for_prometheus_2_and_3(rule):
    """2 keeps le="1" as it is exposed, 3 writes le="1.0"."""
    bounds = buckets("mcp_request_duration_seconds")
    for selector in rule.selectors:
        if pattern := matchers(selector).get("le"):
            assert re.fullmatch(r"\d+\(\[\.\]0\)\?", pattern), pattern
            assert float(pattern.split("(")[0]) in bounds


@pytest.mark.parametrize("rule", argvalues=RECORDS, ids=lambda rule: rule.name)
def test_recorded_names_say_what_is_left(rule):
    """level:metric:operations, where the level lists the labels of the result."""
    level, metric, operations = rule.name.split(":")
    assert metric.startswith("mcp_") and operations
    aggregated = [n for n, _ in rule.nodes if isinstance(n, promql.AggregateExpr) and n.modifier]
    labels = level.replace("tool", "tool_name").split("_")
    if aggregated:
        kept = {"_".join(label.split("_")[:1]) for node in aggregated for label in node.modifier.labels if label != "le"}
        assert kept == set(level.split("_")), f"{rule.name} keeps {kept}"
    else:
        assert all(name.startswith(f"{level}:") for name in rule.metrics), labels


@pytest.mark.parametrize("rule", argvalues=ALERTS, ids=lambda rule: rule.name)
def test_alerts_say_what_is_needed(rule):
    assert re.fullmatch(r"([A-Z][a-z0-9]*)+", rule.name)
    assert rule.severity in {"critical", "warning", "info", "none"}
    assert set(rule.raw["annotations"]) == {"summary", "description", "runbook_url"}
    assert rule.raw["annotations"]["runbook_url"] == f"docs/RUNBOOK.md#{rule.name.lower()}"
    for label in {"server", "tool_name"} & kept_labels(rule):
        assert f"$labels.{label}" in rule.raw["annotations"]["description"], f"the description does not name the {label}"


@pytest.mark.parametrize("rule", argvalues=ALERTS, ids=lambda rule: rule.name)
def test_alert_labels_do_not_change_with_the_value(rule):
    """pint's alerts/template: a value in a label makes every evaluation a new alert."""
    assert not any("$value" in text for text in rule.raw["labels"].values())


@pytest.mark.parametrize("rule", argvalues=ALERTS, ids=lambda rule: rule.name)
def test_absence_has_to_last(rule):
    """pint's alerts/absent: a restart of Prometheus is an absence too."""
    if "absent(" in rule.raw["expr"]:
        assert seconds(rule.raw.get("for", "")) >= 120


@pytest.mark.parametrize("rule", argvalues=ALERTS, ids=lambda rule: rule.name)
def test_annotations_use_labels_that_the_alert_has(rule):
    """pint's alerts/template: a label that was aggregated away prints as nothing."""
    used = set(re.findall(r"\$labels\.(\w+)", " ".join(rule.raw["annotations"].values())))
    kept = kept_labels(rule)
    assert used <= kept, f"{used - kept} is not among the alert's labels"


def test_the_prototype_s_alerts_are_as_users_know_them():
    group = [rule for rule in ALERTS if rule.group["name"] == "devskyy_mcp"]
    assert {rule.group["interval"] for rule in group} == {"30s"}
    assert [(r.name, r.raw["expr"], r.raw["for"], r.severity) for r in group] == [
        ("HighErrorRate", "rate(mcp_errors_total[5m]) > 0.05", "5m", "critical"),
        (
            "HighLatency",
            "histogram_quantile(0.95, sum(rate(mcp_request_duration_seconds_bucket[5m])) by (le)) > 5",
            "5m",
            "warning",
        ),
        # The prototype has one monitor; the minimum makes one alert of its replicas.
        ("ToolUnavailable", "min by (job, server, tool_name) (mcp_tool_availability) == 0", "1m", "critical"),
        ("ServerDown", 'up{job="devskyy_mcp"} == 0', "1m", "critical"),
    ]


# What the monitor cannot be trusted to tell: that it is silent, late, or not heard; and that repairs
# are held back, which may be for its silence.
NOT_THE_MONITORS_TO_TELL = {"MonitorSilent", "ChecksOverdue", "HealthMessagesFailing", "RepairsHeld", "RemediationWithoutLeader"}


@pytest.mark.parametrize("rule", argvalues=ALERTS, ids=lambda rule: rule.name)
def test_the_monitor_tells_what_it_knows_and_alertmanager_the_rest(rule):
    of_the_monitor = any(name.startswith(("mcp_component_", "mcp_health_", "mcp_remediation_")) for name in rule.metrics)
    expected = "monitor" if of_the_monitor and rule.name not in NOT_THE_MONITORS_TO_TELL else None
    assert rule.raw["labels"].get("notify") == expected


def test_nothing_critical_rests_on_the_overall_status():
    """A critical alert makes it red, and would keep itself firing."""
    assert not any("mcp_health_status" in rule.metrics for rule in ALERTS if rule.severity == "critical")


def test_a_dead_server_is_known_before_its_tools():
    """It holds their alerts back, so it must fire first wherever in an interval each is evaluated."""
    rules = {rule.name: rule for rule in ALERTS}
    server, tool = rules["McpServerDown"], rules["ToolUnavailable"]
    assert seconds(server.raw["for"]) + seconds(server.group["interval"]) <= seconds(tool.raw["for"])


def test_slow_calls_are_counted_at_the_objective():
    """The bucket cannot come from a series, so the objective stands in two places."""
    rules = {rule.name: rule for rule in RECORDS}
    objective = rules["job_server_tool:mcp_request_duration_seconds:objective_p95"]
    branches = re.findall(r"(?:([\d.]+) \* )?group by .*?\(mcp_tool_calls_total(?:\{tool_name=~\"(.*?)\"\})?\)", objective.raw["expr"])
    limits = {tools: float(limit or 1) for limit, tools in branches}
    counted = {
        matchers(selector).get("tool_name", ""): float(matchers(selector)["le"].split("(")[0])
        for selector in rules["job_server_tool:mcp_tool_calls_slow:rate5m"].selectors
        if "le" in matchers(selector)
    }
    assert limits == counted


def test_no_secret_stands_in_the_configuration():
    for path in [*ROOT.glob("prometheus/**/*.yml"), *ROOT.glob("alertmanager/**/*")]:
        if path.is_file():
            assert not re.search(r"hooks\.slack\.com/services/\w|(password|credentials|bearer_token): \S", path.read_text())
