//! What every service needs before it can do its own work: layered configuration, logging, HTTP
//! scaffolding, readiness, shutdown, exit codes. Knows no word of the product's domain.
//!
//! The order in a service's `main`: [`settings`] are read and finished, [`logging`] starts,
//! [`http`] binds, [`shutdown`] is awaited, and [`process`] turns the result into an exit code.

pub mod http;
pub mod logging;
pub mod process;
pub mod reload;
pub mod settings;
pub mod shutdown;

pub use settings::{ConfigErrors, Settings, Sources};
