"""Assembles a dashboard: lays rows of panels out, numbers them, and writes the matchers into queries."""

from model import DATASOURCE, SCHEMA_VERSION, TAG

COLUMNS = 24

# docs/RUNBOOK.md, which the stack mounts among the files that Grafana serves itself: the link works
# without a network and without knowing where the repository lives.
RUNBOOK = "/public/runbook/RUNBOOK.txt"

ALERTS = 'ALERTS{alertstate="firing", severity!="none"}'


def row(title, height, *panels):
    """A headed row whose panels are all of one height; what does not fit goes on below."""
    return title, height, panels


def dashboard(uid, title, description, variables, matchers, rows, annotations=()):
    """The JSON of one dashboard. `matchers` is what `@` in its queries stands for; `annotations` come
    beside the firing alerts."""
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": [TAG],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "links": [
            {
                "type": "dashboards",
                "title": "DevSkyy MCP",
                "tags": [TAG],
                "asDropdown": False,
                "includeVars": True,
                "keepTime": True,
                "targetBlank": False,
                "icon": "external link",
                "tooltip": "",
                "url": "",
            },
            {
                "type": "link",
                "title": "Runbook",
                "url": "${runbook}",
                "icon": "doc",
                "tooltip": "What to do about each alert",
                "tags": [],
                "asDropdown": False,
                "includeVars": False,
                "keepTime": False,
                "targetBlank": True,
            },
        ],
        "templating": {"list": [datasource_variable(), *variables, runbook_variable()]},
        "annotations": {"list": [alert_annotation(), *annotations]},
        "panels": [expand(panel, matchers) for panel in lay_out(rows)],
    }


def lay_out(rows):
    """Places the panels from the top left; a panel's id is its row's hundred and its place there."""
    y = 0
    for number, (title, height, panels) in enumerate(rows, 1):
        yield {
            "id": number * 100,
            "type": "row",
            "title": title,
            "collapsed": False,
            "gridPos": {"x": 0, "y": y, "w": COLUMNS, "h": 1},
            "panels": [],
        }
        y += 1
        x = 0
        for place, panel in enumerate(panels, 1):
            width = panel["gridPos"]["w"]
            if x + width > COLUMNS:
                x, y = 0, y + height
            position = {"x": x, "y": y, "w": width, "h": height}
            yield {"id": number * 100 + place} | panel | {"gridPos": position}
            x += width
        y += height


def expand(panel, matchers):
    """Writes the dashboard's matchers where the queries of a panel say `@`."""
    for target in panel.get("targets", ()):
        target["expr"] = target["expr"].replace("@", matchers)
    return panel


def datasource_variable():
    return {
        "type": "datasource",
        "name": "datasource",
        "label": "Data source",
        "query": "prometheus",
        "current": {"text": "Prometheus", "value": "prometheus"},
        "hide": 0,
        "includeAll": False,
        "multi": False,
        "refresh": 1,
        "regex": "",
        "skipUrlSync": False,
    }


def runbook_variable():
    """Not shown: the one place that says where the runbook is."""
    return {
        "type": "constant",
        "name": "runbook",
        "label": "Runbook",
        "query": RUNBOOK,
        "hide": 2,
        "skipUrlSync": True,
    }


def variable(name, series, label=None):
    """Values of the label `name`, or `label`, in `series`; several may be chosen, and all are at first."""
    expr = f"label_values({series}, {label or name})"
    return {
        "type": "query",
        "name": name,
        "label": name.capitalize(),
        "datasource": DATASOURCE,
        "definition": expr,
        "query": {"query": expr, "refId": name},
        "current": {"text": ["All"], "value": ["$__all"]},
        "includeAll": True,
        "allValue": ".+",
        "multi": True,
        "refresh": 2,
        "regex": "",
        "sort": 1,
        "hide": 0,
        "skipUrlSync": False,
    }


def annotation(name, expr, color, title, text="", tags=""):
    """Marks on every graph while the query has series."""
    return {
        "name": name,
        "datasource": DATASOURCE,
        "enable": True,
        "hide": False,
        "iconColor": color,
        "target": {"refId": "Anno", "expr": expr, "interval": "30s"},
        "expr": expr,
        "step": "30s",
        "titleFormat": title,
        "textFormat": text,
        "tagKeys": tags,
    }


def alert_annotation():
    return annotation(
        "Firing alerts", ALERTS, "red",
        title="{{alertname}}", text="{{severity}} {{server}} {{tool_name}}", tags="severity",
    )


# What most dashboards choose by. The monitor's job is among the jobs, for it publishes availability.
CALLS = '{__name__=~"mcp_tool_calls_total|mcp_tool_availability"}'
CALL_SCOPE = 'job=~"$job", instance=~"$instance", server=~"$server"'


def call_variables():
    return [
        variable("job", CALLS),
        variable("instance", CALLS.replace("}", ', job=~"$job"}')),
        variable("server", CALLS.replace("}", ', job=~"$job", instance=~"$instance"}')),
    ]
