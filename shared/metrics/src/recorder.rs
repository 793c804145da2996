//! Turns events into numbers: the one way in, for the exporter and for the SDK in a process.
//!
//! [`Metrics::server`] admits a server by name; [`ServerMetrics::record`] writes one event.
//! Names go through admission first, so a hostile caller costs nothing but a lookup.

mod families;
mod names;
mod own;
mod server;
mod tool;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use self::families::Families;
use self::names::Names;
pub use self::own::{Counter, Durations};
pub use self::server::NO_TOOL;
use self::server::{Server, Trust};
use self::tool::Tool;
use crate::admission::Budgets;
use crate::catalogue::{self, Publisher};
use crate::event::{Event, Origin, ToolCall};
use crate::label::{Bounded, Label, LimitType, Method, Observer, ProtocolVersion, Transport};
use crate::name::{Name, OTHER};
use crate::outcome::Outcome;
use crate::prices::Prices;
use crate::snapshot::Totals;
use crate::sources::{Reading, Sources, Which};
use crate::telemetry::{Distribution, Emit, ScrapeError, Telemetry};

/// What a [`Metrics`] is built from.
#[derive(Debug, Clone)]
pub struct Options {
    /// The process, for `mcp_build_info`.
    pub service: &'static str,
    /// The process's version, for `mcp_build_info`.
    pub version: &'static str,
    /// How many names each label admits.
    pub budgets: Budgets,
    /// Whether operations also carry the tool and the protocol revision.
    pub otel_semconv: bool,
    /// What tokens cost.
    pub prices: Prices,
    /// How long a process may be silent before its readings end; none for readings of our own.
    pub source_expiry: Option<Duration>,
    /// Whose families are exposed, beside those that each process has; none for all.
    pub publisher: Option<Publisher>,
}

impl Options {
    /// The defaults for the process `service`, whose readings are its own.
    pub fn new(service: &'static str, version: &'static str) -> Self {
        Self {
            service,
            version,
            budgets: Budgets::default(),
            otel_semconv: false,
            prices: Prices::shipped(),
            source_expiry: None,
            publisher: None,
        }
    }
}

/// Every number of one process: a registry of its own and the recorder in front of it.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    telemetry: Telemetry,
    families: Families,
    budgets: Budgets,
    otel_semconv: bool,
    sources: Arc<Sources>,
    servers: Arc<Servers>,
    admission: Mutex<()>,
    other: Arc<Server>,
    scrape_duration: Distribution,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

type Servers = Names<Arc<Server>>;

/// The recorder of one admitted server.
#[derive(Clone)]
pub struct ServerMetrics {
    metrics: Metrics,
    server: Arc<Server>,
}

impl fmt::Debug for ServerMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ServerMetrics").field(self.server.label()).finish()
    }
}

impl Metrics {
    /// Builds every instrument, in a registry of its own.
    pub fn new(options: Options) -> Self {
        let Options { service, version, budgets, otel_semconv, prices, source_expiry, publisher } =
            options;
        let telemetry = Telemetry::new(&budgets, publisher);
        let families = Families::new(&telemetry, &budgets, prices);
        let sources = Arc::new(Sources::new(source_expiry));
        let servers = Arc::new(Servers::new(budgets.servers));
        expose_sources(&telemetry, &sources);
        expose_tools(&telemetry, &sources, &servers);
        telemetry.gauge(catalogue::BUILD_INFO, move |emit| emit(&[service, version], 1.0));
        let other = Arc::new(Server::new(&families, OTHER.into(), 0));
        Self(Arc::new(Inner {
            scrape_duration: telemetry.histograms(catalogue::SCRAPE_DURATION).bind(&[]),
            telemetry,
            families,
            budgets,
            otel_semconv,
            sources,
            servers,
            admission: Mutex::default(),
            other,
        }))
    }

    /// The recorder of the server of that name; of `_other` when the name is not admitted.
    pub fn server(&self, name: &Name<'_>) -> ServerMetrics {
        let known = self.0.servers.get(name.as_str()).cloned();
        let server = known.or_else(|| self.admit(name.as_str())).unwrap_or_else(|| {
            if name.as_str() != OTHER {
                self.0.families.overflow(Bounded::Server);
            }
            self.0.other.clone()
        });
        ServerMetrics { metrics: self.clone(), server }
    }

    fn admit(&self, name: &str) -> Option<Arc<Server>> {
        if name == OTHER || self.0.servers.len() >= self.0.budgets.servers {
            return None;
        }
        let _admission = self.0.admission.lock().unwrap_or_else(PoisonError::into_inner);
        let servers = &self.0.servers;
        if let Some(server) = servers.get(name) {
            return Some(server.clone());
        }
        if servers.len() >= self.0.budgets.servers {
            return None;
        }
        let label: Arc<str> = name.into();
        let server = Server::new(&self.0.families, label.clone(), self.0.budgets.tools_per_server);
        Some(servers.add(label, Arc::new(server)).clone())
    }

    /// Records one event of `origin`; for where events come one at a time.
    pub fn record(&self, origin: &Origin<'_>, event: &Event<'_>) {
        let server = self.server(&origin.server);
        server.touch(origin.source.as_str());
        server.record(origin.observer, origin.source.as_str(), event);
    }

    /// The exposition: Prometheus text 0.0.4. Costs about a microsecond per series.
    ///
    /// # Errors
    /// When the pipeline gives nothing: an empty page would look like an idle process.
    pub fn encode(&self) -> Result<String, ScrapeError> {
        let start = Instant::now();
        let text = self.0.telemetry.encode();
        self.0.scrape_duration.record(start.elapsed().as_secs_f64());
        text
    }

    /// The totals of every tool and server, as a scrape would see them now.
    ///
    /// # Errors
    /// As [`Metrics::encode`].
    pub fn totals(&self) -> Result<Totals, ScrapeError> {
        Ok(Totals::of(&self.0.telemetry.gather()?))
    }
}

fn expose_sources(telemetry: &Telemetry, sources: &Arc<Sources>) {
    let gauge = |family, read: fn(&Sources, &mut Emit<'_>)| {
        let sources = sources.clone();
        telemetry.gauge(family, move |emit| read(&sources, emit));
    };
    gauge(catalogue::ACTIVE_CONNECTIONS, Sources::emit_connections);
    gauge(catalogue::SERVER_UPTIME, Sources::emit_uptime);
    gauge(catalogue::SERVER_INFO, Sources::emit_info);
    gauge(catalogue::LIVE_SOURCES, Sources::emit_count);
}

fn expose_tools(telemetry: &Telemetry, sources: &Arc<Sources>, servers: &Arc<Servers>) {
    for (family, which) in
        [(catalogue::QUEUE_DEPTH, Which::Queued), (catalogue::TOOL_INFLIGHT, Which::Inflight)]
    {
        let (sources, servers) = (sources.clone(), servers.clone());
        telemetry.gauge(family, move |emit| {
            let label = |server: &str, tool: &str| {
                servers.get(server).map_or_else(|| OTHER.into(), |server| server.tool_label(tool))
            };
            sources.emit_tools(which, label, emit);
        });
    }
}

impl ServerMetrics {
    /// The server's label: its name, or `_other`.
    pub fn label(&self) -> &Arc<str> {
        self.server.label()
    }

    /// The label under which a call of `tool` was recorded: its name, or `_other`.
    pub fn tool_label(&self, tool: &Name<'_>) -> Arc<str> {
        self.server.tool_label(tool.as_str())
    }

    /// Notes that the process `source` lives, whatever it reports.
    pub fn touch(&self, source: &str) {
        if !self.metrics.0.sources.touch(self.label(), source) {
            self.metrics.0.families.overflow(Bounded::Source);
        }
    }

    /// Counts calls that another kind of observer has reported already.
    pub fn duplicates(&self, count: u64) {
        self.server.duplicates(count);
    }

    /// Records one event that `source` observed.
    pub fn record(&self, observer: Observer, source: &str, event: &Event<'_>) {
        let families = &self.metrics.0.families;
        let server = &*self.server;
        let trust = || self.trust(observer, false);
        match event {
            Event::ToolCall(call) => self.call(observer, call),
            Event::Operation { method, outcome, duration, transport, protocol_version } => {
                let (error, transport) = (outcome.error_type(), Some(*transport));
                self.operation(*method, error, transport, None, *protocol_version, duration.get());
            }
            Event::Error { error_type, reason, tool, count, message: _ } => {
                let name = tool.as_ref().map(Name::as_str);
                server.with_optional_tool(families, name, trust(), |tool| {
                    tool.error(families, *error_type, *reason, *count);
                });
            }
            Event::RateLimit { limit_type, tool, count } => {
                let name = tool.as_ref().map(Name::as_str);
                server.with_optional_tool(families, name, trust(), |tool| {
                    tool.rate_limit(families, *limit_type, *count);
                });
            }
            Event::ValidationFailure { tool, validation_type, count } => {
                server.with_tool(families, tool.as_str(), trust(), |tool| {
                    tool.validation(families, *validation_type, *count);
                });
            }
            Event::ToolsListed { tools, complete, .. } => {
                server.list(families, tools.iter().map(Name::as_str), *complete);
            }
            Event::AgentUsage { agent, category, count } => {
                families.agent_usage(self.label(), agent.as_str(), category.as_str(), *count);
            }
            Event::LlmTokens { provider, model, input, output, cache_read, cache_write } => {
                let names = (provider.as_str(), model.as_str());
                let tokens = [*input, *output, *cache_read, *cache_write];
                families.llm_tokens(self.label(), names, tokens);
            }
            Event::Generation3d { status, count } => server.generation(families, *status, *count),
            Event::ObservationsDropped { count } => server.dropped(*count),
            Event::AuthFailure { reason, count } => server.auth_failure(families, *reason, *count),
            Event::SecurityEvent { event_type, count } => {
                server.security_event(families, *event_type, *count);
            }
            Event::Connections { .. }
            | Event::QueueDepth { .. }
            | Event::Inflight { .. }
            | Event::ServerStarted { .. } => self.reading(source, event, trust()),
        }
    }

    /// Whether a name that has no tool yet may get one.
    ///
    /// Names are often a caller's choice, and a caller can invent them. A complete listing says
    /// which exist. Before one, a server's own program is believed, but what a tap sees only
    /// when a success has `proven` it.
    fn trust(&self, observer: Observer, proven: bool) -> Trust {
        if self.server.is_listed() || (observer == Observer::Tap && !proven) {
            Trust::Unproven
        } else {
            Trust::Trusted
        }
    }

    fn call(&self, observer: Observer, call: &ToolCall<'_>) {
        let families = &self.metrics.0.families;
        let (outcome, seconds) = (call.outcome, call.duration.get());
        let trust = self.trust(observer, outcome == Outcome::Success);
        let (transport, version) = (call.transport, call.protocol_version);
        let write = |tool: &Tool| {
            // The commonest call by far: one cell is its count, its duration and its operation.
            let shared = (outcome == Outcome::Success && !self.metrics.0.otel_semconv).then(|| {
                let labels = || self.server.labels(Method::ToolsCall, None, transport);
                tool.succeeded(families, transport, labels)
            });
            let sizes = (call.request_bytes, call.response_bytes);
            tool.call(families, outcome, (seconds, shared), sizes);
            // Programs report their own limits and refusals, which they know better.
            if observer == Observer::Tap {
                if outcome.is_rate_limited() {
                    tool.rate_limit(families, LimitType::Upstream, 1);
                }
                if let Some(reason) = outcome.auth_failure() {
                    self.server.auth_failure(families, reason, 1);
                }
            }
            if shared.is_none() {
                let error = outcome.error_type();
                self.operation(Method::ToolsCall, error, transport, Some(tool), version, seconds);
            }
        };
        self.server.with_tool(families, call.tool.as_str(), trust, write);
    }

    fn operation(
        &self,
        method: Method,
        error_type: Option<&'static str>,
        transport: Option<Transport>,
        tool: Option<&Tool>,
        protocol: Option<ProtocolVersion>,
        seconds: f64,
    ) {
        let families = &self.metrics.0.families;
        let mut labels = self.server.labels(method, error_type, transport);
        if self.metrics.0.otel_semconv {
            labels.tool = tool.map(|tool| tool.label().clone()).unwrap_or_default();
            labels.protocol = protocol.map_or("", Label::as_str);
        }
        families.operation(labels, seconds);
    }

    fn reading(&self, source: &str, event: &Event<'_>, trust: Trust) {
        let families = &self.metrics.0.families;
        // A reading may admit its tool; its label is looked up when it is shown.
        let reported = |tool: &Name<'_>| {
            self.server.with_tool(families, tool.as_str(), trust, |_| ());
            tool.as_str().to_owned()
        };
        let text = |name: &Option<Name<'_>>| {
            name.as_ref().map_or_else(String::new, |n| n.as_str().to_owned())
        };
        let reading = match event {
            Event::Connections { transport, value } => Reading::Connections(*transport, *value),
            Event::QueueDepth { tool, value } => Reading::Queued(reported(tool), *value),
            Event::Inflight { tool, value } => Reading::Inflight(reported(tool), *value),
            Event::ServerStarted { name, version, protocol_version, uptime } => Reading::Started {
                uptime: Duration::from_secs_f64(uptime.get()),
                name: text(name),
                version: text(version),
                protocol: protocol_version.unwrap_or(ProtocolVersion::Other),
            },
            _ => return,
        };
        if !self.metrics.0.sources.read(self.label(), source, reading) {
            families.overflow(Bounded::Source);
        }
    }
}
