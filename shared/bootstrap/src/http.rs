//! What all HTTP endpoints share: who may ask ([`auth`], [`host`]), where we listen ([`listen`]),
//! how a body is read ([`body`]), how a fault is told ([`problem`]), whether we are ready
//! ([`readiness`]) and how another process of this machine asks that ([`health`]), what a path
//! takes ([`routes`]), and how others are called (`client`).

pub mod auth;
pub mod body;
#[cfg(feature = "client")]
pub mod client;
pub mod health;
pub mod host;
pub mod listen;
pub mod problem;
pub mod readiness;
pub mod routes;

pub use auth::{Scope, Tokens};
pub use host::AllowedHosts;
pub use listen::Listen;
pub use problem::Problem;
pub use readiness::Readiness;
