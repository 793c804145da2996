//! What the exporter is told: keys, defaults and rules.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use hyper::Uri;
use mcpmon_bootstrap::http::{Listen, Scope};
use mcpmon_bootstrap::settings::{Settings, within};
use mcpmon_metrics::{Budgets, Prices};
use secrecy::SecretString;

/// The sections that the services share one file in.
pub const SECTIONS: &[&str] =
    &["budgets", "coordination", "exporter", "health_monitor", "log", "remediation", "slack"];

const SCOPES: &[Scope] = &[Scope::Read, Scope::Write, Scope::Webhook];

/// Everything the exporter needs to know.
#[derive(Debug)]
pub struct Config {
    pub listen: Listen,
    pub workers: usize,
    pub limits: Limits,
    pub source_expiry: Duration,
    pub keep_error_text: bool,
    pub otel_semconv: bool,
    pub prices: Prices,
    pub budgets: Budgets,
    pub shutdown_grace: Duration,
    pub health_monitor: Option<Endpoint>,
    pub remediation: Option<Endpoint>,
}

/// What one client, and what all clients together, may make the exporter hold.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub body_bytes: usize,
    pub decompressed_bytes: usize,
    pub buffered_bytes: usize,
    /// For the head of a connection's first request, and for each body.
    pub request_time: Duration,
    /// For the pause between two requests of a connection.
    pub keep_alive: Duration,
}

/// Another service, of which the page tells.
#[derive(Debug)]
pub struct Endpoint {
    pub url: Uri,
    pub token: Option<SecretString>,
}

impl Config {
    /// Reads every key. What is wrong is noted in `settings`, whose `finish` tells.
    pub fn read(settings: &mut Settings) -> Self {
        let s = settings;
        Self {
            listen: Listen::from_settings(s, "exporter", 9090, SCOPES),
            workers: s.checked(
                "exporter.workers",
                2_usize,
                "Threads that answer requests.",
                within(1..=64),
            ),
            limits: Limits::read(s),
            source_expiry: s.seconds(
                "exporter.source_expiry_seconds",
                Duration::from_secs(45),
                Duration::from_millis(100)..=Duration::from_secs(3600),
                "How long a process may be silent before its readings end.",
            ),
            keep_error_text: s.value(
                "exporter.keep_error_text",
                false,
                "Whether the last failures keep their texts, redacted.",
            ),
            otel_semconv: s.value(
                "exporter.otel_semconv",
                false,
                "Whether operations also carry `gen_ai_tool_name` and `mcp_protocol_version`.",
            ),
            prices: prices(s),
            budgets: budgets(s),
            shutdown_grace: s.seconds(
                "exporter.shutdown_grace_seconds",
                Duration::from_secs(10),
                Duration::ZERO..=Duration::from_secs(300),
                "How long requests may take to end at shutdown.",
            ),
            health_monitor: Endpoint::read(
                s,
                "health_monitor",
                "Where the health monitor answers, for the verdict on the page.",
                "The health monitor's read token.",
            ),
            remediation: Endpoint::read(
                s,
                "remediation",
                "Where remediation answers, for the repairs on the page.",
                "Remediation's read token.",
            ),
        }
    }
}

impl Limits {
    fn read(s: &mut Settings) -> Self {
        const MIB: usize = 1 << 20;
        let limits = Self {
            body_bytes: s.checked(
                "exporter.max_body_bytes",
                MIB,
                "The largest body of a request.",
                within(1024..=64 * MIB),
            ),
            decompressed_bytes: s.checked(
                "exporter.max_decompressed_bytes",
                8 * MIB,
                "The most that a gzip body may decompress to.",
                within(1024..=256 * MIB),
            ),
            buffered_bytes: s.checked(
                "exporter.max_buffered_bytes",
                64 * MIB,
                "The most that all bodies together may hold; beyond it requests are answered 429.",
                within(2048..=4096 * MIB),
            ),
            request_time: s.seconds(
                "exporter.request_timeout_seconds",
                Duration::from_secs(10),
                Duration::from_millis(100)..=Duration::from_secs(600),
                "How long the head of a request, and then its body, may take to arrive.",
            ),
            keep_alive: s.seconds(
                "exporter.keep_alive_seconds",
                Duration::from_secs(30),
                Duration::from_millis(100)..=Duration::from_secs(600),
                "How long a connection may be silent between two requests. Clients that post \
                 every 15 seconds keep theirs with more than that.",
            ),
        };
        // Below that, a body of a legal size would be told for ever to come again later.
        let least = limits.body_bytes + limits.decompressed_bytes;
        if limits.buffered_bytes < least {
            let problem = format!(
                "{} is too little; expected at least {least}, for one body of max_body_bytes and \
                 what it decompresses to",
                limits.buffered_bytes
            );
            s.reject("exporter.max_buffered_bytes", problem);
        }
        limits
    }
}

impl Endpoint {
    /// The service that listens there.
    pub(crate) fn at(address: SocketAddr, token: Option<SecretString>) -> Self {
        let url = format!("http://{address}").parse();
        Self { url: url.expect("an address makes an authority"), token }
    }

    fn read(
        s: &mut Settings,
        section: &'static str,
        url_doc: &str,
        token_doc: &str,
    ) -> Option<Self> {
        s.shared(section);
        let (key, token_key) = (format!("{section}.url"), format!("{section}.token"));
        let url = s.optional_checked(&key, url_doc, http_url);
        // The page shows the URL to whoever may read it, and an error would show its value.
        let secretive = |url: &Uri| url.authority().is_some_and(|a| a.as_str().contains('@'));
        if url.as_ref().is_some_and(secretive) {
            let problem =
                format!("holds a user or a password; {token_key} is the place for a secret");
            s.reject(&key, problem);
        }
        let token = s.secret(&token_key, token_doc);
        url.map(|url| Self { url, token })
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the reader gives its checks the value")]
fn http_url(url: String) -> Result<Uri, &'static str> {
    let parsed: Uri = url.parse().map_err(|_| "expected a URL such as http://localhost:9095")?;
    match (parsed.scheme_str(), parsed.authority()) {
        (Some("http"), Some(_)) => Ok(parsed),
        (Some("https"), _) => {
            Err("expected a URL that begins with http://; the exporter does not \
             speak TLS, a proxy beside it can")
        }
        _ => Err("expected a URL that begins with http://"),
    }
}

fn prices(s: &mut Settings) -> Prices {
    let list = s.optional_checked(
        "exporter.prices_file",
        "Price list of language models; without it the shipped one is used.",
        |path: String| {
            let text =
                fs::read_to_string(&path).map_err(|e| format!("the file cannot be read: {e}"))?;
            Prices::parse(&text).map_err(|e| e.to_string().trim_end().to_owned())
        },
    );
    list.unwrap_or_else(Prices::shipped)
}

fn budgets(s: &mut Settings) -> Budgets {
    let d = Budgets::default();
    let mut budget = |key, default: usize, doc| s.checked(key, default, doc, within(1..=100_000));
    Budgets {
        servers: budget("budgets.servers", d.servers, "MCP servers with a label of their own."),
        tools_per_server: budget(
            "budgets.tools_per_server",
            d.tools_per_server,
            "Tool names of one server.",
        ),
        pairs: budget("budgets.pairs", d.pairs, "(server, tool) pairs in all, 26 series each."),
        agents: budget("budgets.agents", d.agents, "Agents."),
        categories: budget("budgets.categories", d.categories, "Agent categories."),
        providers: budget("budgets.providers", d.providers, "Language model providers."),
        models: budget("budgets.models", d.models, "Language models."),
        combinations: budget(
            "budgets.combinations",
            d.combinations,
            "Combinations of a server with an agent, a model or a method.",
        ),
        error_details: budget(
            "budgets.error_details",
            d.error_details,
            "Combinations of a tool with an error type and reason.",
        ),
        components: d.components,
    }
}
