"""What is the matter with this tool? Outcomes, latency, errors by reason, sizes, saturation."""

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
    mean_size,
)
from dashboard import CALL_SCOPE, CALLS, call_variables, dashboard, row, variable
from model import GREEN, ORANGE, bars, heatmap, instant, lines, query, stat, steps, timeline

UID = "devskyy-mcp-tool"
TOOL = "{{server}} {{tool_name}}"
BY_TOOL = "server, tool_name"
OF_SERVER = ', job=~"$job", instance=~"$instance", server=~"$server"}'


def build():
    return dashboard(
        UID,
        "DevSkyy MCP / Tool detail",
        "One tool, or several, in full: outcomes, latency, errors by reason, sizes, saturation.",
        [*call_variables(), variable("tool", CALLS.replace("}", OF_SERVER), "tool_name")],
        CALL_SCOPE + ', tool_name=~"$tool"',
        [status(), traffic(), errors(), refusals(), sizes(), saturation()],
    )


def status():
    return row(
        "Status", 4,
        stat("Calls per second", "Finished calls per second, with every outcome.",
             "reqps", 4, query(call_rate())),
        stat(
            "Error ratio",
            "Share of calls that ended in an error or a timeout; cancelled calls count in neither. "
            "Yellow from 1 %, red from 5 %; a tool that is slow or shaky by nature may have "
            "objectives of its own.",
            "percentunit", 4, query(error_ratio()), thresholds=ERROR_RATIO_STEPS, min=0, decimals=2,
        ),
        stat("Latency p95", "Duration that 95 % of calls stay below. Yellow from 1 s, red from 5 s.",
             "s", 4, query(latency(0.95)), thresholds=LATENCY_STEPS),
        stat("Calls in range", "Finished calls in the chosen time range.",
             "none", 4, instant("sum(increase(mcp_tool_calls_total{@}[$__range]))"),
             graph=False, decimals=0),
        stat("Timeouts in range", "Calls that ended by a deadline in the chosen time range.",
             "none", 4, instant("sum(increase(mcp_timeouts_total{@}[$__range]))"),
             thresholds=steps(GREEN, (1, ORANGE)), graph=False, decimals=0),
        stat("Available", "Share of the chosen tools that the health monitor's last probes found.",
             "percentunit", 4,
             query("avg(min by (server, tool_name) (mcp_tool_availability{@}))"),
             thresholds=PROBED_STEPS, noValue="not probed"),
    )


def traffic():
    return row(
        "Traffic and latency", 9,
        lines("Calls by outcome", "How calls ended, per second.",
              "reqps", 8, query(call_rate("status"), "{{status}}"),
              stacked=True, overrides=STATUS_COLOURS),
        heatmap("Latency distribution",
                "How many calls took how long: the darker, the more. Two bands are two kinds of call, "
                "such as a cache hit and a miss.",
                "s", 8,
                "sum by (le) (increase(mcp_request_duration_seconds_bucket{@}[$__rate_interval]))"),
        lines("Latency quantiles", "Durations that half, 95 % and 99 % of calls stay below.",
              "s", 8,
              [
                  query(latency(0.5), "p50"),
                  query(latency(0.95), "p95"),
                  query(latency(0.99), "p99"),
              ]),
    )


def errors():
    return row(
        "Errors", 8,
        lines("Errors by reason",
              "Errors per second by reason. docs/METRICS.md lists the reasons; the exporter's "
              "/api/v1/failures has the last 50 failures of each tool.",
              "ops", 8, query(f"sum by (reason) (rate(mcp_errors_total{{@}}{RATE}))", "{{reason}}"),
              stacked=True),
        lines("Errors by type", "Errors per second by type: whether the tool, its input, an upstream "
              "or the transport failed.",
              "ops", 8,
              query(f"sum by (error_type) (rate(mcp_errors_total{{@}}{RATE}))", "{{error_type}}"),
              stacked=True),
        bars("Errors in range", "What went wrong in the chosen time range, by type and reason.",
             "none", 8,
             instant("sort_desc(sum by (error_type, reason) (increase(mcp_errors_total{@}[$__range])) "
                     "> 0)", "{{error_type}} / {{reason}}"),
             decimals=0),
    )


def refusals():
    return row(
        "Refusals", 7,
        lines("Timeouts", "Calls per second that ended by a deadline, by tool.",
              "ops", 8, query(f"sum by ({BY_TOOL}) (rate(mcp_timeouts_total{{@}}{RATE}))", TOOL)),
        lines("Rate-limit hits", "Requests per second that a limit refused, by limit; `upstream` is the "
              "limit of a service that the tool calls.",
              "ops", 8,
              query(f"sum by (limit_type) (rate(mcp_rate_limit_hits_total{{@}}{RATE}))",
                    "{{limit_type}}")),
        lines("Validation failures", "Inputs per second that were refused, by kind of check.",
              "ops", 8,
              query(f"sum by (validation_type) (rate(mcp_validation_failures_total{{@}}{RATE}))",
                    "{{validation_type}}")),
    )


def sizes():
    return row(
        "Sizes", 7,
        lines("Mean request size", "Mean size of requests as JSON-RPC messages, by tool.",
              "bytes", 8, query(mean_size("request", BY_TOOL), TOOL)),
        lines("Mean response size", "Mean size of replies as JSON-RPC messages, by tool: what a model "
              "has to read.",
              "bytes", 8, query(mean_size("response", BY_TOOL), TOOL)),
        lines("Bytes per second", "Volume of requests and replies.",
              "Bps", 8,
              [
                  query(f"sum(rate(mcp_request_size_bytes_sum{{@}}{RATE}))", "requests"),
                  query(f"sum(rate(mcp_response_size_bytes_sum{{@}}{RATE}))", "replies"),
              ]),
    )


def saturation():
    return row(
        "Saturation and availability", 7,
        lines("Calls in flight", "Calls being handled.",
              "none", 8, query(f"sum by ({BY_TOOL}) (mcp_tool_inflight{{@}})", TOOL)),
        lines("Queue depth", "Calls accepted whose handler has not started; servers with the SDK "
              "report it.",
              "none", 8, query(f"sum by ({BY_TOOL}) (mcp_queue_depth{{@}})", TOOL)),
        timeline("Availability", "Whether each tool could be called, from the health monitor's probes.",
                 "none", 8,
                 query(f"min by ({BY_TOOL}) (mcp_tool_availability{{@}})", TOOL), AVAILABILITY),
    )
