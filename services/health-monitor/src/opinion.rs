//! Keeps the verdict: made anew whenever the snapshot changes, with figures about calls and alerts
//! that are asked for every fifteen seconds.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::objectives::Objectives;
use crate::report::Report;
use crate::snapshot::Snapshot;
use crate::traffic::{FiringAlert, Traffic};
use crate::verdict::{Source, overall};

/// How old the figures about calls may be.
const EVERY: Duration = Duration::from_secs(15);

/// How long a source may take; it has a deadline of its own, this is for one that has not.
const PATIENCE: Duration = Duration::from_secs(6);

/// What calls and alerts say.
#[derive(Debug, Clone)]
pub struct Opinion {
    traffic: Source<Traffic>,
    alerts: Source<Vec<FiringAlert>>,
}

impl Opinion {
    /// Nobody was asked.
    #[must_use]
    pub fn none() -> Self {
        Self { traffic: Source::NotConfigured, alerts: Source::NotConfigured }
    }

    /// Asks the sources among the components: for calls Prometheus before the exporter.
    pub async fn ask(snapshot: &Snapshot) -> Self {
        let probes = || snapshot.components.iter().map(|watched| &watched.component);
        let by_kind = |kind| probes().find(move |component| component.kind == kind);
        let calls = by_kind("prometheus").or_else(|| by_kind("exporter"));
        let alerts = by_kind("alertmanager");
        let traffic = async {
            match calls.and_then(|component| Some((component, component.probe.traffic()?))) {
                Some((component, source)) => read(&component.name, source.traffic()).await,
                None => Source::NotConfigured,
            }
        };
        let firing = async {
            match alerts.and_then(|component| Some((component, component.probe.alerts()?))) {
                Some((component, source)) => read(&component.name, source.firing()).await,
                None => Source::NotConfigured,
            }
        };
        let (traffic, alerts) = tokio::join!(traffic, firing);
        Self { traffic, alerts }
    }

    /// The report on a snapshot in the light of this.
    #[must_use]
    pub fn report(&self, snapshot: &Snapshot, objectives: &Objectives) -> Report {
        Report::new(snapshot, overall(snapshot, &self.traffic, &self.alerts, objectives))
    }
}

async fn read<T>(name: &str, asked: impl Future<Output = Result<T, String>>) -> Source<T> {
    match timeout(PATIENCE, asked).await {
        Ok(Ok(read)) => Source::Read(read),
        Ok(Err(why)) => Source::Unreadable(format!("{name}: {why}")),
        Err(_) => Source::Unreadable(format!("{name}: no answer within {} s", PATIENCE.as_secs())),
    }
}

/// Publishes reports until there are no more snapshots. While a source lets us wait, what it said
/// before holds.
pub async fn follow(
    mut snapshots: watch::Receiver<Arc<Snapshot>>,
    objectives: watch::Receiver<Objectives>,
    reports: watch::Sender<Arc<Report>>,
) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut asking = JoinSet::new();
    let mut opinion: Option<Opinion> = None;
    loop {
        tokio::select! {
            _ = ticks.tick(), if asking.is_empty() => {
                let snapshot = snapshots.borrow().clone();
                asking.spawn(async move { Opinion::ask(&snapshot).await });
                continue;
            }
            Some(asked) = asking.join_next() => match asked {
                Ok(asked) => opinion = Some(asked),
                Err(error) => tracing::error!(%error, "the sources could not be asked"),
            },
            changed = snapshots.changed() => if changed.is_err() { return },
        }
        let snapshot = snapshots.borrow_and_update().clone();
        if let Some(opinion) = &opinion {
            let report = opinion.report(&snapshot, &objectives.borrow());
            reports.send_replace(Arc::new(report));
        }
    }
}
