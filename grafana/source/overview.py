"""Is all well, and if not, which server and tool? Status, traffic, errors, latency, saturation."""

from calls import (
    AVAILABILITY,
    ERROR_RATIO_STEPS,
    LATENCY_STEPS,
    PROBED_STEPS,
    RATE,
    STATUS_COLOURS,
    call_rate,
    error_ratio,
    latency,
)
from dashboard import ALERTS, CALL_SCOPE, call_variables, dashboard, row
from model import GREEN, RED, instant, lines, link, override, query, stat, steps
from model import table, timeline

UID = "devskyy-mcp-overview"

# A row of a table to the tool's own dashboard, with what is chosen here.
TO_TOOL = link(
    "Tool detail",
    "/d/devskyy-mcp-tool?var-server=${__data.fields.Server}&var-tool=${__data.fields.Tool}"
    "&${datasource:queryparam}&${job:queryparam}&${instance:queryparam}&${__url_time_range}",
)
SERIES_TO_TOOL = link(
    "Tool detail of ${__field.labels.tool_name}",
    "/d/devskyy-mcp-tool?var-server=${__field.labels.server}&var-tool=${__field.labels.tool_name}"
    "&${datasource:queryparam}&${job:queryparam}&${instance:queryparam}&${__url_time_range}",
)

# The runbook is plain text: the browser scrolls to the heading with the alert's name. In a window of
# its own, for Grafana's page would look for it among its dashboards.
TO_RUNBOOK = link("Runbook", "${runbook}#:~:text=%23%20${__value.raw}") | {"targetBlank": True}

BY_TOOL = "server, tool_name"
TOOL = "{{server}} {{tool_name}}"


def build():
    return dashboard(
        UID,
        "DevSkyy MCP / Overview",
        "Status, traffic, errors, latency and saturation of all MCP servers.",
        call_variables(),
        CALL_SCOPE,
        [status(), traffic(), errors(), latencies(), saturation(), servers()],
    )


def status():
    return row(
        "Status", 4,
        stat(
            "Targets down", "Scrape targets of the chosen jobs that did not answer the last scrape.",
            "none", 3,
            instant('count(up{job=~"$job", instance=~"$instance"})'
                    ' - sum(up{job=~"$job", instance=~"$instance"})'),
            thresholds=steps(GREEN, (1, RED)), graph=False,
        ),
        stat(
            "Alerts firing",
            "Alerts that fire now, for all servers, the dead-man's switch left out. The table below "
            "names them and leads to the runbook.",
            "none", 3, instant(f"count({ALERTS})"),
            thresholds=steps(GREEN, (1, RED)), graph=False, noValue="none",
        ),
        stat("Calls per second", "Finished tool calls per second, with every outcome.",
             "reqps", 3, query(call_rate())),
        stat(
            "Error ratio",
            "Share of calls that ended in an error or a timeout; cancelled calls count in neither. "
            "Yellow from 1 %, red from 5 %.",
            "percentunit", 3, query(error_ratio()), thresholds=ERROR_RATIO_STEPS, min=0, decimals=2,
        ),
        stat("Latency p95", "Duration that 95 % of calls stay below. Yellow from 1 s, red from 5 s.",
             "s", 3, query(latency(0.95)), thresholds=LATENCY_STEPS),
        stat(
            "Tools available",
            "Share of tools that the health monitor's last probes found. Red below 80 %.",
            "percentunit", 3,
            query("avg(min by (server, tool_name) (mcp_tool_availability{@}))"),
            thresholds=PROBED_STEPS, noValue="not probed",
        ),
        stat("Active connections",
             "Open connections: over HTTP sessions, or open response streams from revision "
             "2026-07-28.",
             "none", 3, query("sum(mcp_active_connections{@})")),
        stat("Shortest uptime", "Time since the youngest live process of any server started.",
             "s", 3, query("min(mcp_server_uptime_seconds{@})"), graph=False),
    )


def traffic():
    return row(
        "Traffic", 8,
        lines("Call rate", "Finished tool calls per second, by server.",
              "reqps", 8, query(call_rate("server"), "{{server}}")),
        lines("Calls by tool", "Finished calls per second of the 12 busiest tools.",
              "reqps", 8, query(f"topk(12, {call_rate(BY_TOOL)})", TOOL), links=[SERIES_TO_TOOL]),
        lines("Calls by outcome", "How calls ended: success, error, timeout or cancelled.",
              "reqps", 8, query(call_rate("status"), "{{status}}"),
              stacked=True, overrides=STATUS_COLOURS),
    )


def errors():
    return row(
        "Errors", 8,
        lines(
            "Error rate",
            "Errors per second by type: one for each failed call, and those that servers report on "
            "their own.",
            "ops", 8,
            query(f"sum by (error_type) (rate(mcp_errors_total{{@}}{RATE}))", "{{error_type}}"),
            stacked=True,
        ),
        lines("Error ratio by tool", "The 12 tools with the largest share of errors and timeouts.",
              "percentunit", 8, query(f"topk(12, {error_ratio(BY_TOOL)})", TOOL),
              links=[SERIES_TO_TOOL]),
        table(
            "Firing alerts",
            "What fires now, for all servers, whatever is chosen above. An alert's name leads to its "
            "section in the runbook.",
            "none", 8,
            {"": f"max by (alertname, severity, server, tool_name) ({ALERTS})"},
            labels={"alertname": "Alert", "severity": "Severity", "server": "Server",
                    "tool_name": "Tool"},
            sort="Severity", descending=False,
            overrides=[override("Alert", links=[TO_RUNBOOK])],
        ),
    )


def latencies():
    return row(
        "Latency", 8,
        lines("Latency p95 by tool", "Duration that 95 % of a tool's calls stay below; the 12 slowest.",
              "s", 8, query(f"topk(12, {latency(0.95, BY_TOOL)})", TOOL), links=[SERIES_TO_TOOL]),
        lines("Latency p99 by tool", "Duration that 99 % of a tool's calls stay below; the 12 slowest.",
              "s", 8, query(f"topk(12, {latency(0.99, BY_TOOL)})", TOOL), links=[SERIES_TO_TOOL]),
        lines(
            "Latency p95 by method",
            "Every JSON-RPC method, listings and initialisation among them, not tool calls alone.",
            "s", 8,
            query(
                "histogram_quantile(0.95, sum by (le, mcp_method_name) "
                f"(rate(mcp_server_operation_duration_seconds_bucket{{@}}{RATE})))",
                "{{mcp_method_name}}",
            ),
        ),
    )


def saturation():
    return row(
        "Saturation", 8,
        lines("Calls in flight", "Calls being handled, by tool.",
              "none", 6, query(f"sum by ({BY_TOOL}) (mcp_tool_inflight{{@}})", TOOL),
              links=[SERIES_TO_TOOL]),
        lines("Queue depth", "Calls accepted whose handler has not started, by tool; servers with the "
              "SDK report it.",
              "none", 6, query(f"sum by ({BY_TOOL}) (mcp_queue_depth{{@}})", TOOL),
              links=[SERIES_TO_TOOL]),
        lines("Active connections", "Open connections by server and transport.",
              "none", 6,
              query("sum by (server, transport) (mcp_active_connections{@})",
                    "{{server}} {{transport}}")),
        lines("Rate limits and timeouts", "Requests that a rate limit refused, and calls that ended by "
              "a deadline, per second.",
              "ops", 6,
              [
                  query(f"sum by (limit_type) (rate(mcp_rate_limit_hits_total{{@}}{RATE}))",
                        "limit {{limit_type}}"),
                  query(f"sum(rate(mcp_timeouts_total{{@}}{RATE}))", "timeouts"),
              ]),
    )


def servers():
    return row(
        "Servers and tools", 10,
        table(
            "Tools",
            "Each tool at the end of the chosen range. A tool's name leads to its own dashboard.",
            "none", 14,
            {
                "Calls/s": call_rate(BY_TOOL),
                "Error ratio": error_ratio(BY_TOOL),
                "p95": latency(0.95, BY_TOOL),
                "p99": latency(0.99, BY_TOOL),
            },
            labels={"server": "Server", "tool_name": "Tool"},
            sort="Calls/s",
            overrides=[
                override("Tool", links=[TO_TOOL], custom__width=260),
                override("Calls/s", unit="reqps", decimals=2),
                override("Error ratio", unit="percentunit", decimals=2),
                override("p95", unit="s"),
                override("p99", unit="s"),
            ],
        ),
        table(
            "Servers", "Servers as they name themselves, and how long their youngest process runs.",
            "none", 10,
            {
                "Uptime": 'max by (server, name, version, protocol_version) (mcp_server_info{@})'
                          ' * on (server) group_left () min by (server) (mcp_server_uptime_seconds{@})',
            },
            labels={"server": "Server", "name": "Name", "version": "Version",
                    "protocol_version": "Protocol"},
            sort="Server", descending=False,
            overrides=[override("Uptime", unit="s")],
        ),
        lines("Server uptime", "Time since the start of each server's youngest live process; a drop is "
              "a restart, an end is a server that is gone.",
              "s", 12, query("min by (server) (mcp_server_uptime_seconds{@})", "{{server}}")),
        timeline("Tool availability", "Whether each tool could be called, from the health monitor's "
                 "probes.",
                 "none", 12,
                 query(f"min by ({BY_TOOL}) (mcp_tool_availability{{@}})", TOOL), AVAILABILITY),
    )
