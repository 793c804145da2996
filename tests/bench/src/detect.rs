//! Time to detect: from the first moment at which a component fails to the opened incident. For the
//! intervals of real life it is computed, by the schedule and the judgement of the product over
//! random moments; and once it is measured, on the real program whose clock is short, to see
//! that the computation tells the truth.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, ensure};
use async_trait::async_trait;
use mcp_health_monitor::component::Component;
use mcp_health_monitor::finding::Finding;
use mcp_health_monitor::judge::{Check, next_record};
use mcp_health_monitor::probe::Probe;
use mcp_health_monitor::schedule::Cadence;
use mcpmon_coordination::incident::Failure;
use mcpmon_coordination::streak::{CheckResult, History};
use tokio::time::Instant;

use crate::ingest::{CLIENT_CORE, SERVER_CORE};
use crate::machine;
use crate::monitor::Watching;
use crate::report::{Limit, Report, Table, figure};
use crate::rounds::median;
use crate::targets::Targets;

/// Random moments for each interval.
const MOMENTS: usize = 10_000;
const INTERVALS: [Duration; 3] =
    [Duration::from_secs(10), Duration::from_secs(60), Duration::from_secs(300)];
const RECHECK: Duration = Duration::from_secs(30);
/// Who does not answer has failed after this time.
const DEADLINE: Duration = Duration::from_secs(5);

/// The real program.
const COMPONENTS: usize = 200;
const SHORT_INTERVAL: Duration = Duration::from_secs(1);
const SHORT_RECHECK: Duration = Duration::from_millis(100);
/// Within this time all of them begin to fail, one after the other.
const SPREAD: Duration = Duration::from_secs(6);

pub(crate) fn run() -> anyhow::Result<Report> {
    let cores = machine::cores()?;
    ensure!(cores > CLIENT_CORE, "monitor and targets need a core each; there are {cores}");
    machine::need("taskset", "util-linux")?;
    let mut report = Report::new("detect");
    computed(&mut report)?;
    measured(&mut report)?;
    Ok(report)
}

fn computed(report: &mut Report) -> anyhow::Result<()> {
    let title = format!(
        "Computed over {} random moments, seconds from the first failing moment to the incident; \
         checked again every {} s",
        figure(MOMENTS as f64),
        RECHECK.as_secs()
    );
    let header = ["every", "the component", "least", "p50", "p95", "max"];
    let mut table = Table::new(title, &header);
    // The same moments in each run.
    let mut random = fastrand::Rng::with_seed(4);
    for interval in INTERVALS {
        let how = [("refuses at once", Duration::ZERO), ("hangs for 5 s", DEADLINE)];
        for (how, takes) in how {
            let mut times: Vec<_> = (0..MOMENTS)
                .map(|_| {
                    let component = component(&format!("c{}", random.u32(..)), interval);
                    let moment = 1_700_000_000_000 + random.u64(..86_400_000);
                    incident_at(&component, RECHECK, moment, takes) - moment
                })
                .map(|millis| millis as f64 / 1e3)
                .collect();
            times.sort_by(f64::total_cmp);
            let every = format!("{} s", interval.as_secs());
            table.row([
                every.clone(),
                how.into(),
                figure(times[0]),
                figure(quantile(&times, 0.5)),
                figure(quantile(&times, 0.95)),
                figure(quantile(&times, 1.0)),
            ]);
            // One interval to see it, two more checks to believe it.
            let limit = (interval + RECHECK.min(interval) * 2 + takes).as_secs_f64();
            let what = format!("every {every}, {how}: at the latest");
            report.budget(what, quantile(&times, 1.0), Limit::AtMost(limit, "s"));
        }
    }
    report.table(table);
    Ok(())
}

fn measured(report: &mut Report) -> anyhow::Result<()> {
    let targets = Targets::start(COMPONENTS, CLIENT_CORE)?;
    let url = |n| format!("http://{}/monitor/{n}", targets.address);
    let watching =
        Watching::start(SERVER_CORE, "http", COMPONENTS, url, SHORT_INTERVAL, SHORT_RECHECK)?;
    watching.await_all("healthy")?;
    let mut random = fastrand::Rng::new();
    let mut due: Vec<_> = (0..COMPONENTS).map(|_| SPREAD.mul_f64(random.f64())).collect();
    due.sort();
    let start = Instant::now();
    let mut failed_at = Vec::new();
    for (target, due) in due.into_iter().enumerate() {
        thread::sleep((start + due).saturating_duration_since(Instant::now()));
        failed_at.push(unix_ms(SystemTime::now())?);
        targets.fail(target);
    }
    let mut times = Vec::new();
    let mut expected = Vec::new();
    for said in watching.await_all("unhealthy")? {
        let number = said.name.trim_start_matches('c').parse::<usize>();
        let moment = failed_at[number.with_context(|| format!("{} is unknown", said.name))?];
        // The state changes with the check that opens the incident.
        let since = said.since.with_context(|| format!("{} has no time", said.name))?;
        let since = humantime::parse_rfc3339(&since)?;
        times.push((unix_ms(since)? as f64 - moment as f64) / 1e3);
        let component = component(&said.name, SHORT_INTERVAL);
        let incident = incident_at(&component, SHORT_RECHECK, moment, Duration::ZERO);
        expected.push((incident - moment) as f64 / 1e3);
    }
    let late = median(times.iter().zip(&expected).map(|(time, expected)| time - expected));
    times.sort_by(f64::total_cmp);
    expected.sort_by(f64::total_cmp);
    let title = format!(
        "{COMPONENTS} components of the real program, checked every {} s and again every {} s",
        SHORT_INTERVAL.as_secs_f64(),
        SHORT_RECHECK.as_secs_f64()
    );
    let mut table = Table::new(title, &["seconds to the incident", "least", "p50", "p95", "max"]);
    for (name, times) in [("measured", &times), ("computed for the same moments", &expected)] {
        let at = |share| figure(quantile(times, share));
        table.row([name.into(), figure(times[0]), at(0.5), at(0.95), at(1.0)]);
    }
    report.table(table);
    let ratio = |share| quantile(&times, share) / quantile(&expected, share);
    let limit = Limit::AtMost(1.1, "× computed");
    report.budget("the real program, p50", ratio(0.5), limit);
    report.budget("the real program, p95", ratio(0.95), limit);
    let share = late / quantile(&expected, 0.5);
    report.budget("later than computed, median", share * 100.0, Limit::AtMost(5.0, "% of p50"));
    Ok(())
}

/// Never asked: what it finds is computed.
#[derive(Debug)]
struct Nothing;

#[async_trait]
impl Probe for Nothing {
    async fn check(&self, deadline: Duration) -> Finding {
        Finding::ok(deadline)
    }
}

fn component(name: &str, interval: Duration) -> Component {
    Component {
        name: name.to_owned(),
        kind: "http",
        server: None,
        depends_on: Vec::new(),
        group: None,
        interval,
        recheck: RECHECK.min(interval),
        deadline: DEADLINE,
        slow: Duration::from_secs(1),
        probe: Arc::new(Nothing),
    }
}

/// When the incident of a component opens that fails from `moment` on, where a check that fails
/// takes so long. Times are Unix milliseconds.
fn incident_at(component: &Component, recheck: Duration, moment: u64, takes: Duration) -> u64 {
    let cadence = Cadence::new(&component.name, component.interval, recheck);
    let good = Finding::ok(Duration::from_millis(1));
    let bad = Finding::fail(Failure::ConnectionRefused, "refused");
    let mut history = History::default();
    let mut record = None;
    // It has been well for a while.
    let mut now = moment - 3 * component.interval.as_millis() as u64;
    loop {
        let slot = cadence.next(record.as_ref(), None, now);
        let fails = slot.due >= moment;
        let (finding, result) =
            if fails { (&bad, CheckResult::Fail) } else { (&good, CheckResult::Ok) };
        now = slot.due + if fails { takes.as_millis() as u64 } else { 0 };
        history.record(slot.number, result);
        let check = Check { slot: slot.number, ended_at: now, finding };
        let next = next_record(component, record.as_ref(), &check, &history);
        if next.in_trouble {
            return now;
        }
        record = Some(next);
    }
}

/// Of sorted values.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = (share * (sorted.len() - 1) as f64).round() as usize;
    sorted.get(place).copied().unwrap_or(f64::NAN)
}

fn unix_ms(time: SystemTime) -> anyhow::Result<u64> {
    Ok(u64::try_from(time.duration_since(UNIX_EPOCH)?.as_millis())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_checks_after_the_moment_open_the_incident() {
        let minute = Duration::from_secs(60);
        let component = component("api", minute);
        let recheck = Duration::from_secs(30);
        let first = incident_at(&component, recheck, 1_000_000_000, Duration::ZERO);
        let waited = first - 1_000_000_000;
        assert!((60_000..=120_000).contains(&waited), "{waited}");
        // A moment later the same checks see it.
        assert_eq!(incident_at(&component, recheck, 1_000_000_001, Duration::ZERO), first);
        // Who hangs is found that much later: the third check ends later.
        assert_eq!(incident_at(&component, recheck, 1_000_000_000, DEADLINE), first + 5_000);
    }
}
