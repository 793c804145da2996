//! Test support: metric matchers, real processes, hostile peers

pub mod http_script;
pub mod metric;
