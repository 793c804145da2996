//! What several replicas of a service must agree on: who may act, how often a component failed in a
//! row, what an action may still spend, which incidents are open.
//!
//! The layers, from below:
//!
//! - [`store`]: the trait and what each operation promises; [`memory`] and [`redis`] keep it.
//! - [`shadow`]: a store over another one that goes on from a journal while the other is away.
//! - [`typed`]: documents with a type.
//! - [`lease`], [`streak`], [`budget`], [`incident`]: the facts that replicas share.
//! - [`marks`], [`inventory`], [`repair`]: what the monitor, remediation and people tell each other.
//!
//! [`settings`] reads the section that the services share and opens the store it means.
//!
//! [`Store`] is the one trait, with two backends that ship: memory for one process, Redis for
//! several. Everything with a meaning stands above it and is the same over both: a pure value
//! and the function that changes it, kept in a [`Document`].

pub mod budget;
pub mod incident;
pub mod inventory;
mod journal;
pub mod lease;
pub mod marks;
pub mod memory;
pub mod redis;
pub mod repair;
pub mod settings;
pub mod shadow;
pub mod store;
pub mod streak;
pub mod typed;

pub use incident::Incident;
pub use lease::{Holder, Lease};
pub use memory::Memory;
pub use redis::{Redis, RedisConfig};
pub use settings::Coordination;
pub use shadow::Shadow;
pub use store::{Backend, Document, Entry, Error, Fencing, Key, Left, Put, Store};
