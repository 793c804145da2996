//! What several replicas of a service must agree on: who may act, how often a component failed in a
//! row, what an action may still spend, which incidents are open.
//!
//! [`Store`] is the one trait, with two backends that ship: memory for one process, Redis for
//! several. Everything with a meaning stands above it and is the same over both: a pure value
//! and the function that changes it, kept in a [`Document`].

pub mod budget;
pub mod incident;
pub mod lease;
pub mod memory;
pub mod redis;
pub mod store;
pub mod streak;
mod typed;

pub use incident::Incident;
pub use lease::{Holder, Lease};
pub use memory::Memory;
pub use redis::{Redis, RedisConfig};
pub use store::{Backend, Document, Entry, Error, Fencing, Key, Put, Store};
