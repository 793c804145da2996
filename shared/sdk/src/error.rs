//! What can go wrong while a monitor is built; recording itself never fails.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use mcpmon_metrics::name::InvalidName;

/// Why a monitor, or its metrics server, could not start.
#[derive(Debug, thiserror::Error)]
pub enum SdkError {
    /// The server's name cannot be a label value.
    #[error("the server name `{value}` {reason}", value = shown(.value))]
    Server {
        /// The name as it was given.
        value: String,
        /// What is wrong with it.
        reason: InvalidName,
    },
    /// The source's name cannot be sent.
    #[error("the source name `{value}` {reason}", value = shown(.value))]
    Source {
        /// The name as it was given.
        value: String,
        /// What is wrong with it.
        reason: InvalidName,
    },
    /// The exporter's address is none.
    #[error(
        "the exporter address (MCP_EXPORTER_URL) `{value}` {reason}; \
         expected its base address, for example http://127.0.0.1:9090"
    )]
    ExporterUrl {
        /// The address as it was given, without a password.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// An `https` address in a build that cannot speak TLS.
    #[error(
        "the exporter address (MCP_EXPORTER_URL) `{0}` needs TLS, and this build has none; \
         enable the feature `tls` of mcpmon-sdk"
    )]
    TlsDisabled(String),
    /// Both ways to give a token were used.
    #[error("MCP_EXPORTER_TOKEN and MCP_EXPORTER_TOKEN_FILE are both set; expected one of them")]
    TwoTokens,
    /// A token cannot stand in a header.
    #[error("the exporter token from {from} {reason}")]
    Token {
        /// Where the token came from: never the token itself.
        from: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The token's file could not be read.
    #[error("the token file (MCP_EXPORTER_TOKEN_FILE) {} cannot be read", path.display())]
    TokenFile {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A size or an interval is out of its bounds.
    #[error("{key} is {value}; expected {expected}")]
    OutOfBounds {
        /// The builder's method.
        key: &'static str,
        /// What was given.
        value: String,
        /// What would be right.
        expected: &'static str,
    },
    /// The HTTP client could not be built.
    #[error("the exporter's HTTP client could not be built: {0}")]
    Client(String),
    /// The background thread could not start.
    #[error("the monitor's background thread could not start")]
    Worker(#[source] io::Error),
    /// The metrics server could not take its address.
    #[error("the metrics server cannot listen on {addr}")]
    Bind {
        /// The address.
        addr: SocketAddr,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The process has a default monitor already.
    #[error("the default monitor exists already; call init once, before anything is recorded")]
    AlreadyInitialised,
    /// The monitor was shut down.
    #[error("the monitor was shut down")]
    ShutDown,
}

/// Names may be anything: only their beginning is shown.
fn shown(value: &str) -> String {
    value.chars().take(64).collect::<String>().escape_debug().to_string()
}

/// Events that no exporter has acknowledged when the monitor stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{events} events were not acknowledged by the exporter before the deadline")]
pub struct Unsent {
    /// How many.
    pub events: u64,
}

/// What became of a flush.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Flushed {
    /// Everything recorded before the flush is settled.
    Everything,
    /// The deadline passed first.
    Partly {
        /// Events that still wait. They are kept and tried again.
        unsent: u64,
    },
}
