//! Every metric family: name, type, labels, help and publisher.
//!
//! The doc comment of a family *is* its HELP text, so an undocumented family does not compile.
//! `docs/METRICS.md` is rendered from this list, and dashboards and rules may name only what
//! stands here. To add a family, add it here and record it; nothing else knows names.

use crate::admission::Budgets;

/// Bounds of `mcp_request_duration_seconds`: from a cache hit to a 3D generation.
pub const CALL_BOUNDS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0,
    120.0, 300.0,
];

/// OpenTelemetry's bounds for MCP operations, prefixed by three for calls that take 0.3 to 15 ms.
pub const OPERATION_BOUNDS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0,
    300.0,
];

const SCRAPE_BOUNDS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0];

/// A family's type in the exposition, with what the type needs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// A whole number that only grows.
    Counter,
    /// A fractional amount that only grows.
    FloatCounter,
    /// A reading, taken at scrape time.
    Gauge,
    /// Observations in buckets with these upper bounds, in seconds.
    Histogram(&'static [f64]),
    /// `_sum` and `_count` only.
    Summary,
}

impl Kind {
    /// The word of the exposition's `# TYPE` line.
    pub fn exposed(self) -> &'static str {
        match self {
            Self::Counter | Self::FloatCounter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram(_) => "histogram",
            Self::Summary => "summary",
        }
    }
}

/// The process that serves a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Publisher {
    Exporter,
    Monitor,
    Remediation,
    Tap,
    Sdk,
    /// Every process, each for itself.
    Each,
}

/// How many label sets a family may hold, at the most.
///
/// OpenTelemetry folds label sets beyond a limit into one and drops every label. Admission
/// comes first and each limit is larger than what admission lets through, so it never does.
#[derive(Debug, Clone, Copy)]
pub enum Size {
    /// This many in all.
    Fixed(usize),
    /// This many for each admitted server and `_other`.
    PerServer(usize),
    /// This many for each admitted (server, tool) pair, and each server's `_other` and `_none`.
    PerTool(usize),
    /// This many for each name combination within [`Budgets::combinations`].
    PerCombination(usize),
    /// The operations: [`Budgets::combinations`], and beyond them for each server every error type
    /// over every network, and calls that succeeded.
    Operations,
    /// The errors: [`Budgets::error_details`], and each tool's `other` reasons.
    ErrorDetails,
    /// This many for each component of the monitor.
    PerComponent(usize),
}

impl Size {
    /// The number of label sets under `budgets`.
    pub fn limit(self, budgets: &Budgets) -> usize {
        let servers = budgets.servers + 1;
        let tools = budgets.pairs + 2 * servers;
        match self {
            Self::Fixed(n) => n,
            Self::PerServer(n) => n * servers,
            Self::PerTool(n) => n * tools,
            Self::PerCombination(n) => n * (budgets.combinations + servers),
            Self::Operations => budgets.combinations + 39 * servers,
            Self::ErrorDetails => budgets.error_details + tools * 9,
            Self::PerComponent(n) => n * budgets.components,
        }
    }
}

/// One metric family.
#[derive(Debug, Clone, Copy)]
pub struct Family {
    /// The full name, as it is exposed.
    pub name: &'static str,
    /// The type.
    pub kind: Kind,
    /// The label names, in the exposition's order, which is the alphabet's.
    pub labels: &'static [&'static str],
    /// The HELP text.
    pub help: &'static str,
    /// Who serves it.
    pub publisher: Publisher,
    /// How many label sets it may hold.
    pub size: Size,
}

macro_rules! catalogue {
    ($(#[doc = $help:literal] $id:ident = $name:literal, $kind:expr, [$($label:literal),*], $publisher:ident, $size:expr;)+) => {
        $(#[doc = $help]
        pub const $id: Family = Family {
            name: $name,
            kind: $kind,
            labels: &[$($label),*],
            help: $help.trim_ascii(),
            publisher: Publisher::$publisher,
            size: $size,
        };)+

        /// Every family, in the order of `docs/METRICS.md`.
        pub const ALL: &[Family] = &[$($id),+];
    };
}

use Kind::{Counter, FloatCounter, Gauge, Histogram, Summary};
use Size::{ErrorDetails, Fixed, Operations, PerCombination, PerComponent, PerServer, PerTool};

catalogue! {
    /// Tool calls that ended, by outcome.
    TOOL_CALLS = "mcp_tool_calls_total", Counter, ["server", "status", "tool_name"], Exporter, PerTool(4);
    /// Duration of tool calls, from the request's arrival to the reply's departure.
    REQUEST_DURATION = "mcp_request_duration_seconds", Histogram(CALL_BOUNDS), ["server", "tool_name"], Exporter, PerTool(1);
    /// Size of tool call requests, as JSON-RPC messages without framing.
    REQUEST_SIZE = "mcp_request_size_bytes", Summary, ["server", "tool_name"], Exporter, PerTool(1);
    /// Size of tool call replies, as JSON-RPC messages without framing.
    RESPONSE_SIZE = "mcp_response_size_bytes", Summary, ["server", "tool_name"], Exporter, PerTool(1);
    /// Errors, by type and reason: one for each failed call, and those reported on their own.
    ERRORS = "mcp_errors_total", Counter, ["error_type", "reason", "server", "tool_name"], Exporter, ErrorDetails;
    /// Requests that a rate limit refused.
    RATE_LIMIT_HITS = "mcp_rate_limit_hits_total", Counter, ["limit_type", "server", "tool_name"], Exporter, PerTool(4);
    /// Tool calls that ended by a deadline.
    TIMEOUTS = "mcp_timeouts_total", Counter, ["server", "tool_name"], Exporter, PerTool(1);
    /// Open connections; over HTTP sessions up to revision 2025-11-25 and open response streams from 2026-07-28.
    ACTIVE_CONNECTIONS = "mcp_active_connections", Gauge, ["server", "transport"], Exporter, PerServer(3);
    /// Calls accepted whose handler has not started.
    QUEUE_DEPTH = "mcp_queue_depth", Gauge, ["server", "tool_name"], Exporter, PerTool(1);
    /// Calls being handled.
    TOOL_INFLIGHT = "mcp_tool_inflight", Gauge, ["server", "tool_name"], Exporter, PerTool(1);
    /// Time since the start of the youngest live process of the server.
    SERVER_UPTIME = "mcp_server_uptime_seconds", Gauge, ["server"], Exporter, PerServer(1);
    /// Whether the tool can be called: 1 or 0, from probes.
    TOOL_AVAILABILITY = "mcp_tool_availability", Gauge, ["server", "tool_name"], Monitor, PerTool(1);
    /// Uses of agents, by category.
    AGENT_USAGE = "mcp_agent_usage_total", Counter, ["agent_name", "category", "server"], Exporter, PerCombination(1);
    /// Tokens that language models took and gave.
    LLM_TOKENS = "mcp_llm_tokens_total", Counter, ["model", "provider", "server", "type"], Exporter, PerCombination(4);
    /// Cost of language model tokens, by the price list, in US dollars.
    LLM_COST = "mcp_llm_cost_usd_total", FloatCounter, ["model", "provider", "server"], Exporter, PerCombination(1);
    /// Tokens that no price is known for; they are in no cost.
    LLM_UNPRICED_TOKENS = "mcp_llm_unpriced_tokens_total", Counter, ["model", "provider", "server"], Exporter, PerCombination(1);
    /// 3D generations, by status.
    GENERATIONS_3D = "mcp_3d_generations_total", Counter, ["server", "status"], Exporter, PerServer(3);
    /// Callers that were refused.
    AUTH_FAILURES = "mcp_auth_failures_total", Counter, ["reason", "server"], Exporter, PerServer(4);
    /// Inputs that were refused.
    VALIDATION_FAILURES = "mcp_validation_failures_total", Counter, ["server", "tool_name", "validation_type"], Exporter, PerTool(3);
    /// What security checks saw.
    SECURITY_EVENTS = "mcp_security_events_total", Counter, ["event_type", "server"], Exporter, PerServer(3);
    /// The server as it names itself; always 1.
    SERVER_INFO = "mcp_server_info", Gauge, ["name", "protocol_version", "server", "version"], Exporter, PerServer(8);
    /// Duration of JSON-RPC requests of every method, as OpenTelemetry's MCP convention counts them.
    OPERATION_DURATION = "mcp_server_operation_duration_seconds", Histogram(OPERATION_BOUNDS), ["error_type", "gen_ai_tool_name", "mcp_method_name", "mcp_protocol_version", "network_transport", "server"], Exporter, Operations;
    /// Calls that a second kind of observer reported for the same server, and that were not counted again.
    DUPLICATE_OBSERVER = "mcp_duplicate_observer_total", Counter, ["server"], Exporter, PerServer(1);
    /// Times that a name was not admitted to the label and _other was written.
    LABEL_OVERFLOW = "mcp_label_overflow_total", Counter, ["label"], Exporter, Fixed(16);
    /// Requests to the ingest endpoint, by reply.
    INGEST_REQUESTS = "mcp_ingest_requests_total", Counter, ["code"], Exporter, Fixed(32);
    /// Events received, by what became of them: accepted, rejected, or in a batch that was counted before.
    INGEST_EVENTS = "mcp_ingest_events_total", Counter, ["result"], Exporter, Fixed(8);
    /// Bytes of ingest bodies, before decompression.
    INGEST_BODY_BYTES = "mcp_ingest_body_bytes_total", Counter, [], Exporter, Fixed(1);
    /// Processes that reported within the expiry time.
    LIVE_SOURCES = "mcp_live_sources", Gauge, [], Exporter, Fixed(1);
    /// Time to gather and encode one scrape.
    SCRAPE_DURATION = "mcp_scrape_duration_seconds", Histogram(SCRAPE_BOUNDS), [], Exporter, Fixed(1);
    /// Alerts received from Alertmanager, by status.
    ALERTS_RECEIVED = "mcp_alerts_received_total", Counter, ["status"], Exporter, Fixed(8);
    /// The running build; always 1.
    BUILD_INFO = "mcp_build_info", Gauge, ["service", "version"], Each, Fixed(1);
    /// Whether the last load of the configuration succeeded: 1 or 0.
    CONFIG_LAST_RELOAD = "mcp_config_last_reload_successful", Gauge, [], Each, Fixed(1);
    /// Whether the component is up: 1 or 0, from probes.
    COMPONENT_UP = "mcp_component_up", Gauge, ["component", "kind", "server"], Monitor, PerComponent(1);
    /// The component's state: 1 for the state it is in, 0 for the others.
    COMPONENT_STATE = "mcp_component_state", Gauge, ["component", "state"], Monitor, PerComponent(10);
    /// Duration of the component's last check.
    COMPONENT_CHECK_DURATION = "mcp_component_check_duration_seconds", Gauge, ["component"], Monitor, PerComponent(1);
    /// Failed checks in a row.
    COMPONENT_CONSECUTIVE_FAILURES = "mcp_component_consecutive_failures", Gauge, ["component"], Monitor, PerComponent(1);
    /// When the component was last checked, in Unix seconds.
    COMPONENT_LAST_CHECK = "mcp_component_last_check_timestamp_seconds", Gauge, ["component"], Monitor, PerComponent(1);
    /// Scheduled checks that were not made, because the monitor was stopped or too busy.
    COMPONENT_CHECKS_MISSED = "mcp_component_checks_missed_total", Counter, ["component"], Monitor, PerComponent(1);
    /// Overall health: 0 green, 1 yellow, 2 red, 3 unknown.
    HEALTH_STATUS = "mcp_health_status", Gauge, [], Monitor, Fixed(1);
    /// Health messages, by channel and by what became of them.
    HEALTH_ALERTS = "mcp_health_alerts_total", Counter, ["channel", "result"], Monitor, Fixed(32);
    /// Tools that appeared in or vanished from a server's listing, or changed their schema.
    TOOLS_LIST_CHANGES = "mcp_tools_list_changes_total", Counter, ["change", "server"], Monitor, PerServer(3);
    /// Whether the coordination backend answers: 1 or 0.
    COORDINATION_UP = "mcp_coordination_up", Gauge, ["backend"], Each, Fixed(2);
    /// Repair actions, by the kind of their target and by result: success, failed, unverified, unknown or refused.
    REMEDIATION_ACTIONS = "mcp_remediation_actions_total", Counter, ["action", "component", "result"], Remediation, PerComponent(20);
    /// Repair decisions: to act, to wait or to leave it, with the reason.
    REMEDIATION_DECISIONS = "mcp_remediation_decisions_total", Counter, ["component", "decision"], Remediation, PerComponent(32);
    /// Duration of repairs, from the decision to the verified result.
    REMEDIATION_DURATION = "mcp_remediation_duration_seconds", Histogram(CALL_BOUNDS), ["component"], Remediation, PerComponent(1);
    /// Whether the component's repair circuit is open: 1 or 0.
    REMEDIATION_CIRCUIT_OPEN = "mcp_remediation_circuit_open", Gauge, ["component"], Remediation, PerComponent(1);
    /// Whether nothing may be repaired for this reason: 1 or 0.
    REMEDIATION_HELD = "mcp_remediation_held", Gauge, ["reason"], Remediation, Fixed(8);
    /// Whether this replica is the one that may act: 1 or 0.
    REMEDIATION_LEADING = "mcp_remediation_leading", Gauge, [], Remediation, Fixed(1);
    /// Observations that the tap dropped rather than delay the traffic.
    TAP_EVENTS_DROPPED = "mcp_tap_events_dropped_total", Counter, ["server"], Exporter, PerServer(1);
    /// Events that the SDK dropped because its queue was full or the exporter refused them.
    SDK_EVENTS_DROPPED = "mcp_sdk_events_dropped_total", Counter, [], Sdk, Fixed(1);
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_unique_and_end_as_their_type_says() {
        let mut seen = HashSet::new();
        for family in ALL {
            assert!(seen.insert(family.name), "{} stands twice", family.name);
            let counts = matches!(family.kind, Counter | FloatCounter);
            assert_eq!(counts, family.name.ends_with("_total"), "{}", family.name);
            assert!(!family.name.contains("_total_total"), "{}", family.name);
            assert!(family.help.ends_with('.') && family.help.len() > 10, "{}", family.name);
        }
    }

    #[test]
    fn labels_are_legal_and_in_the_exposition_s_order() {
        for family in ALL {
            assert!(family.labels.is_sorted(), "{}: {:?}", family.name, family.labels);
            for label in family.labels {
                let first = label.starts_with(|c: char| c.is_ascii_lowercase());
                let rest =
                    label.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
                assert!(first && rest, "{}: {label}", family.name);
            }
        }
    }
}
