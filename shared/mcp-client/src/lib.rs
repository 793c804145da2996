//! Asks an MCP server what it offers, in either era of the protocol and over either transport.
//!
//! A [`Connector`] is made once from a [`Target`]; each [`Session`] that it opens can be asked as
//! often as one likes. The session knows whether the server speaks the modern revision
//! (`server/discover`, every request on its own) or an older one (`initialize`, then a session).
//! What goes wrong is a [`Fault`] that says whose it is. Every wait has an end that the caller
//! gives, and nothing that a server sends is kept without a bound.

mod canary;
mod child;
mod connect;
mod fault;
mod http;
mod listing;
pub mod resolver;
mod session;
mod sse_only;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use secrecy::SecretString;

pub use self::canary::{Canary, CanaryResult};
pub use self::connect::Connector;
pub use self::fault::{Fault, is_ours};
pub use self::listing::{Listing, Tool};
pub use self::session::{Server, Session};

/// The largest message that is taken from a server, in bytes: a page of a listing, an answer.
const MAX_MESSAGE_BYTES: usize = 8 * 1024 * 1024;

/// Where an MCP server is.
#[derive(Debug, Clone)]
pub enum Target {
    /// A program that speaks over its standard input and output.
    Command(Command),
    /// An address that takes Streamable HTTP.
    Url(Url),
}

/// A program, started without a shell, in a process group of its own.
#[derive(Clone)]
pub struct Command {
    /// The program, looked up on the `PATH`.
    pub program: String,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Variables beside those few that it inherits, such as `PATH` and `HOME`: what else is in
    /// our own environment may be secret.
    pub env: BTreeMap<String, String>,
    /// The folder it runs in; ours when there is none.
    pub cwd: Option<PathBuf>,
}

/// An address, `http` or `https`.
#[derive(Debug, Clone)]
pub struct Url {
    /// The endpoint, such as `http://localhost:8000/mcp`.
    pub url: String,
    /// Sent as `Authorization: Bearer`.
    pub token: Option<SecretString>,
}

// Arguments and variables may hold secrets.
impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Command").field("program", &self.program).finish_non_exhaustive()
    }
}
