"""What Grafana's dashboard-linter asks for, and a little more; each test is one of its rules."""

import pytest

from dashboards import DASHBOARDS, PANELS, TARGETS
from promql import expand, ranges, selectors

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}

# The units that the dashboards use, of the linter's list.
UNITS = {"none", "short", "percentunit", "s", "bytes", "Bps", "reqps", "ops", "cps", "currencyUSD"}

# Series of Prometheus's own: an alert's labels are those of its expression, which has lost the job.
WITHOUT_TARGET = {"ALERTS"}




dashboards = pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda d: d.name)
panels = pytest.mark.parametrize("panel", PANELS, ids=str)
targets = pytest.mark.parametrize(
    ("panel", "target"), TARGETS, ids=[f"{panel} {target['refId']}" for panel, target in TARGETS]
)


@dashboards
def test_template_datasource(dashboard):
    (variable,) = [v for v in dashboard.variables().values() if v["type"] == "datasource"]
    assert (variable["name"], variable["label"]) == ("datasource", "Data source")


@dashboards
@pytest.mark.parametrize("name", ["job", "instance"])
def test_template_job_and_instance(dashboard, name):
    variable = dashboard.variables()[name]
    assert variable["type"] == "query"
    assert variable["label"] == name.title()


@dashboards
def test_template_variables_take_several_and_all(dashboard):
    for variable in dashboard.query_variables().values():
        assert variable["datasource"] == DATASOURCE
        assert variable["multi"] is True
        assert variable["includeAll"] is True
        assert variable["allValue"] == ".+"
        assert variable["current"]["value"] == ["$__all"]


@dashboards
def test_template_label_promql(dashboard):
    for variable in dashboard.query_variables().values():
        inner = variable["definition"].removeprefix("label_values(").rpartition(", ")[0]
        assert selectors(expand(inner))
        assert variable["query"]["query"] == variable["definition"]


@dashboards
def test_template_on_time_change_reload(dashboard):
    assert [v["refresh"] for v in dashboard.query_variables().values() if v["refresh"] != 2] == []


@dashboards
def test_uneditable(dashboard):
    assert dashboard.json["editable"] is False


@panels
def test_panel_datasource(panel):
    assert panel.json["datasource"] == DATASOURCE
    assert {target["datasource"]["uid"] for target in panel.targets} == {DATASOURCE["uid"]}


@panels
def test_panel_title_description(panel):
    assert panel.json["title"].strip()
    assert panel.json["description"].endswith(".")


@panels
def test_panel_units(panel):
    assert panel.json["fieldConfig"]["defaults"]["unit"] in UNITS
    for override in panel.json["fieldConfig"]["overrides"]:
        for each in override["properties"]:
            assert each["id"] != "unit" or each["value"] in UNITS


@panels
def test_panel_no_targets(panel):
    assert panel.targets
    refs = [target["refId"] for target in panel.targets]
    assert len(set(refs)) == len(refs)


@targets
def test_target_promql(panel, target):
    assert selectors(expand(target["expr"]))
    assert "loki" not in str(target["datasource"]), "the linter's two rules on LogQL are met by having none"


@targets
def test_target_rate_interval(panel, target):
    for function, written in ranges(target["expr"]):
        expected = "$__rate_interval" if function in {"rate", "irate"} else "$__range"
        # A heat map's cell is one step: what came since the cell before.
        if target.get("format") == "heatmap":
            expected = "$__rate_interval"
        assert written == expected, target["expr"]


@targets
def test_target_job_and_instance(panel, target):
    for selector in selectors(expand(target["expr"], lambda name: f"CHOSEN_{name}")):
        if selector.name not in WITHOUT_TARGET:
            chosen = dict(selector.matchers)
            assert (chosen.get("job"), chosen.get("instance")) == ("CHOSEN_job", "CHOSEN_instance")


@targets
def test_target_counter_agg(panel, target):
    for selector in selectors(expand(target["expr"])):
        if selector.name.endswith(("_total", "_bucket", "_sum", "_count")):
            assert selector.is_ranged
            assert {"rate", "irate", "increase"} & set(selector.functions)
