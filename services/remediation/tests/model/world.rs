//! The world: some components, each with one target, and the monitor that sees them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use mcp_remediation::action::{Action, Condition, Order, Run, Sight, Trouble};
use mcp_remediation::clock::Clock;
use mcp_remediation::monitor::{Checked, Monitor, Outcome};
use mcpmon_coordination::incident::{self, Failure, Origin};
use mcpmon_coordination::typed::{self, Change, position_after};
use mcpmon_coordination::{Incident, Key, Memory};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::flaky::Flaky;
use crate::history::{Act, History};

/// When the simulation begins.
const BEGIN: u64 = 1_700_000_000_000;

/// What an action on a target leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    Heals,
    /// It starts anew and stays broken.
    DoesNotHelp,
    /// It starts anew, answers, and offers other tools.
    LosesTools,
    /// It is well again only some time later.
    HealsSlowly,
    /// The call never comes back, and nothing was done.
    Hangs,
    /// The call never comes back, and it was done.
    HealsAndHangs,
    Refused,
}

/// One component with its target.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) well: bool,
    pub(crate) well_at: Option<u64>,
    pub(crate) tools: u64,
    pub(crate) effect: Effect,
    pub(crate) generation: u64,
    pub(crate) started_at: u64,
    pub(crate) stopped: bool,
    pub(crate) first_failed_at: Option<u64>,
    good_checks: u32,
    pub(crate) paused_until: u64,
}

/// Everything.
#[derive(Debug)]
pub(crate) struct World {
    begin: Instant,
    /// As the replicas reach it; people and the monitor reach it always.
    pub(crate) redis: Arc<Flaky>,
    pub(crate) parts: Mutex<BTreeMap<String, Part>>,
    pub(crate) history: Mutex<History>,
}

impl World {
    pub(crate) fn new(count: usize) -> Arc<Self> {
        let part = |number| {
            let part = Part {
                well: true,
                well_at: None,
                tools: 7,
                effect: Effect::Heals,
                generation: 1,
                started_at: BEGIN - 60_000,
                stopped: false,
                first_failed_at: None,
                good_checks: 0,
                paused_until: 0,
            };
            (format!("c{number}"), part)
        };
        Arc::new(Self {
            begin: Instant::now(),
            redis: Arc::default(),
            parts: Mutex::new((0..count).map(part).collect()),
            history: Mutex::default(),
        })
    }

    pub(crate) fn now(&self) -> u64 {
        BEGIN + u64::try_from((Instant::now() - self.begin).as_millis()).unwrap()
    }

    pub(crate) fn clock(self: &Arc<Self>) -> Clock {
        let world = self.clone();
        Clock::new(move || world.now())
    }

    pub(crate) fn store(&self) -> &Memory {
        &self.redis.memory
    }

    pub(crate) fn parts(&self) -> MutexGuard<'_, BTreeMap<String, Part>> {
        self.parts.lock().unwrap()
    }

    pub(crate) fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap()
    }

    /// What the monitor does on its schedule: it writes down what it sees, opens incidents and ends
    /// them.
    pub(crate) async fn monitor(&self) {
        let names: Vec<String> = self.parts().keys().cloned().collect();
        for name in names {
            self.look(&name).await;
        }
    }

    /// One check, which counts unless the component is being repaired.
    async fn look(&self, name: &str) -> Part {
        let now = self.now();
        let repairing = mcpmon_coordination::marks::is_repairing(self.store(), name).await.unwrap();
        let (part, open, over) = {
            let mut parts = self.parts();
            let part = parts.get_mut(name).unwrap();
            if part.well_at.is_some_and(|at| at <= now) {
                (part.well, part.well_at) = (true, None);
            }
            let counts = !repairing;
            if !part.well && counts {
                part.first_failed_at.get_or_insert(now);
                part.good_checks = 0;
            } else if part.well && counts && part.first_failed_at.is_some() {
                part.good_checks += 1;
            }
            let over = part.good_checks >= 2;
            if over {
                (part.first_failed_at, part.good_checks) = (None, 0);
            }
            let open = (!part.well && counts).then_some(part.first_failed_at).flatten();
            (part.clone(), open, over)
        };
        let in_maintenance = part.paused_until > now;
        if let Some(began) = open.filter(|_| !in_maintenance) {
            let incident =
                Incident::new(name, "mcp", Failure::ConnectionRefused, Origin::Monitor, began, now);
            incident::open(self.store(), &incident).await.unwrap();
        }
        if over {
            incident::resolve(self.store(), name, now).await.unwrap();
        }
        self.write(name, &part, now).await;
        part
    }

    async fn write(&self, name: &str, part: &Part, now: u64) {
        let failed = part.first_failed_at.is_some();
        let record = json!({
            "kind": "mcp", "server": name, "interval_ms": 5_000, "slot": now, "checked_at": now,
            "state": if failed { "unhealthy" } else { "healthy" },
            "outcome": if part.well { json!("ok") } else { json!({"fail": "connection_refused"}) },
            "up": !failed, "in_trouble": failed,
            "consecutive_failures": if failed && !part.well { 3 } else { 0 },
            "tools": { "available": {}, "listing": {
                "protocol_version": "2025-11-25",
                // What it offered when it was last seen well.
                "tools": { "t": { "schema_hash": if part.well { part.tools } else { 7 } } },
            } },
        });
        let key = Key::new(&["component", name]);
        typed::change(self.store(), &key, |stored: Option<typed::Placed<Value>>| {
            let position = position_after(stored.map(|(at, _)| at), now);
            Change::Write { position, value: record.clone(), ttl: None, result: () }
        })
        .await
        .unwrap();
    }
}

/// The monitor, when it is asked.
#[derive(Debug)]
pub(crate) struct Seen(pub(crate) Arc<World>);

#[async_trait]
impl Monitor for Seen {
    async fn check(&self, component: &str) -> Result<Checked, String> {
        sleep(Duration::from_millis(20)).await;
        let part = self.0.look(component).await;
        let tools = mcpmon_coordination::inventory::tools_hash([("t", part.tools)].into_iter());
        Ok(Checked {
            outcome: if part.well {
                Outcome::Ok
            } else {
                Outcome::Fail(Failure::ConnectionRefused)
            },
            state: String::new(),
            error: None,
            latency_ms: None,
            tools_hash: part.well.then(|| format!("{tools:016x}")),
        })
    }
}

/// A component's target.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) world: Arc<World>,
    pub(crate) name: String,
}

impl Target {
    fn start_anew(&self, effect: Effect) {
        let now = self.world.now();
        let mut parts = self.world.parts();
        let part = parts.get_mut(&self.name).unwrap();
        part.generation += 1;
        part.started_at = now;
        match effect {
            Effect::Heals | Effect::HealsAndHangs => part.well = true,
            Effect::LosesTools => (part.well, part.tools) = (true, 8),
            Effect::HealsSlowly => part.well_at = Some(now + 20_000),
            Effect::DoesNotHelp | Effect::Hangs | Effect::Refused => {}
        }
    }
}

#[async_trait]
impl Action for Target {
    fn describe(&self) -> String {
        format!("restart {}", self.name)
    }

    fn names(&self) -> Vec<String> {
        vec![self.name.clone()]
    }

    async fn look(&self, _: Duration) -> Result<Sight, Trouble> {
        sleep(Duration::from_millis(5)).await;
        let part = self.world.parts()[&self.name].clone();
        let run = Run { generation: part.generation.to_string(), started_at: part.started_at };
        let stopped = Condition::Stopped("exited with 143".to_owned());
        let condition = if part.stopped { stopped } else { Condition::Ours };
        Ok(Sight { run: Some(run), condition })
    }

    async fn act(&self, order: &Order, deadline: Duration) -> Result<(), Trouble> {
        let part = self.world.parts()[&self.name].clone();
        let _running = Act::begin(&self.world, order, &part);
        sleep(Duration::from_millis(500)).await;
        match part.effect {
            Effect::Refused => return Err(Trouble::Refused("access denied".to_owned())),
            Effect::Hangs => {}
            effect => self.start_anew(effect),
        }
        if matches!(part.effect, Effect::Hangs | Effect::HealsAndHangs) {
            sleep(deadline).await;
            return Err(Trouble::Unknown("no answer".to_owned()));
        }
        Ok(())
    }
}
