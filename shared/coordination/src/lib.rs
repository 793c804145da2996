//! What several replicas of a service must agree on: who may act, how often a component failed in a
//! row, what an action may still spend, which incidents are open.
//!
//! [`Store`] is the one trait, with two backends that ship: memory for one process, Redis for
//! several. Everything with a meaning stands above it and is the same over both: a pure value
//! and the function that changes it, kept in a [`Document`].

pub mod store;

pub use store::{Backend, Document, Error, Fencing, Key, Put, Store};
