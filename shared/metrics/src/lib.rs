//! The metric catalogue of DevSkyy MCP Monitoring, and the recorder behind it.
//!
//! [`catalogue`] names every family; [`Event`] says what can happen; [`wire`] reads events from
//! outside; [`Metrics`] writes them down and gives the text of a scrape. This is the only crate
//! that names `opentelemetry` or `prometheus`.

mod admission;
pub mod catalogue;
pub mod event;
mod histogram;
pub mod label;
mod markdown;
pub mod name;
pub mod outcome;
pub mod prices;
mod recorder;
pub mod redact;
mod snapshot;
mod sources;
mod summary;
mod telemetry;
pub mod wire;

pub use admission::Budgets;
pub use event::{Event, Origin, Seconds, ToolCall, TraceId};
pub use markdown::metrics_page;
pub use name::Name;
pub use outcome::{Ending, Outcome};
pub use prices::Prices;
pub use recorder::{Counter, Durations, Metrics, NO_TOOL, Options, ServerMetrics};
pub use snapshot::{ServerTotals, ToolTotals, Totals};
pub use telemetry::{Emit, ScrapeError, TEXT_FORMAT};
