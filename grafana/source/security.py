"""Is somebody trying something? Refused callers, refused inputs, and what security checks saw."""

from calls import RATE
from dashboard import CALL_SCOPE, dashboard, row, variable
from model import GREEN, ORANGE, RED, bars, instant, lines, override, query, stat, steps, table

UID = "devskyy-mcp-security"

# The counters of refusals begin with the first one, so the servers come from the calls.
SERIES = '{__name__=~"mcp_tool_calls_total|mcp_auth_failures_total|mcp_security_events_total"}'

# What the exporter counts about itself belongs to no server.
EXPORTER = 'job=~"$job", instance=~"$instance"'


def build():
    return dashboard(
        UID,
        "DevSkyy MCP / Security",
        "Refused callers, refused inputs, and what security checks saw.",
        [
            variable("job", SERIES),
            variable("instance", SERIES.replace("}", ', job=~"$job"}')),
            variable("server", SERIES.replace("}", ', job=~"$job", instance=~"$instance"}')),
        ],
        CALL_SCOPE,
        [status(), callers(), inputs(), exporter()],
    )


def seen(title, description, expr, colour):
    """A count over the range, green while it is nothing."""
    return stat(title, description, "none", 6, instant(expr),
                thresholds=steps(GREEN, (1, colour)), graph=False, noValue="none", decimals=0)


def increase(metric, labels=""):
    grouping = f" by ({labels})" if labels else ""
    return f"sum{grouping} (increase({metric}{{@}}[$__range]))"


def rate(metric, labels):
    return f"sum by ({labels}) (rate({metric}{{@}}{RATE}))"


def status():
    return row(
        "In the chosen time range", 4,
        seen("Security events", "Path traversals, injection attempts and suspicious inputs.",
             increase("mcp_security_events_total"), RED),
        seen("Auth failures", "Callers that were refused: no token, a wrong, an expired or a too weak "
             "one.", increase("mcp_auth_failures_total"), ORANGE),
        seen("Validation failures", "Inputs that were refused by a schema, a sanitiser or a business "
             "rule.", increase("mcp_validation_failures_total"), ORANGE),
        seen("Refused at the exporter", "Posts of events without a valid token.",
             f'sum(increase(mcp_ingest_requests_total{{{EXPORTER}, code=~"401|403"}}[$__range]))',
             ORANGE),
    )


def callers():
    return row(
        "Callers", 8,
        lines("Auth failures by reason", "Refused callers per second. Many `invalid_token` are a guess "
              "or a rotation that went wrong; `expired_token` is a client that does not renew.",
              "ops", 8, query(rate("mcp_auth_failures_total", "reason"), "{{reason}}"), stacked=True),
        lines("Auth failures by server", "Refused callers per second, by the server that refused.",
              "ops", 8, query(rate("mcp_auth_failures_total", "server"), "{{server}}"), stacked=True),
        bars("Auth failures in range", "Refused callers in the chosen range, by server and reason.",
             "none", 8,
             instant(f"sort_desc({increase('mcp_auth_failures_total', 'server, reason')})",
                     "{{server}} / {{reason}}"),
             decimals=0),
    )


def inputs():
    return row(
        "Inputs", 8,
        lines("Security events", "What security checks saw, per second, by kind.",
              "ops", 8, query(rate("mcp_security_events_total", "event_type"), "{{event_type}}"),
              stacked=True),
        lines("Security events by server", "What security checks saw, per second, by server.",
              "ops", 8, query(rate("mcp_security_events_total", "server"), "{{server}}"), stacked=True),
        lines("Validation failures", "Refused inputs per second, by kind of check.",
              "ops", 8,
              query(rate("mcp_validation_failures_total", "validation_type"), "{{validation_type}}"),
              stacked=True),
        table("Validation failures by tool", "Refused inputs in the chosen range, by tool and check.",
              "none", 12,
              {"Refused": increase("mcp_validation_failures_total",
                                   "server, tool_name, validation_type")},
              labels={"server": "Server", "tool_name": "Tool", "validation_type": "Check"},
              sort="Refused", overrides=[override("Refused", decimals=0)]),
        table("Rate-limit hits by tool", "Requests that a limit refused in the chosen range.",
              "none", 12,
              {"Refused": increase("mcp_rate_limit_hits_total", "server, tool_name, limit_type")},
              labels={"server": "Server", "tool_name": "Tool", "limit_type": "Limit"},
              sort="Refused", overrides=[override("Refused", decimals=0)]),
    )


def exporter():
    return row(
        "The exporter's own door", 7,
        lines("Refused posts", "Posts of events that were not accepted, per second, by reply.",
              "reqps", 12,
              query(f'sum by (code) (rate(mcp_ingest_requests_total{{{EXPORTER}, code!~"2.."}}{RATE}))',
                    "{{code}}"),
              stacked=True),
        lines("Names not admitted", "Names per second that were written as _other, by label: a flood "
              "of new names is a fault or an attack.",
              "ops", 12,
              query(f"sum by (label) (rate(mcp_label_overflow_total{{{EXPORTER}}}{RATE}))",
                    "{{label}}")),
    )
