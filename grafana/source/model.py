"""What a dashboard is made of: queries, panels, rows, variables; each function returns Grafana's JSON.

Only what Grafana 9.4 knows is used; newer servers migrate it when they load it. In queries, `@`
inside braces stands for the dashboard's own matchers: `mcp_tool_calls_total{@, status="error"}`.
"""

# 9.4's number. A larger one would keep newer servers from migrating what changed since.
SCHEMA_VERSION = 37

TAG = "devskyy-mcp"
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}

GREEN, YELLOW, ORANGE, RED, BLUE = "green", "yellow", "orange", "red", "blue"
GREY = "#8e8e8e"


def query(expr, legend="__auto", **more):
    """A query over the dashboard's time range."""
    return {"expr": expr, "legendFormat": legend, "range": True} | more


def instant(expr, legend="__auto", **more):
    """A query for the end of the time range."""
    return {"expr": expr, "legendFormat": legend, "instant": True} | more


def column(expr):
    """A table's column: a query for the end of the time range, one row for each label set."""
    return instant(expr, format="table")


def steps(*pairs):
    """Thresholds: the first colour, then (value, colour) from that value on."""
    first, *others = pairs
    values = [{"color": first, "value": None}]
    values += [{"color": color, "value": value} for value, color in others]
    return {"mode": "absolute", "steps": values}


def words(**by_value):
    """Value mappings: `words(_0=("DOWN", RED))`."""
    options = {
        name.removeprefix("_"): {"text": text, "color": color, "index": index}
        for index, (name, (text, color)) in enumerate(by_value.items())
    }
    return [{"type": "value", "options": options}]


def override(name, **properties):
    """What is different for one series or column; `custom__width` writes `custom.width`."""
    return {
        "matcher": {"id": "byName", "options": name},
        "properties": [
            {"id": key.replace("__", "."), "value": value} for key, value in properties.items()
        ],
    }


def colours(**by_name):
    """Fixed colours for series whose meaning is always the same."""
    return [override(name, color=fixed(colour)) for name, colour in by_name.items()]


def fixed(colour):
    return {"mode": "fixed", "fixedColor": colour}


def panel(kind, title, description, unit, width, targets, defaults, options, overrides=(), **more):
    targets = targets if isinstance(targets, list) else [targets]
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": DATASOURCE,
        "gridPos": {"w": width},
        "targets": [
            {"datasource": DATASOURCE, "refId": chr(ord("A") + index)} | target
            for index, target in enumerate(targets)
        ],
        "fieldConfig": {"defaults": {"unit": unit} | defaults, "overrides": list(overrides)},
        "options": options,
    } | more


def stat(title, description, unit, width, targets, *, thresholds=None, graph=True, **defaults):
    """One number, with its course behind it; coloured when it has thresholds."""
    return panel(
        "stat", title, description, unit, width, targets,
        defaults | {
            "thresholds": thresholds or steps(BLUE),
            "color": {"mode": "thresholds"},
        },
        {
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "graphMode": "area" if graph else "none",
            "colorMode": "value",
            "justifyMode": "auto",
            "textMode": "auto",
            "orientation": "auto",
        },
    )


def lines(title, description, unit, width, targets, *, stacked=False, overrides=(), **defaults):
    """Series over time. What counts things starts its axis at 0."""
    custom = {
        "drawStyle": "line",
        "lineInterpolation": "linear",
        "lineWidth": 1,
        "fillOpacity": 30 if stacked else 8,
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
    }
    return panel(
        "timeseries", title, description, unit, width, targets,
        {"custom": custom, "min": 0, "color": {"mode": "palette-classic"}} | defaults,
        {
            "legend": {
                "displayMode": "table",
                "placement": "bottom",
                "showLegend": True,
                "calcs": ["max", "lastNotNull"],
            },
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        overrides,
    )


def timeline(title, description, unit, width, targets, mappings):
    """States over time, one lane for each series."""
    return panel(
        "state-timeline", title, description, unit, width, targets,
        {
            "custom": {"lineWidth": 0, "fillOpacity": 80},
            "mappings": mappings,
            "color": {"mode": "thresholds"},
            "thresholds": steps(GREY),
        },
        {
            "mergeValues": True,
            "showValue": "never",
            "alignValue": "left",
            "rowHeight": 0.85,
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "single", "sort": "none"},
        },
    )


def heatmap(title, description, unit, width, expr):
    """How a histogram's buckets fill over time; `expr` sums by `le`."""
    return panel(
        "heatmap", title, description, unit, width,
        query(expr, "{{le}}", format="heatmap"),
        {"custom": {"scaleDistribution": {"type": "linear"}}},
        {
            "calculate": False,
            "cellGap": 1,
            "color": {
                "mode": "scheme",
                "scheme": "Oranges",
                "scale": "exponential",
                "exponent": 0.5,
                "fill": "dark-orange",
                "reverse": False,
                "steps": 64,
            },
            "filterValues": {"le": 1e-9},
            "legend": {"show": True},
            "rowsFrame": {"layout": "auto"},
            "showValue": "never",
            "yAxis": {"axisPlacement": "left", "reverse": False, "unit": unit},
        },
        maxDataPoints=120,
    )


def bars(title, description, unit, width, target, **defaults):
    """The end of the range as one bar for each series, the largest first."""
    return panel(
        "bargauge", title, description, unit, width, target,
        {"min": 0, "color": {"mode": "palette-classic"}, "thresholds": steps(BLUE)} | defaults,
        {
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "orientation": "horizontal",
            "displayMode": "basic",
            "showUnfilled": True,
        },
    )


def table(title, description, unit, width, columns, *, labels, sort, descending=True, overrides=()):
    """One row for each label set. `columns`: heading to query; `labels`: label to heading.

    A column whose heading is empty is not shown: it only says which label sets there are.
    """
    queries = [column(expr) for expr in columns.values()]
    headings = dict(labels)
    if len(queries) == 1:
        headings["Value"] = next(iter(columns))
    else:
        headings |= {f"Value #{chr(ord('A') + i)}": name for i, name in enumerate(columns)}
    hidden = {name: True for name, heading in headings.items() if not heading}
    order = {name: index for index, name in enumerate(headings)}
    return panel(
        "table", title, description, unit, width, queries,
        {"custom": {"align": "auto", "filterable": False}, "thresholds": steps(GREY)},
        {"showHeader": True, "sortBy": [{"displayName": sort, "desc": descending}]},
        overrides,
        transformations=[
            {"id": "merge", "options": {}},
            {
                "id": "organize",
                "options": {
                    "excludeByName": {"Time": True} | hidden,
                    "indexByName": order,
                    "renameByName": headings,
                },
            },
        ],
    )


def link(title, url):
    """A link from a value or a cell, opened in the same window."""
    return {"title": title, "url": url, "targetBlank": False}
