//! A replica: the real engine and the real lease over the model's world. It can die at any await.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mcp_remediation::audit::Audit;
use mcp_remediation::engine::Engine;
use mcp_remediation::policy::{Guards, Mode, Policy, Rule, Target, Timing};
use mcp_remediation::protected::Protected;
use mcp_remediation::repair::Repairer;
use mcp_remediation::{Counts, lead};
use mcpmon_coordination::budget::Limits;
use mcpmon_coordination::incident::Failure;
use mcpmon_metrics::{Metrics, Options};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::world::{self, Seen, World};

pub(crate) const ATTEMPTS: u32 = 3;
pub(crate) const SYSTEM_ATTEMPTS: u32 = 5;
pub(crate) const WINDOW: Duration = Duration::from_secs(3_600);
pub(crate) const LEASE: Duration = Duration::from_secs(15);

/// One process, as far as this matters.
#[derive(Debug)]
pub(crate) struct Replica {
    tasks: [JoinHandle<()>; 2],
}

impl Replica {
    pub(crate) fn start(world: &Arc<World>, folder: &Path, number: usize) -> Self {
        let (held, stop) = (watch::Sender::new(None), CancellationToken::new());
        let (_, up) = watch::channel(true);
        let (_, seeded_at) = watch::channel(None);
        let (_, policy) = watch::channel(Arc::new(policy(world)));
        let engine = Engine {
            repairer: Repairer {
                store: world.redis.clone(),
                audit: Audit::open(folder, &format!("replica {number}")).unwrap(),
                monitor: Arc::new(Seen(world.clone())),
                locks: folder.join("locks"),
                counts: Counts::new(Metrics::new(Options::new("model", "0"))),
                clock: world.clock(),
            },
            policy,
            held: held.subscribe(),
            up,
            seeded_at,
            hold_off: LEASE,
            board: watch::Sender::default(),
            wake: Arc::new(Notify::new()),
        };
        let store = world.redis.clone();
        let leading = stop.clone();
        Self {
            tasks: [
                tokio::spawn(async move { lead::run(&*store, LEASE, held, leading).await }),
                tokio::spawn(engine.run(stop)),
            ],
        }
    }

    /// As `kill -9`: nothing is given back.
    pub(crate) fn kill(self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

fn policy(world: &Arc<World>) -> Policy {
    let names: Vec<String> = world.parts().keys().cloned().collect();
    let target = |name: &String| {
        let action = world::Target { world: world.clone(), name: name.clone() };
        (name.clone(), Target { kind: "command", action: Arc::new(action) })
    };
    let rule = |name: &String| Rule {
        name: name.clone(),
        component: name.clone(),
        failures: vec![Failure::ConnectionRefused],
        ladder: vec![name.clone()],
        mode: Mode::Act,
    };
    let second = Duration::from_secs(1);
    Policy {
        mode: None,
        rules: names.iter().map(rule).collect(),
        targets: names.iter().map(target).collect::<BTreeMap<_, _>>(),
        guards: Guards {
            budget: Limits {
                attempts: ATTEMPTS,
                window: WINDOW,
                first_pause: second * 30,
                longest_pause: second * 300,
                jitter: 0.25,
            },
            system_budget: Limits {
                attempts: SYSTEM_ATTEMPTS,
                window: WINDOW,
                first_pause: Duration::ZERO,
                longest_pause: Duration::ZERO,
                jitter: 0.0,
            },
            storm_components: 3,
            storm_share: 0.5,
            storm_cool_down: second * 20,
            min_healthy: BTreeMap::new(),
            min_healthy_default: 1,
            clock_skew: second * 2,
        },
        timing: Timing {
            look: second,
            act: second * 10,
            grace: second,
            verify: second * 30,
            verify_every: second * 2,
            verify_checks: 2,
        },
        protected: Protected::default(),
    }
}
