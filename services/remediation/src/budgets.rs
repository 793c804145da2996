//! The budgets: one for each component, one for all together. An action is spent from both.

use mcpmon_coordination::budget::{self, Decision, Spent};
use mcpmon_coordination::{Store, store};

use crate::policy::Guards;

/// The name of the budget of all together; no component's name begins so.
pub const SYSTEM: &str = "_system";

/// What was spent for the component, and for all.
///
/// # Errors
/// When the store cannot be asked.
pub async fn spent(store: &dyn Store, component: &str) -> Result<(Spent, Spent), store::Error> {
    Ok((budget::spent(store, component).await?, budget::spent(store, SYSTEM).await?))
}

/// Spends one action, or says what stands against it. An attempt that was spent is not spent again.
///
/// # Errors
/// When the store cannot be asked: then do not act.
pub async fn spend(
    store: &dyn Store,
    component: &str,
    attempt: &str,
    guards: &Guards,
    now: u64,
) -> Result<Decision, store::Error> {
    match budget::spend(store, component, attempt, &guards.budget, now).await? {
        Decision::Go(_) => budget::spend(store, SYSTEM, attempt, &guards.system_budget, now).await,
        other => Ok(other),
    }
}

/// Opens the circuit whose budget is spent: from now on it stays so until a person closes it, also
/// when the window is over.
///
/// # Errors
/// When the store cannot be asked.
pub async fn open_circuit(
    store: &dyn Store,
    component: &str,
    guards: &Guards,
    now: u64,
) -> Result<(), store::Error> {
    let (own, _) = spent(store, component).await?;
    let own_is_spent = own.in_window(&guards.budget, now) >= guards.budget.attempts;
    let name = if own_is_spent || own.is_stopped() { component } else { SYSTEM };
    budget::stop(store, name, now).await
}
