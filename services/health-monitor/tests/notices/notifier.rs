//! The loop over a store and a channel that a test plays, with the clock paused.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use mcp_health_monitor::notice::channel::{Channel, Delivery, Log};
use mcp_health_monitor::notice::message::Message;
use mcp_health_monitor::notice::{Flushed, Notifier, all};
use mcp_health_monitor::snapshot::Snapshot;
use mcpmon_coordination::{Holder, Key, Lease, Memory, Shadow, Store, incident};
use mcpmon_metrics::Metrics;
use mcpmon_testkit::metric::metric;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use crate::breaking::Breaking;
use crate::world::{POLICY, START, metrics, opened, snapshot, watched};

/// Answers as it was told, and then that all is well; passes on what arrived with the time.
#[derive(Debug)]
pub(crate) struct Played {
    answers: Mutex<VecDeque<Delivery>>,
    heard: mpsc::UnboundedSender<(Message, bool, Instant)>,
}

type Heard = mpsc::UnboundedReceiver<(Message, bool, Instant)>;

impl Played {
    fn new(answers: impl IntoIterator<Item = Delivery>) -> (Box<Self>, Heard) {
        let (heard, hearing) = mpsc::unbounded_channel();
        let answers = Mutex::new(answers.into_iter().collect());
        (Box::new(Self { answers, heard }), hearing)
    }
}

#[async_trait]
impl Channel for Played {
    fn name(&self) -> &'static str {
        "slack"
    }

    async fn deliver(&self, message: &Message, plain: bool) -> Delivery {
        let answer = self.answers.lock().unwrap().pop_front().unwrap_or(Delivery::Sent);
        drop(self.heard.send((message.clone(), plain, Instant::now())));
        answer
    }
}

/// Breaks the store when a message arrives, so that its arrival cannot be written down.
#[derive(Debug)]
struct BreakingAfter(Box<Played>, Arc<Breaking>);

#[async_trait]
impl Channel for BreakingAfter {
    fn name(&self) -> &'static str {
        "slack"
    }

    async fn deliver(&self, message: &Message, plain: bool) -> Delivery {
        self.1.set_broken(true);
        self.0.deliver(message, plain).await
    }
}

fn notifier(store: &Arc<dyn Store>, channel: Box<dyn Channel>, metrics: &Metrics) -> Notifier {
    let start = Instant::now();
    let clock = Box::new(move || START + u64::try_from(start.elapsed().as_millis()).unwrap());
    Notifier::with(Arc::clone(store), Holder::new(), POLICY, channel, metrics, clock)
}

struct Running {
    snapshots: watch::Sender<Arc<Snapshot>>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Running {
    fn start(notifier: Notifier, world: Snapshot) -> Self {
        let (snapshots, watching) = watch::channel(Arc::new(world));
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(notifier.run(watching, async { drop(stopped.await) }));
        Self { snapshots, stop, task }
    }

    async fn stop(self) {
        drop(self.stop);
        self.task.await.unwrap();
        drop(self.snapshots);
    }
}

fn memory() -> Arc<dyn Store> {
    Arc::new(Memory::new())
}

async fn next(heard: &mut Heard) -> (Message, bool, Instant) {
    timeout(Duration::from_secs(7200), heard.recv()).await.expect("it is told").unwrap()
}

#[tokio::test(start_paused = true)]
async fn two_hundred_that_fail_in_a_second_are_one_message() {
    let (store, metrics) = (memory(), metrics());
    let names: Vec<_> = (0..200).map(|n| format!("server-{n}")).collect();
    let world = snapshot(names.iter().map(|name| watched(name, &[])).collect());
    let (channel, mut heard) = Played::new([]);
    let running = Running::start(notifier(&store, channel, &metrics), world.clone());
    for name in &names {
        incident::open(&*store, &opened(name, START)).await.unwrap();
        running.snapshots.send_replace(Arc::new(world.clone()));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (message, ..) = next(&mut heard).await;
    assert_eq!(message.headline, "200 components are down");
    for name in &names {
        incident::resolve(&*store, name, START + 60_000).await.unwrap();
    }
    let (message, ..) = next(&mut heard).await;
    assert_eq!(message.headline, "200 components recovered");
    running.stop().await;
    assert!(heard.recv().await.is_none(), "two messages in all");
    metric("mcp_health_alerts_total")
        .label("channel", "slack")
        .label("result", "sent")
        .value(2)
        .assert_in(&metrics.encode().unwrap());
}

#[tokio::test(start_paused = true)]
async fn what_does_not_arrive_is_sent_again_as_the_channel_asks() {
    let (store, metrics) = (memory(), metrics());
    let answers = [
        Delivery::RateLimited(Some(Duration::from_secs(30))),
        Delivery::Failed("500".into()),
        Delivery::Rejected("404 no_service".into()),
        Delivery::Misunderstood("400 invalid_blocks".into()),
    ];
    let (channel, mut heard) = Played::new(answers);
    incident::open(&*store, &opened("api", START)).await.unwrap();
    let world = snapshot(vec![watched("api", &[])]);
    let running = Running::start(notifier(&store, channel, &metrics), world);

    let mut at = Vec::new();
    let mut plain = Vec::new();
    for _ in 0..5 {
        let (message, as_plain, time) = next(&mut heard).await;
        assert_eq!(message.items[0].notice.key(), format!("api@{START}"));
        at.push(time);
        plain.push(as_plain);
    }
    assert_eq!(plain, [false, false, false, false, true]);
    let gaps: Vec<_> = at.windows(2).map(|two| (two[1] - two[0]).as_secs_f64()).collect();
    assert!((30.0..33.0).contains(&gaps[0]), "asked for 30 s: {gaps:?}");
    assert!((1.0..5.0).contains(&gaps[1]), "a back-off: {gaps:?}");
    assert!((300.0..303.0).contains(&gaps[2]), "refused, so at the cap: {gaps:?}");
    assert!((4.0..12.0).contains(&gaps[3]), "and a back-off: {gaps:?}");
    running.stop().await;
    assert!(heard.recv().await.is_none());
    let text = metrics.encode().unwrap();
    for (result, count) in [("sent", 1), ("rate_limited", 1), ("failed", 1), ("rejected", 2)] {
        metric("mcp_health_alerts_total").label("result", result).value(count).assert_in(&text);
    }
}

#[tokio::test(start_paused = true)]
async fn after_half_an_hour_without_slack_each_incident_is_told_once_in_order() {
    let (store, metrics) = (memory(), metrics());
    let failures = (0..14).map(|_| Delivery::Failed("dns".into()));
    let (channel, mut heard) = Played::new(failures);
    let world = snapshot(vec![watched("a", &[]), watched("b", &[])]);
    let running = Running::start(notifier(&store, channel, &metrics), world);
    let minute = Duration::from_secs(60);
    for n in 0..3 {
        let at = START + n * 180_000;
        incident::open(&*store, &opened("a", at)).await.unwrap();
        tokio::time::sleep(minute).await;
        incident::resolve(&*store, "a", at + 60_000).await.unwrap();
        tokio::time::sleep(minute * 2).await;
    }
    incident::open(&*store, &opened("b", START + 540_000)).await.unwrap();
    let mut last = None;
    while let Ok(Some(message)) = timeout(minute * 20, heard.recv()).await {
        last = Some(message.0);
    }
    let message = last.unwrap();
    assert_eq!(message.headline, "b is down; 3 components were down and recovered");
    let keys: Vec<_> = message.items.iter().map(|item| item.notice.key()).collect();
    let expected = [0, 180_000, 360_000].map(|after| format!("a@{}", START + after));
    assert_eq!(keys[..3], expected);
    assert_eq!(keys[3], format!("b@{}", START + 540_000));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn without_a_channel_notices_are_logged_and_said() {
    let (store, metrics) = (memory(), metrics());
    incident::open(&*store, &opened("api", START)).await.unwrap();
    let world = snapshot(vec![watched("api", &[])]);
    let notifier = notifier(&store, Box::new(Log), &metrics);
    let flushed = notifier.flush(&world, Instant::now() + Duration::from_secs(5)).await;
    assert_eq!(flushed, Flushed { sent: 1, unsent: vec![], why: None });
    let notices = all(&*store).await.unwrap();
    assert!(notices[&format!("api@{START}")].opened_sent.is_some());
    metric("mcp_health_alerts_total")
        .label("channel", "log")
        .label("result", "sent")
        .value(1)
        .assert_in(&metrics.encode().unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_flush_says_what_it_could_not_send_and_why() {
    let (store, metrics) = (memory(), metrics());
    incident::open(&*store, &opened("api", START)).await.unwrap();
    let world = snapshot(vec![watched("api", &[])]);
    let soon = || Instant::now() + Duration::from_secs(10);

    let (channel, mut heard) = Played::new([Delivery::Rejected("404 no_service".into())]);
    let first = notifier(&store, channel, &metrics);
    let flushed = first.flush(&world, soon()).await;
    let key = format!("api@{START}");
    let why = Some("rejected: 404 no_service".to_owned());
    assert_eq!(flushed, Flushed { sent: 0, unsent: vec![key], why });
    assert!(heard.try_recv().is_ok() && heard.try_recv().is_err(), "asked once");

    let other = Holder::new();
    let name = Key::new(&["notify"]);
    let lease = Lease::acquire(&*store, &name, &other, Duration::from_secs(60));
    let lease = lease.await.unwrap().unwrap();
    let (channel, mut heard) = Played::new([]);
    let second = notifier(&store, channel, &metrics);
    // Whoever has the right to tell will tell.
    assert_eq!(second.flush(&world, soon()).await, Flushed::default());
    assert!(heard.try_recv().is_err());

    lease.release(&*store).await.unwrap();
    let flushed = second.flush(&world, soon()).await;
    assert_eq!((flushed.sent, flushed.unsent.len(), flushed.why), (1, 0, None));
}

#[tokio::test(start_paused = true)]
async fn of_two_replicas_one_tells_and_the_other_takes_over_at_once() {
    let (store, metrics) = (memory(), metrics());
    let world = snapshot(vec![watched("api", &[])]);
    let (channel, mut heard_first) = Played::new([]);
    let first = Running::start(notifier(&store, channel, &metrics), world.clone());
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (channel, mut heard_second) = Played::new([]);
    let second = Running::start(notifier(&store, channel, &metrics), world);
    incident::open(&*store, &opened("api", START)).await.unwrap();
    assert_eq!(next(&mut heard_first).await.0.headline, "api is down");
    first.stop().await;
    incident::resolve(&*store, "api", START + 60_000).await.unwrap();
    assert_eq!(next(&mut heard_second).await.0.headline, "api recovered");
    second.stop().await;
    assert!(heard_second.recv().await.is_none() && heard_first.recv().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn what_arrived_and_could_not_be_written_is_not_told_again() {
    let (breaking, metrics) = (Arc::new(Breaking::default()), metrics());
    let store: Arc<dyn Store> = breaking.clone();
    incident::open(&*store, &opened("api", START)).await.unwrap();
    let world = snapshot(vec![watched("api", &[])]);
    let (channel, mut heard) = Played::new([]);
    let channel = Box::new(BreakingAfter(channel, Arc::clone(&breaking)));
    let running = Running::start(notifier(&store, channel, &metrics), world);
    assert_eq!(next(&mut heard).await.0.headline, "api is down");
    tokio::time::sleep(Duration::from_secs(90)).await;
    breaking.set_broken(false);
    tokio::time::sleep(Duration::from_secs(90)).await;
    let notices = all(&*store).await.unwrap();
    assert!(notices[&format!("api@{START}")].opened_sent.is_some());
    running.stop().await;
    assert!(heard.recv().await.is_none(), "told once");
}

#[tokio::test(start_paused = true)]
async fn without_redis_each_replica_tells_what_it_knows_and_remembers_it() {
    let (breaking, metrics) = (Arc::new(Breaking::default()), metrics());
    let state = tempfile::tempdir().unwrap();
    let shadow = Shadow::open(breaking.clone(), state.path()).unwrap();
    let store: Arc<dyn Store> = Arc::new(shadow);
    let world = snapshot(vec![watched("api", &[])]);
    let (channel, mut heard) = Played::new([]);
    let running = Running::start(notifier(&store, channel, &metrics), world);
    tokio::time::sleep(Duration::from_secs(5)).await;
    breaking.set_broken(true);
    // Kept locally; the stream cannot be told.
    incident::open(&*store, &opened("api", START)).await.unwrap_err();
    assert_eq!(next(&mut heard).await.0.headline, "api is down");
    tokio::time::sleep(Duration::from_secs(600)).await;
    incident::resolve(&*store, "api", START + 60_000).await.unwrap_err();
    assert_eq!(next(&mut heard).await.0.headline, "api recovered");
    breaking.set_broken(false);
    tokio::time::sleep(Duration::from_secs(600)).await;
    let notices = all(&*breaking).await.unwrap();
    assert!(notices[&format!("api@{START}")].is_over(), "Redis knows what was said without it");
    running.stop().await;
    assert!(heard.recv().await.is_none());
}
