//! Which names become label values.
//!
//! Admission comes before OpenTelemetry, whose own limit drops every label of what it folds.
//! A name that is not admitted is recorded as `_other` and counted in `mcp_label_overflow_total`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::name::OTHER;

/// How many names each label may hold. The defaults make about 50,000 series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budgets {
    /// MCP servers.
    pub servers: usize,
    /// Tool names of one server.
    pub tools_per_server: usize,
    /// (server, tool) pairs in all.
    pub pairs: usize,
    /// Agents.
    pub agents: usize,
    /// Agent categories.
    pub categories: usize,
    /// Language model providers.
    pub providers: usize,
    /// Language models.
    pub models: usize,
    /// Combinations of a server with an agent and category, a provider and model, or a method.
    pub combinations: usize,
    /// Combinations of a (server, tool) pair with an error type and reason.
    pub error_details: usize,
    /// Components of the health monitor.
    pub components: usize,
}

impl Default for Budgets {
    fn default() -> Self {
        Self {
            servers: 64,
            tools_per_server: 256,
            pairs: 2_000,
            agents: 64,
            categories: 32,
            providers: 16,
            models: 64,
            combinations: 2_000,
            error_details: 20_000,
            components: 1_000,
        }
    }
}

/// The admitted names of one label, first come, first served.
#[derive(Debug)]
pub(crate) struct Vocabulary {
    budget: usize,
    names: Mutex<HashMap<Arc<str>, ()>>,
    other: Arc<str>,
}

impl Vocabulary {
    pub(crate) fn new(budget: usize) -> Self {
        Self { budget, names: Mutex::default(), other: OTHER.into() }
    }

    /// The admitted name, or none when the budget is spent. `_other` is always admitted.
    pub(crate) fn admit(&self, name: &str) -> Option<Arc<str>> {
        if name == OTHER {
            return Some(self.other.clone());
        }
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((admitted, ())) = names.get_key_value(name) {
            return Some(admitted.clone());
        }
        if names.len() >= self.budget {
            return None;
        }
        let admitted: Arc<str> = name.into();
        names.insert(admitted.clone(), ());
        Some(admitted)
    }

    pub(crate) fn other(&self) -> Arc<str> {
        self.other.clone()
    }
}
