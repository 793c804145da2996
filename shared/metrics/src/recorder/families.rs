//! Every family that calls and events are written to, and the names admitted to their labels.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use super::tool::Budget;
use crate::admission::{Budgets, Vocabulary};
use crate::catalogue::{self, Family, LABEL_OVERFLOW};
use crate::histogram::{Cell, CellFamily};
use crate::label::{Bounded, Label, Reason, Status, TokenType};
use crate::prices::Prices;
use crate::summary::{Direction, Sizes, SummaryFamily};
use crate::telemetry::{Amount, Count, Counters, Telemetry};

pub(super) struct Families {
    calls: CellFamily,
    duration: CellFamily,
    request_size: SummaryFamily,
    response_size: SummaryFamily,
    pub(super) errors: Counters<u64>,
    pub(super) rate_limits: Counters<u64>,
    pub(super) timeouts: Counters<u64>,
    pub(super) validations: Counters<u64>,
    pub(super) generations: Counters<u64>,
    pub(super) auth_failures: Counters<u64>,
    pub(super) security_events: Counters<u64>,
    pub(super) duplicates: Counters<u64>,
    pub(super) dropped: Counters<u64>,
    pub(super) tool_pairs: Budget,
    operations: CellFamily,
    operation_sets: Combinations<Operation, Arc<Cell>>,
    error_details: Budget,
    overflows: Vec<Count>,
    agents: Vocabulary,
    categories: Vocabulary,
    agent_usage: Counters<u64>,
    agent_sets: Combinations<[Arc<str>; 3], Count>,
    providers: Vocabulary,
    models: Vocabulary,
    tokens: Counters<u64>,
    cost: Counters<f64>,
    unpriced: Counters<u64>,
    model_sets: Combinations<[Arc<str>; 3], Arc<Model>>,
    prices: Prices,
}

/// The label set of an operation, in the family's order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Operation {
    pub(super) error_type: &'static str,
    pub(super) tool: Arc<str>,
    pub(super) method: &'static str,
    pub(super) protocol: &'static str,
    pub(super) network: &'static str,
    pub(super) server: Arc<str>,
}

impl Operation {
    fn values(&self) -> [&str; 6] {
        [self.error_type, &self.tool, self.method, self.protocol, self.network, &self.server]
    }
}

#[derive(Debug)]
struct Model {
    tokens: [Count; TokenType::ALL.len()],
    cost: Amount,
    unpriced: Count,
}

/// Instruments by name combination, up to a budget; then by a fallback that is always there.
struct Combinations<K, V> {
    budget: usize,
    bound: Mutex<HashMap<K, V>>,
}

impl<K: Hash + Eq, V> Combinations<K, V> {
    fn new(budget: usize) -> Self {
        Self { budget, bound: Mutex::default() }
    }

    /// Uses the instrument of `key`, or of the fallback; true when it was the fallback.
    fn with(
        &self,
        key: K,
        fallback: impl FnOnce(K) -> K,
        bind: impl FnOnce(&K) -> V,
        act: impl FnOnce(&V),
    ) -> bool {
        let mut bound = self.bound.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = bound.get(&key) {
            act(value);
            return false;
        }
        let full = bound.len() >= self.budget;
        let key = if full { fallback(key) } else { key };
        if !bound.contains_key(&key) {
            let value = bind(&key);
            act(bound.entry(key).or_insert(value));
        } else if let Some(value) = bound.get(&key) {
            act(value);
        }
        full
    }
}

impl Families {
    pub(super) fn new(telemetry: &Telemetry, budgets: &Budgets, prices: Prices) -> Self {
        let counters = |family: Family| telemetry.counters(family);
        let overflow = counters(LABEL_OVERFLOW);
        Self {
            calls: telemetry.cells(catalogue::TOOL_CALLS),
            duration: telemetry.cells(catalogue::REQUEST_DURATION),
            request_size: telemetry.summaries(catalogue::REQUEST_SIZE, Direction::Request),
            response_size: telemetry.summaries(catalogue::RESPONSE_SIZE, Direction::Response),
            errors: counters(catalogue::ERRORS),
            rate_limits: counters(catalogue::RATE_LIMIT_HITS),
            timeouts: counters(catalogue::TIMEOUTS),
            validations: counters(catalogue::VALIDATION_FAILURES),
            generations: counters(catalogue::GENERATIONS_3D),
            auth_failures: counters(catalogue::AUTH_FAILURES),
            security_events: counters(catalogue::SECURITY_EVENTS),
            duplicates: counters(catalogue::DUPLICATE_OBSERVER),
            dropped: counters(catalogue::TAP_EVENTS_DROPPED),
            tool_pairs: Budget::new(budgets.pairs),
            operations: telemetry.cells(catalogue::OPERATION_DURATION),
            operation_sets: Combinations::new(budgets.combinations),
            error_details: Budget::new(budgets.error_details),
            overflows: Bounded::ALL.iter().map(|label| overflow.bind(&[label.as_str()])).collect(),
            agents: Vocabulary::new(budgets.agents),
            categories: Vocabulary::new(budgets.categories),
            agent_usage: counters(catalogue::AGENT_USAGE),
            agent_sets: Combinations::new(budgets.combinations),
            providers: Vocabulary::new(budgets.providers),
            models: Vocabulary::new(budgets.models),
            tokens: counters(catalogue::LLM_TOKENS),
            cost: telemetry.amounts(catalogue::LLM_COST),
            unpriced: counters(catalogue::LLM_UNPRICED_TOKENS),
            model_sets: Combinations::new(budgets.combinations),
            prices,
        }
    }

    pub(super) fn overflow(&self, label: Bounded) {
        self.overflows[label as usize].add(1);
    }

    /// Whether one more reason may have a series. `other` always may.
    pub(super) fn admit_error_detail(&self, reason: Reason) -> bool {
        let admitted = reason == Reason::Other || self.error_details.take();
        if !admitted {
            self.overflow(Bounded::ErrorDetail);
        }
        admitted
    }

    fn admit(&self, vocabulary: &Vocabulary, label: Bounded, name: &str) -> Arc<str> {
        vocabulary.admit(name).unwrap_or_else(|| {
            self.overflow(label);
            vocabulary.other()
        })
    }

    pub(super) fn operation(&self, operation: Operation, seconds: f64) {
        let fallback = |operation: Operation| Operation {
            tool: Arc::default(),
            method: crate::name::OTHER,
            protocol: "",
            ..operation
        };
        let overflowed = self.operation_sets.with(
            operation,
            fallback,
            |operation| self.operations.bind(&operation.values()),
            |cell| cell.observe(seconds),
        );
        if overflowed {
            self.overflow(Bounded::Operation);
        }
    }

    /// A cell of a tool's calls that ended with this status.
    pub(super) fn calls(&self, server: &str, tool: &str, status: Status) -> Arc<Cell> {
        let cell = self.duration.bind(&[server, tool]);
        self.calls.attach(&[server, status.as_str(), tool], cell.clone());
        cell
    }

    /// The sizes of a tool's messages. The caller asks once for each tool.
    pub(super) fn sizes(&self, server: &str, tool: &str) -> Arc<Sizes> {
        let sizes = Arc::<Sizes>::default();
        self.request_size.attach(&[server, tool], sizes.clone());
        self.response_size.attach(&[server, tool], sizes.clone());
        sizes
    }

    /// Lets a cell of calls count as operations too.
    pub(super) fn attach_operation(&self, operation: &Operation, cell: Arc<Cell>) {
        self.operations.attach(&operation.values(), cell);
    }

    pub(super) fn agent_usage(&self, server: &Arc<str>, agent: &str, category: &str, count: u64) {
        let agent = self.admit(&self.agents, Bounded::AgentName, agent);
        let category = self.admit(&self.categories, Bounded::Category, category);
        let overflowed = self.agent_sets.with(
            [agent, category, server.clone()],
            |[_, _, server]| [self.agents.other(), self.categories.other(), server],
            |[agent, category, server]| self.agent_usage.bind(&[agent, category, server]),
            |counter| counter.add(count),
        );
        if overflowed {
            self.overflow(Bounded::AgentName);
        }
    }

    pub(super) fn llm_tokens(
        &self,
        server: &Arc<str>,
        (provider, model): (&str, &str),
        tokens: [u64; TokenType::ALL.len()],
    ) {
        let label = [
            self.admit(&self.models, Bounded::Model, model),
            self.admit(&self.providers, Bounded::Provider, provider),
            server.clone(),
        ];
        let bind = |[model, provider, server]: &[Arc<str>; 3]| {
            let of = |kind: TokenType| self.tokens.bind(&[model, provider, server, kind.as_str()]);
            Arc::new(Model {
                tokens: [0, 1, 2, 3].map(|i| of(TokenType::ALL[i])),
                cost: self.cost.bind(&[model, provider, server]),
                unpriced: self.unpriced.bind(&[model, provider, server]),
            })
        };
        let write = |bound: &Arc<Model>| {
            for (kind, count) in TokenType::ALL.iter().zip(tokens).filter(|(_, n)| *n > 0) {
                bound.tokens[*kind as usize].add(count);
                // Prices go by the names as reported, before admission.
                match self.prices.cost(provider, model, *kind, count) {
                    Some(cost) => bound.cost.add(cost),
                    None => bound.unpriced.add(count),
                }
            }
        };
        let fallback =
            |[_, _, server]: [Arc<str>; 3]| [self.models.other(), self.providers.other(), server];
        if self.model_sets.with(label, fallback, bind, write) {
            self.overflow(Bounded::Model);
        }
    }
}
