//! The instruments of one (server, tool) pair.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::Families;
use super::families::Operation;
use crate::histogram::Cell;
use crate::label::{ErrorType, Label, LimitType, Reason, Status, Transport, ValidationType};
use crate::outcome::Outcome;
use crate::summary::Sizes;
use crate::telemetry::Count;

/// What every call of the tool touches.
#[derive(Debug)]
pub(super) struct Calls {
    // Of calls that count as an operation apart: those that failed.
    by_status: [Arc<Cell>; Status::ALL.len()],
    timeouts: Count,
    sizes: Arc<Sizes>,
}

/// One (server, tool) pair. Its instruments are bound when they are first needed, but for
/// admitted tools at once, so that `rate()` sees their first failure.
#[derive(Debug)]
pub(super) struct Tool {
    server: Arc<str>,
    label: Arc<str>,
    calls: OnceLock<Calls>,
    errors: Mutex<Vec<((ErrorType, Reason), Count)>>,
    rate_limits: [OnceLock<Count>; LimitType::ALL.len()],
    validations: [OnceLock<Count>; ValidationType::ALL.len()],
    // Calls that succeeded, as operations, by transport; the last is an unknown one.
    succeeded: [OnceLock<Arc<Cell>>; Transport::ALL.len() + 1],
}

impl Tool {
    pub(super) fn new(server: Arc<str>, label: Arc<str>) -> Self {
        Self {
            server,
            label,
            calls: OnceLock::new(),
            errors: Mutex::default(),
            rate_limits: Default::default(),
            validations: Default::default(),
            succeeded: Default::default(),
        }
    }

    pub(super) fn label(&self) -> &Arc<str> {
        &self.label
    }

    /// Makes the tool's series appear, at 0.
    pub(super) fn expose(&self, families: &Families) {
        self.calls(families);
        self.error(families, ErrorType::ToolError, Reason::IsError, 0);
    }

    fn calls(&self, families: &Families) -> &Calls {
        self.calls.get_or_init(|| {
            let pair = [&*self.server, &*self.label];
            let of = |status: Status| families.calls(&self.server, &self.label, status);
            Calls {
                by_status: [0, 1, 2, 3].map(|i| of(Status::ALL[i])),
                timeouts: families.timeouts.bind(&pair),
                sizes: families.sizes(&self.server, &self.label),
            }
        })
    }

    /// Writes a finished call, once: to `cell`, or to the tool's own one of its status.
    pub(super) fn call(
        &self,
        families: &Families,
        outcome: Outcome,
        (seconds, cell): (f64, Option<&Cell>),
        (request_bytes, response_bytes): (Option<u64>, Option<u64>),
    ) {
        let calls = self.calls(families);
        cell.unwrap_or(&calls.by_status[outcome.status() as usize]).observe(seconds);
        calls.sizes.observe(request_bytes, response_bytes);
        match outcome {
            Outcome::Error(error_type, reason) => self.error(families, error_type, reason, 1),
            Outcome::Timeout => calls.timeouts.add(1),
            Outcome::Success | Outcome::Cancelled => {}
        }
    }

    pub(super) fn error(&self, families: &Families, kind: ErrorType, reason: Reason, count: u64) {
        let mut errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        let known = |errors: &Vec<((ErrorType, Reason), Count)>, key| {
            errors.iter().position(|(k, _)| *k == key)
        };
        let mut key = (kind, reason);
        let mut place = known(&errors, key);
        if place.is_none() && !families.admit_error_detail(reason) {
            key.1 = Reason::Other;
            place = known(&errors, key);
        }
        let place = place.unwrap_or_else(|| {
            let values = [key.0.as_str(), key.1.as_str(), &self.server, &self.label];
            errors.push((key, families.errors.bind(&values)));
            errors.len() - 1
        });
        errors[place].1.add(count);
    }

    /// The cell of calls that succeeded and are the server's operation that `operation` names.
    pub(super) fn succeeded(
        &self,
        families: &Families,
        transport: Option<Transport>,
        operation: impl FnOnce() -> Operation,
    ) -> &Cell {
        let place = transport.map_or(Transport::ALL.len(), |transport| transport as usize);
        self.succeeded[place].get_or_init(|| {
            let cell = families.calls(&self.server, &self.label, Status::Success);
            families.attach_operation(&operation(), cell.clone());
            cell
        })
    }

    pub(super) fn rate_limit(&self, families: &Families, limit: LimitType, count: u64) {
        self.rate_limits[limit as usize]
            .get_or_init(|| families.rate_limits.bind(&[limit.as_str(), &self.server, &self.label]))
            .add(count);
    }

    pub(super) fn validation(&self, families: &Families, kind: ValidationType, count: u64) {
        self.validations[kind as usize]
            .get_or_init(|| families.validations.bind(&[&self.server, &self.label, kind.as_str()]))
            .add(count);
    }
}

/// A budget that is spent one at a time.
#[derive(Debug)]
pub(super) struct Budget {
    left: AtomicUsize,
}

impl Budget {
    pub(super) fn new(size: usize) -> Self {
        Self { left: AtomicUsize::new(size) }
    }

    pub(super) fn is_spent(&self) -> bool {
        self.left.load(Ordering::Relaxed) == 0
    }

    /// Takes one; false when nothing is left.
    pub(super) fn take(&self) -> bool {
        self.left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
            .is_ok()
    }
}
