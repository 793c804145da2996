//! `--once`: every component is checked one time, the result is printed, and the exit code says how
//! it is. The records and streaks are those of the service, so that cron reaches three failures.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use mcpmon_coordination::settings::OpenError;
use mcpmon_coordination::shadow::JournalError;
use mcpmon_coordination::{Holder, Memory, Shadow, Store};
use tokio::time::Instant;

use crate::application::JOURNAL;
use crate::check::Checker;
use crate::config::Config;
use crate::lag::Lag;
use crate::metrics;
use crate::notice::Notifier;
use crate::opinion::Opinion;
use crate::report::Report;
use crate::view::View;

/// The folder of the journal where a running monitor may have the other.
const JOURNAL_BESIDE: &str = "health-monitor-once";

/// How long messages may take to be sent; what is left is sent by the next run.
const SENDING: Duration = Duration::from_secs(20);

/// What one run gives.
#[derive(Debug)]
pub struct Once {
    pub report: Report,
    /// What a person should know about this run itself.
    pub remarks: Vec<String>,
}

/// Checks every component once.
///
/// # Errors
/// When the journal cannot be used, except because a running monitor has it.
pub async fn run(config: Config) -> Result<Once, OpenError> {
    let mut remarks = Vec::new();
    // What is in Redis is shared with a running monitor; only the journal is one process's own.
    let journal = if config.coordination.redis.is_some() { JOURNAL_BESIDE } else { JOURNAL };
    let opened = match config.coordination.open(journal) {
        Ok(store) => Some(Arc::new(store)),
        Err(OpenError::Journal(JournalError::Locked(directory))) => {
            remarks.push(format!(
                "another monitor has the state directory `{}`: this run stands alone, its failures \
                 do not count and nobody is told",
                directory.display()
            ));
            None
        }
        Err(error) => return Err(error),
    };
    let store: Arc<dyn Store> = match &opened {
        Some(store) => store.clone(),
        None => Arc::new(Memory::new()),
    };
    let lag = Lag::default();
    let watching = tokio::spawn(lag.clone().watch());
    let checker = Checker::new(store.clone(), lag, config.watch.at_once);
    let components = Arc::new(config.watch.components);
    let checks = components.iter().map(|component| checker.check_now(component));
    for (component, checked) in components.iter().zip(join_all(checks).await) {
        if let Err(error) = checked {
            remarks.push(format!("{}: its result was not kept: {error}", component.name));
        }
    }
    join_all(components.iter().map(|component| component.probe.close())).await;
    watching.abort();

    let mut view = View::new(store.clone(), components);
    view.refresh().await;
    let snapshot = view.snapshot(opened.as_deref().is_none_or(is_up));
    let report = Opinion::ask(&snapshot).await.report(&snapshot, &config.watch.objectives);
    if opened.is_some() {
        let metrics = metrics::new();
        match Notifier::new(store, Holder::new(), &config.slack, &metrics) {
            Ok(notifier) => {
                let flushed = notifier.flush(&snapshot, Instant::now() + SENDING).await;
                if let Some(why) = flushed.why {
                    remarks.push(format!("not everybody was told yet: {why}"));
                }
            }
            Err(why) => remarks.push(format!("nobody was told: {why}")),
        }
    }
    Ok(Once { report, remarks })
}

fn is_up(store: &Shadow) -> bool {
    *store.up().borrow()
}
