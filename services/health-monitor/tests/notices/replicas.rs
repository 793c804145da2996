//! Two monitors over a real Redis, of which one dies while it tells.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use mcp_health_monitor::notice::{Flushed, Notifier};
use mcp_health_monitor::snapshot::Snapshot;
use mcpmon_coordination::{Holder, Redis, RedisConfig, Store, incident};
use mcpmon_testkit::http_script::{Answer, Gate, HttpScript, Request};
use mcpmon_testkit::redis_server::{Persistence, RedisServer};
use tokio::sync::{oneshot, watch};
use tokio::task::spawn_blocking;

use crate::slack::config;
use crate::world::{START, metrics, opened, snapshot, watched};

/// Waits on a thread of its own until so many requests came.
async fn requests(server: &Arc<HttpScript>, count: usize) -> Vec<Request> {
    let server = Arc::clone(server);
    let waiting = spawn_blocking(move || server.wait_for(|requests| requests.len() >= count));
    waiting.await.unwrap()
}

fn store(redis: &RedisServer) -> Arc<dyn Store> {
    Arc::new(Redis::new(&RedisConfig::new(redis.url())).unwrap())
}

fn notifier(store: &Arc<dyn Store>, slack: &HttpScript) -> Notifier {
    Notifier::new(Arc::clone(store), Holder::new(), &config(&slack.url()), &metrics()).unwrap()
}

#[tokio::test]
async fn who_dies_while_it_tells_is_followed_by_another_with_the_same_key() {
    let redis = RedisServer::start(Persistence::None);
    let gate = Gate::default();
    let held = gate.clone();
    // The first answer never comes; whether the message arrived, nobody knows.
    let slack = Arc::new(HttpScript::start(move |request| {
        let answer = Answer::status(200, "ok");
        if request.connection == 0 { answer.after(&held) } else { answer }
    }));
    let (snapshots, watching) = watch::channel(Arc::new(Snapshot::default()));
    let world = Arc::new(snapshot(vec![watched("api", &[])]));
    let (own, other) = (store(&redis), store(&redis));
    incident::open(&*own, &opened("api", START)).await.unwrap();
    snapshots.send_replace(Arc::clone(&world));

    let first = notifier(&own, &slack);
    let first = tokio::spawn(first.run(watching.clone(), std::future::pending()));
    let key = format!("api@{START}");
    let told = |request: &Request| String::from_utf8_lossy(&request.body).contains(&key);
    assert!(told(&requests(&slack, 1).await[0]));
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    gate.open();

    // While its lease lasts nobody else tells; it ends by itself, here at once.
    let second = notifier(&other, &slack);
    let soon = tokio::time::Instant::now() + Duration::from_millis(500);
    let flushed = second.flush(&world, soon).await;
    assert_eq!((flushed.sent, flushed.why), (0, None), "another has the right to tell");
    assert_eq!(slack.requests().len(), 1);
    redis.must(&["PEXPIRE", "mcpmon::lease:notify", "1"]);

    let (stop, stopped) = oneshot::channel::<()>();
    let second = tokio::spawn(second.run(watching, async { drop(stopped.await) }));
    let heard = requests(&slack, 2).await;
    assert!(told(&heard[1]), "again, with the same key");
    incident::resolve(&*own, "api", START + 60_000).await.unwrap();
    let heard = requests(&slack, 3).await;
    assert!(told(&heard[2]) && String::from_utf8_lossy(&heard[2].body).contains("recovered"));
    drop(stop);
    second.await.unwrap();
    assert_eq!(slack.requests().len(), 3);
}

#[tokio::test]
async fn two_hundred_reach_a_slack_that_stumbles_in_one_message() {
    let redis = RedisServer::start(Persistence::None);
    let asked = AtomicUsize::new(0);
    let slack = Arc::new(HttpScript::start(move |_| match asked.fetch_add(1, SeqCst) {
        0 => Answer::status(429, "rate_limited").with_header("Retry-After", "1"),
        1 => Answer::Close,
        2 => Answer::status(500, "oops"),
        _ => Answer::status(200, "ok"),
    }));
    let own = store(&redis);
    let names: Vec<_> = (0..200).map(|n| format!("server-{n}")).collect();
    for name in &names {
        incident::open(&*own, &opened(name, START)).await.unwrap();
    }
    let world = snapshot(names.iter().map(|name| watched(name, &[])).collect());
    let (_snapshots, watching) = watch::channel(Arc::new(world.clone()));
    let (stop, stopped) = oneshot::channel::<()>();
    let run = notifier(&own, &slack).run(watching, async { drop(stopped.await) });
    let running = tokio::spawn(run);
    for request in requests(&slack, 4).await {
        let body = String::from_utf8(request.body).unwrap();
        assert!(
            body.contains("200 components are down") && body.contains("and 180 more"),
            "{body}"
        );
    }
    drop(stop);
    running.await.unwrap();

    for name in &names {
        incident::resolve(&*own, name, START + 60_000).await.unwrap();
    }
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    let flushed = notifier(&own, &slack).flush(&world, deadline).await;
    assert_eq!(flushed, Flushed { sent: 200, unsent: vec![], why: None });
    let requests = slack.requests();
    assert_eq!(requests.len(), 5);
    let body = String::from_utf8_lossy(&requests[4].body);
    assert!(body.contains("200 components recovered"), "{body}");
}
