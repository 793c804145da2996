"""What the panels, rules and pages ask is answered: by a real Prometheus that watches the demo."""

import re
import time
from collections.abc import Callable

from catalogue import FAMILIES, SUFFIXES, UNPUBLISHED, is_unpublished
from dashboards import DASHBOARDS, TARGETS
from promql import expand, selectors, used_variables
from rules import RECORDED, RULES, SHOWN

# The demo has shown everything after about 15 s; Alertmanager's first message is the last.
PATIENCE = 45


def unanswered(questions: dict[str, str], ask: Callable[[str], bool]) -> dict[str, str]:
    """The questions, by name, that got no answer although they were repeated."""
    deadline = time.monotonic() + PATIENCE
    left = dict(questions)
    while left and time.monotonic() < deadline:
        left = {name: expr for name, expr in left.items() if not ask(expr)}
        # Between two scrapes there is nothing new to see.
        time.sleep(1 if left else 0)
    return left


def test_every_panel_shows_something_with_all_chosen(watcher):
    started = time.time()
    asked = {
        f"{panel} {target['refId']}": expand(target["expr"])
        for panel, target in TARGETS
        if not any(is_unpublished(m) for s in selectors(expand(target["expr"])) for m in s.metrics)
    }
    instant = {expand(target["expr"]) for _, target in TARGETS if target.get("instant")}

    def has_numbers(expr: str) -> bool:
        if expr in instant:
            values = [series["value"] for series in watcher.query(expr)]
        else:
            answer = watcher.query_range(expr, started - 30, time.time())
            values = [value for series in answer for value in series["values"]]
        return any(value != "NaN" for _, value in values)

    assert unanswered(asked, has_numbers) == {}, str(watcher)


def test_every_variable_offers_values_and_each_can_be_chosen(watcher):
    for dashboard in DASHBOARDS:
        chosen = {}
        for name, variable in dashboard.query_variables().items():
            series, label = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["definition"]).groups()
            narrowed = expand(series, lambda other: chosen[other])

            offered = watcher.query(f"count by ({label}) ({narrowed})")
            offered = [answer["metric"].get(label, "") for answer in offered]
            assert offered and all(offered), f"{dashboard.name}: ${name} has no values"
            # What Grafana writes for several choices.
            chosen[name] = "(" + "|".join(sorted(offered)) + ")"
        for panel in dashboard.panels():
            for target in panel.targets:
                assert used_variables(target["expr"]) - set(chosen) <= {
                    "__rate_interval", "__range", "__range_s",
                }, str(panel)  # fmt: skip
                watcher.query(expand(target["expr"], lambda other: chosen[other]))


def test_every_selector_matches_a_series(watcher):
    """Of alerts about alerts, tests/rules knows when they have something to see."""
    texts = [(str(panel), expand(target["expr"])) for panel, target in TARGETS]
    texts += [(f"{d.name}: an annotation", expand(expr)) for d in DASHBOARDS for expr in d.annotations()]
    texts += [(str(rule), rule.expr) for rule in RULES if "ALERTS{" not in rule.expr] + SHOWN
    asked = {
        f"{where}: {selector.text}": f"count({selector.text})"
        for where, text in texts
        for selector in selectors(text)
        if not any(is_unpublished(metric) for metric in selector.metrics)
    }
    assert unanswered(asked, lambda expr: bool(watcher.query(expr))) == {}


def test_rules_are_evaluated_without_errors(watcher):
    def complaints() -> list[str]:
        groups = watcher.api("rules")["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        assert {rule.name for rule in RULES} <= {rule["name"] for rule in rules}
        return [f"{r['name']}: {r['health']} {r.get('lastError', '')}" for r in rules if r["health"] != "ok"]

    assert unanswered({"rules": ""}, lambda _: not complaints()) == {}, complaints()


def test_what_is_listed_as_unpublished_is_not_published(watcher):
    assert UNPUBLISHED <= set(FAMILIES), "not in docs/METRICS.md"
    for family in UNPUBLISHED:
        for suffix in SUFFIXES.get(FAMILIES[family], ("",)):
            assert watcher.query(family + suffix) == [], f"{family} is published: take it off the list"


def test_recorded_series_are_named_by_level_metric_and_operation():
    for name in RECORDED:
        assert re.fullmatch(r"[a-z_0-9]+:[a-z_0-9]+:[a-z_0-9]+", name), name
