//! The operations as the product makes them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use async_trait::async_trait;
use mcp_health_monitor::check::Checker;
use mcp_health_monitor::component::Component;
use mcp_health_monitor::finding::Finding;
use mcp_health_monitor::probe::Probe;
use mcp_health_monitor::record;
use mcpmon_coordination::streak::{self, CheckResult};
use mcpmon_coordination::typed::{self, Change};
use mcpmon_coordination::{Document, Holder, Key, Lease, Put, Redis, RedisConfig, Store};
use mcpmon_testkit::redis_server::RedisServer;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::theirs::{Call, DOCUMENT_BYTES};

/// One run of one operation.
const RUN: Duration = Duration::from_millis(400);
const TTL: Duration = Duration::from_secs(60);

/// One operation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Operation {
    pub(super) name: &'static str,
    /// What it asks of Redis.
    pub(super) calls: &'static [(Call, f64)],
    what: What,
}

#[derive(Debug, Clone, Copy)]
enum What {
    Lease,
    Streak,
    Record,
    Get,
    Put,
    Check,
}

pub(super) const OPERATIONS: [Operation; 6] = [
    Operation {
        name: "lease: acquire and release",
        calls: &[(Call::ShortScript, 2.0)],
        what: What::Lease,
    },
    Operation {
        name: "streak: report",
        calls: &[(Call::Read, 1.0), (Call::DocumentScript, 1.0)],
        what: What::Streak,
    },
    Operation {
        name: "record: change",
        calls: &[(Call::Read, 1.0), (Call::DocumentScript, 1.0)],
        what: What::Record,
    },
    Operation { name: "document: get", calls: &[(Call::Read, 1.0)], what: What::Get },
    Operation { name: "document: put", calls: &[(Call::DocumentScript, 1.0)], what: What::Put },
    Operation {
        name: "all that a good check asks",
        calls: &[(Call::ShortScript, 2.0), (Call::Read, 6.0), (Call::DocumentScript, 2.0)],
        what: What::Check,
    },
];

/// The product's side.
#[derive(Debug)]
pub(super) struct Ours {
    runtime: Runtime,
    worker: Arc<Worker>,
}

#[derive(Debug)]
struct Worker {
    store: Arc<dyn Store>,
    checker: Checker,
    holder: Holder,
    /// A position greater than all before.
    position: AtomicU64,
}

/// A component that is well, at once.
#[derive(Debug)]
struct Well;

#[async_trait]
impl Probe for Well {
    async fn check(&self, _: Duration) -> Finding {
        Finding::ok(Duration::from_millis(1))
    }
}

impl Ours {
    pub(super) fn new(redis: &RedisServer) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let store: Arc<dyn Store> = Arc::new(Redis::new(&RedisConfig::new(redis.url()))?);
        let worker = Worker {
            checker: Checker::new(store.clone(), Default::default(), 256),
            store,
            holder: Holder::new(),
            position: AtomicU64::new(1),
        };
        Ok(Self { runtime: runtime.context("there is no runtime")?, worker: Arc::new(worker) })
    }

    /// Does it so often, one after the other.
    pub(super) fn repeat(&self, operation: Operation, times: usize) -> anyhow::Result<()> {
        let mut task = Task::new(&self.worker, 0);
        self.runtime.block_on(async {
            for _ in 0..times {
                task.run(operation.what).await?;
            }
            Ok(())
        })
    }

    /// How often per second so many at once do it.
    pub(super) fn rate(&self, operation: Operation, at_once: usize) -> anyhow::Result<f64> {
        self.runtime.block_on(async {
            let start = Instant::now();
            let mut tasks = JoinSet::new();
            for number in 0..at_once {
                let mut task = Task::new(&self.worker, number);
                tasks.spawn(async move {
                    let mut done = 0_usize;
                    while start.elapsed() < RUN {
                        task.run(operation.what).await?;
                        done += 1;
                    }
                    anyhow::Ok(done)
                });
            }
            let mut done = 0;
            while let Some(task) = tasks.join_next().await {
                done += task.context("a task broke down")??;
            }
            Ok(done as f64 / start.elapsed().as_secs_f64())
        })
    }
}

/// One who asks, with a component of its own.
struct Task {
    worker: Arc<Worker>,
    component: Component,
    lease: Key,
    document: Key,
    changed: Key,
    stored: Option<u64>,
}

impl Task {
    fn new(worker: &Arc<Worker>, number: usize) -> Self {
        let name = format!("c{number}");
        Self {
            worker: worker.clone(),
            lease: Key::new(&["probe", &name]),
            document: Key::new(&["document", &name]),
            changed: Key::new(&["changed", &name]),
            stored: None,
            component: Component {
                name,
                kind: "http",
                server: None,
                depends_on: Vec::new(),
                group: None,
                interval: TTL,
                recheck: TTL,
                deadline: TTL,
                slow: TTL,
                probe: Arc::new(Well),
            },
        }
    }

    async fn run(&mut self, what: What) -> anyhow::Result<()> {
        let store = &*self.worker.store;
        let position = self.worker.position.fetch_add(1, Relaxed);
        match what {
            What::Lease => self.lease().await?.release(store).await.map(drop)?,
            What::Streak => {
                let name = &self.component.name;
                streak::report(store, name, position, CheckResult::Ok).await.map(drop)?;
            }
            What::Record => {
                typed::change(store, &self.changed, |_: Option<typed::Placed<String>>| {
                    let (value, ttl) = ("x".repeat(DOCUMENT_BYTES), None);
                    Change::Write { position, value, ttl, result: () }
                })
                .await?;
            }
            What::Get => _ = store.get(&self.document).await?,
            What::Put => self.put(position).await?,
            What::Check => {
                // As the engine does: when is it due, the lease, is it still due, the check.
                record::read(store, &self.component.name).await?;
                let lease = self.lease().await?;
                record::read(store, &self.component.name).await?;
                let checked = self.worker.checker.check(&self.component, position).await?;
                ensure!(checked.record.slot == position, "a check was not kept");
                ensure!(lease.release(store).await?, "a lease was lost");
            }
        }
        Ok(())
    }

    async fn lease(&self) -> anyhow::Result<Lease> {
        let Worker { store, holder, .. } = &*self.worker;
        let lease = Lease::acquire(&**store, &self.lease, holder, TTL).await?;
        lease.context("somebody else has the lease")
    }

    async fn put(&mut self, position: u64) -> anyhow::Result<()> {
        let document = Document { position, value: "x".repeat(DOCUMENT_BYTES) };
        let store = &*self.worker.store;
        match store.put(&self.document, self.stored, &document, None).await? {
            Put::Stored => self.stored = Some(position),
            // What an earlier run left.
            Put::Conflict(Some(other)) => self.stored = Some(other.position),
            Put::Conflict(None) => bail!("a document vanished"),
        }
        Ok(())
    }
}
