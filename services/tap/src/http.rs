//! The HTTP transports: a listener in front of one or several servers.
//!
//! hyper on both sides and nothing between them but this: `Host` and `Origin` are checked, then
//! `Host` is the server's own; headers that are each connection's own are left out, all others
//! pass in their order. Every chunk passes as it comes. A client's connection has its own
//! connection to the server, so each side sees when the other leaves.

mod body;
mod connect;
mod endpoint;
mod forward;
mod headers;
mod hosts;
mod serve;
mod upstream;
mod watch;

pub(crate) use self::forward::SAYS;
pub use self::forward::{Route, Shared};
pub use self::hosts::AllowedHosts;
pub use self::serve::{Server, serve};
pub use self::upstream::Upstream;
pub use self::watch::Feed;
