//! The work that every recording benchmark does: calls of a hundred tools in no order, most of
//! them fast, and a registry of a wanted size.

use mcpmon_metrics::event::Seconds;
use mcpmon_metrics::label::{Observer, Transport};
use mcpmon_metrics::{Budgets, Event, Metrics, Name, Options, Outcome, ServerMetrics, ToolCall};
use serde_json::json;

/// How many tools are called.
pub(crate) const TOOLS: usize = 100;
/// The label values that every variant writes.
pub(crate) const SERVER: &str = "bench";

/// Lines that one tool adds to a scrape: 4 statuses, timeouts, errors, 18 buckets, and 3 pairs
/// of `_sum` and `_count`.
pub(crate) const SERIES_PER_TOOL: usize = 30;

// A power of two, so that a place in the list is a mask away.
const CALLS: usize = 4096;

/// One call: which tool, and how long it took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    pub(crate) tool: usize,
    pub(crate) seconds: f64,
}

/// A list of calls to walk round and round.
#[derive(Debug)]
pub(crate) struct Calls {
    names: Vec<String>,
    calls: Vec<Call>,
}

impl Calls {
    pub(crate) fn new() -> Self {
        // Knuth's linear congruential generator: the same calls in each run.
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as f64 / f64::from(1_u32 << 31)
        };
        let calls = (0..CALLS).map(|_| Call {
            tool: (random() * TOOLS as f64) as usize,
            // From 0.5 ms to 5 s, as many around 5 ms as around 500 ms.
            seconds: 0.0005 * 10_f64.powf(random() * 4.0),
        });
        Self { names: (0..TOOLS).map(tool_name).collect(), calls: calls.collect() }
    }

    pub(crate) fn at(&self, place: usize) -> Call {
        self.calls[place & (CALLS - 1)]
    }

    /// The tools' names, checked: whoever records has parsed them before.
    pub(crate) fn names(&self) -> Vec<Name<'_>> {
        self.names.iter().map(|name| Name::or_other(name.as_str())).collect()
    }
}

/// The name of a tool, as long as names usually are.
pub(crate) fn tool_name(number: usize) -> String {
    format!("search_catalogue_{number}")
}

/// A successful call with nothing known but its duration.
pub(crate) fn success<'a>(tool: &Name<'a>, seconds: f64) -> Event<'a> {
    Event::ToolCall(plain(tool, seconds))
}

/// A successful call with sizes and transport.
pub(crate) fn detailed<'a>(tool: &Name<'a>, seconds: f64) -> Event<'a> {
    Event::ToolCall(ToolCall {
        request_bytes: Some(180),
        response_bytes: Some(5_120),
        transport: Some(Transport::Stdio),
        ..plain(tool, seconds)
    })
}

fn plain<'a>(tool: &Name<'a>, seconds: f64) -> ToolCall<'a> {
    let seconds = Seconds::new(seconds).expect("the durations are finite and positive");
    ToolCall::new(tool.clone(), Outcome::Success, seconds)
}

/// A registry that admits `tools` tools of the one server, and that server's recorder.
pub(crate) fn registry(tools: usize) -> (Metrics, ServerMetrics) {
    let budgets = Budgets { tools_per_server: tools, pairs: tools, ..Budgets::default() };
    let options = Options { budgets, ..Options::new("mcpmon-bench", "0") };
    let metrics = Metrics::new(options);
    let server = metrics.server(&Name::or_other(SERVER));
    (metrics, server)
}

/// Calls the tools numbered `tools` once each, so that all of their series exist.
pub(crate) fn call_each(server: &ServerMetrics, tools: impl Iterator<Item = usize>) {
    for number in tools {
        let name = tool_name(number);
        server.record(Observer::Sdk, SERVER, &detailed(&Name::or_other(name), 0.042));
    }
}

/// One batch that calls the tools numbered `tools` of a server once each.
pub(crate) fn tools_body(server: &str, tools: impl Iterator<Item = usize>) -> String {
    let names: Vec<_> = tools.map(tool_name).collect();
    let events: Vec<_> =
        names.iter().map(|name| detailed(&Name::or_other(name.as_str()), 0.042)).collect();
    batch(server, &events)
}

/// The body of `POST /v1/events`.
pub(crate) fn batch(server: &str, events: &[Event<'_>]) -> String {
    json!({"server": server, "source": server, "observer": "api", "events": events}).to_string()
}

/// The number of series in a scrape.
pub(crate) fn series(exposition: &str) -> usize {
    exposition.lines().filter(|line| !line.starts_with('#')).count()
}
