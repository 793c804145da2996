//! What must hold under any interleaving, repetition and lost reply.

#![allow(clippy::unwrap_used, reason = "a broken assumption fails the test")]

mod incidents;
mod leases;
mod lossy;
mod streaks;

/// Runs a case on a clock of its own that jumps to the next timer.
fn on_paused_clock<T>(case: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().start_paused(true).build().unwrap().block_on(case)
}
