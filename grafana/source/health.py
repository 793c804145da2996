"""Are servers and components well, and what is done about it? What the health monitor's probes say,
what remediation decides and does, and how both fare.

Replicas serve what they share: `max by` and `min by` make one series of theirs.
"""

from calls import AVAILABILITY, PROBED_STEPS, RATE
from dashboard import annotation, dashboard, row, variable
from model import GREEN, GREY, ORANGE, RED, YELLOW, colours, instant, lines, query, stat, steps
from model import override, table, timeline, words

UID = "devskyy-mcp-health"

# Numbers of a lane, from the worst state to the best: where replicas disagree, the worse is shown.
STATES = {
    "unhealthy": RED,
    "http_up_mcp_broken": "dark-red",
    "protocol_mismatch": "semi-dark-red",
    "tools_missing": "light-red",
    "auth_required": ORANGE,
    "degraded": YELLOW,
    "rate_limited": "light-yellow",
    "unknown": GREY,
    "unsupported_transport": "super-light-blue",
    "healthy": GREEN,
}
OVERALL = words(_0=("GREEN", GREEN), _1=("YELLOW", YELLOW), _2=("RED", RED), _3=("UNKNOWN", GREY))
UP = words(_1=("Up", GREEN), _0=("Down", RED))
CIRCUIT = words(_0=("Closed", GREEN), _1=("OPEN", RED))
HELD = words(_0=("Free", GREEN), _1=("HELD", ORANGE))
LEADS = words(_1=("Acts", GREEN), _0=("Waits", GREY))
RESULTS = {
    "success": GREEN,
    "failed": RED,
    "unverified": ORANGE,
    "unknown": GREY,
    "refused": "dark-red",
}
ANSWERS = words(_1=("OK", GREEN), _0=("AWAY", RED))

OF_COMPONENT = '@, component=~"$component"'
# What says which jobs, replicas and components there are.
KNOWN = '__name__=~"mcp_component_up|mcp_remediation_circuit_open|mcp_remediation_held"'
OF_SERVER = '@, server=~"$server"'


def build():
    scope = 'job=~"$job", instance=~"$instance"'
    return dashboard(
        UID,
        "DevSkyy MCP / Health and remediation",
        "Whether servers, tools and components are well, by the health monitor's probes, and what "
        "remediation does about it.",
        [
            variable("job", f"{{{KNOWN}}}"),
            variable("instance", f'{{{KNOWN}, job=~"$job"}}'),
            variable("server", f'mcp_component_up{{{scope}, server!=""}}'),
            variable("component", f'{{{KNOWN}, {scope}, component!=""}}'),
        ],
        scope,
        [status(), states(), repairs(), decisions(), checks(), tools(), monitor()],
        annotations=[incidents(), actions()],
    )


def incidents():
    return annotation(
        "Incidents", "max by (component) (mcp_component_up) == 0", "orange",
        title="{{component}} is down",
    )


def actions():
    return annotation(
        "Repairs",
        "sum by (component, action, result) (increase(mcp_remediation_actions_total[1m])) > 0",
        "blue", title="{{component}}: {{action}}", text="{{result}}", tags="component,result",
    )


def by_component(metric, aggregation="max"):
    return f"{aggregation} by (component) ({metric}{{{OF_COMPONENT}}})"


def state_of_each():
    """One number for each component: which of its state's series is 1."""
    return "\nor\n".join(
        f'{number} * max by (component) (mcp_component_state{{{OF_COMPONENT}, state="{state}"}} == 1)'
        for number, state in enumerate(STATES, 1)
    )


def state_words():
    return words(**{f"_{n}": (state, colour) for n, (state, colour) in enumerate(STATES.items(), 1)})


def status():
    return row(
        "Status", 4,
        stat("Overall", "The monitor's verdict: green, yellow, red, or unknown.",
             "none", 4, query("max(mcp_health_status{@})"), graph=False, mappings=OVERALL,
             thresholds=steps(GREEN, (1, YELLOW), (2, RED), (3, GREY)), noValue="no monitor"),
        stat("Components down", "Chosen components whose probes fail.",
             "none", 4, query(f"count({by_component('mcp_component_up')})"
                              f" - sum({by_component('mcp_component_up')})"),
             graph=False, thresholds=steps(GREEN, (1, RED))),
        stat("Tools available", "Share of the chosen servers' tools that probes find. Red below 80 %.",
             "percentunit", 4,
             query(f"avg(min by (server, tool_name) (mcp_tool_availability{{{OF_SERVER}}}))"),
             thresholds=PROBED_STEPS, noValue="not probed"),
        stat("Oldest check", "Time since the chosen component that was checked longest ago was checked; "
             "late from two intervals of 5 minutes.",
             "s", 4, query(f"time() - min({by_component('mcp_component_last_check_timestamp_seconds')})"),
             thresholds=steps(GREEN, (600, RED))),
        stat("Coordination", "Whether each replica reaches its coordination backend; without Redis, "
             "replicas go on alone.",
             "none", 4, query("min(mcp_coordination_up{@})"), graph=False, mappings=ANSWERS,
             thresholds=steps(RED, (1, GREEN))),
        stat("Messages failed in range", "Attempts to deliver a health message that failed in the chosen "
             "time range; the messages are kept.",
             "none", 4, instant('sum(increase(mcp_health_alerts_total{@, result!="sent"}[$__range]))'),
             graph=False, thresholds=steps(GREEN, (1, RED)), decimals=0),
    )


def states():
    return row(
        "Components", 9,
        timeline("State of each component", "Healthy, degraded, unhealthy, or why it cannot be judged.",
                 "none", 16, query(state_of_each(), "{{component}}"), state_words()),
        table(
            "Components now", "Each chosen component: whether it is up, how long its last check took and "
            "how many failed in a row.",
            "none", 8,
            {
                "Up": f"max by (component, kind, server) (mcp_component_up{{{OF_COMPONENT}}})",
                "Check": by_component("mcp_component_check_duration_seconds"),
                "Failures": by_component("mcp_component_consecutive_failures"),
            },
            labels={"component": "Component", "kind": "Kind", "server": "Server"},
            sort="Component", descending=False,
            overrides=[override("Up", mappings=UP), override("Check", unit="s")],
        ),
        timeline("Up", "Whether each component is up, as alerts see it.",
                 "none", 24, query(by_component("mcp_component_up"), "{{component}}"), UP),
    )


def repairs():
    return row(
        "Repairs", 8,
        stat("Actions in range", "Repair actions in the chosen time range, with every result.",
             "none", 3,
             instant(f"sum(increase(mcp_remediation_actions_total{{{OF_COMPONENT}}}[$__range]))"),
             graph=False, decimals=0),
        stat("That did not help", "Actions in the chosen time range that failed, were refused, could "
             "not be verified, or whose end is unknown.",
             "none", 3,
             instant("sum(increase(mcp_remediation_actions_total"
                     f'{{{OF_COMPONENT}, result!="success"}}[$__range]))'),
             graph=False, thresholds=steps(GREEN, (1, RED)), decimals=0),
        stat("Time to repair", "Mean time from the decision to the verified result, in the chosen time "
             "range.",
             "s", 3,
             instant(f"sum(increase(mcp_remediation_duration_seconds_sum{{{OF_COMPONENT}}}[$__range]))"
                     " / "
                     f"(sum(increase(mcp_remediation_duration_seconds_count{{{OF_COMPONENT}}}[$__range]))"
                     " > 0)"),
             graph=False, noValue="no repair"),
        stat("Open circuits", "Components that are not repaired any more until a person closes the "
             "circuit.",
             "none", 3,
             query(f"sum(max by (component) (mcp_remediation_circuit_open{{{OF_COMPONENT}}}))"),
             graph=False, thresholds=steps(GREEN, (1, RED))),
        lines("Actions by result", "Repair actions per second, by what became of them.",
              "ops", 12,
              query(f"sum by (result) (rate(mcp_remediation_actions_total{{{OF_COMPONENT}}}{RATE}))",
                    "{{result}}"),
              stacked=True, overrides=colours(**RESULTS)),
        lines("Time to repair by component", "Time from the decision to the verified result that 90 % of "
              "repairs stay below.",
              "s", 12,
              query("histogram_quantile(0.9, sum by (le, component) "
                    f"(rate(mcp_remediation_duration_seconds_bucket{{{OF_COMPONENT}}}{RATE})))",
                    "{{component}}")),
        table(
            "Actions by component", "What was done to each component in the chosen time range.",
            "none", 12,
            {
                "Actions": "sum by (component, action, result) (increase("
                           f"mcp_remediation_actions_total{{{OF_COMPONENT}}}[$__range])) > 0",
            },
            labels={"component": "Component", "action": "Action", "result": "Result"},
            sort="Actions",
            overrides=[override("Actions", decimals=0)],
        ),
    )


def decisions():
    return row(
        "Decisions", 8,
        lines("Decisions", "What remediation decides about incidents, per second: to act, to wait, to "
              "leave it, and why.",
              "ops", 9,
              query(f"sum by (decision) (rate(mcp_remediation_decisions_total{{{OF_COMPONENT}}}{RATE}))",
                    "{{decision}}"),
              stacked=True),
        timeline("Circuits", "Whether each component is still repaired; a person closes an open circuit.",
                 "none", 5,
                 query(f"max by (component) (mcp_remediation_circuit_open{{{OF_COMPONENT}}})",
                       "{{component}}"),
                 CIRCUIT),
        timeline("Held back", "Why nothing at all may be repaired: Redis is away or came back empty, the "
                 "audit cannot be written.",
                 "none", 5, query("max by (reason) (mcp_remediation_held{@})", "{{reason}}"), HELD),
        timeline("Who may act", "Which replica holds the lease: one at a time.",
                 "none", 5, query("max by (instance) (mcp_remediation_leading{@})", "{{instance}}"),
                 LEADS),
    )


def checks():
    return row(
        "Checks", 8,
        lines("Check duration", "How long each component's last check took. Degraded from 1 s, failed "
              "from 5 s, unless it has limits of its own.",
              "s", 6, query(by_component("mcp_component_check_duration_seconds"), "{{component}}")),
        lines("Failures in a row", "Failed checks in a row; three are an incident. After the first one a "
              "component is checked every 30 s.",
              "none", 6, query(by_component("mcp_component_consecutive_failures"), "{{component}}")),
        lines("Age of the last check", "Time since each component was last checked. A saw tooth as high "
              "as the interval is right; twice as high is late.",
              "s", 6,
              query(f"time() - {by_component('mcp_component_last_check_timestamp_seconds')}",
                    "{{component}}")),
        lines("Missed checks", "Scheduled checks per second that were not made, because the monitor was "
              "stopped or too busy; all replicas together.",
              "ops", 6,
              query(f"sum by (component) (rate(mcp_component_checks_missed_total{{{OF_COMPONENT}}}{RATE}))",
                    "{{component}}")),
    )


def tools():
    return row(
        "Tools", 8,
        timeline("Tools of each server", "Whether each tool is in its server's listing, with a valid "
                 "schema, and the server answers.",
                 "none", 16,
                 query(f"min by (server, tool_name) (mcp_tool_availability{{{OF_SERVER}}})",
                       "{{server}} {{tool_name}}"),
                 AVAILABILITY),
        lines("Changes of listings", "Tools that appeared, vanished or changed their schema, per second.",
              "ops", 8,
              query(f"sum by (server, change) (rate(mcp_tools_list_changes_total{{{OF_SERVER}}}{RATE}))",
                    "{{server}} {{change}}")),
    )


def monitor():
    return row(
        "The monitor", 7,
        timeline("Overall status", "The monitor's verdict over time.",
                 "none", 8, query("max(mcp_health_status{@})", "overall"), OVERALL),
        lines("Messages", "Health messages per second, by channel and by what became of them.",
              "ops", 8,
              query(f"sum by (channel, result) (rate(mcp_health_alerts_total{{@}}{RATE}))",
                    "{{channel}} {{result}}"),
              overrides=colours(**{"slack sent": GREEN, "slack failed": RED, "slack rejected": "dark-red",
                                     "slack rate_limited": YELLOW})),
        timeline("Coordination by replica", "Whether each replica reaches its coordination backend.",
                 "none", 8,
                 query("min by (instance, backend) (mcp_coordination_up{@})", "{{instance}} {{backend}}"),
                 ANSWERS),
    )
