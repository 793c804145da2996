//! What people are told of repairs, case by case, and by several replicas.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use mcp_health_monitor::notice::Notifier;
use mcp_health_monitor::notice::channel::{Channel as _, Delivery};
use mcp_health_monitor::notice::message::{Section, Tone};
use mcp_health_monitor::slack::Slack;
use mcpmon_coordination::marks::ALL;
use mcpmon_coordination::repair::{self, What};
use mcpmon_coordination::{Holder, Redis, RedisConfig, Store};
use mcpmon_testkit::http_script::{Answer, HttpScript};
use mcpmon_testkit::redis_server::{Persistence, RedisServer};
use tokio::sync::{oneshot, watch};

use crate::slack::config;
use crate::world::{
    Outbox, START, action, maintenance, metrics, news, opened, resolved, snapshot, watched,
};

#[test]
fn a_repair_is_told_once_and_the_recovery_stays_as_it_is() {
    let (mut outbox, world) = (Outbox::default(), snapshot(vec![watched("api", &[])]));
    let open = [opened("api", START)];
    outbox.told(&world, &open, START).unwrap();
    let repaired = What::Repaired { action: action() };
    outbox.news.push(news("a1", "api", START + 60_000, repaired));
    let message = outbox.told(&world, &open, START + 60_000).unwrap().message.unwrap();
    assert_eq!(message.headline, "🔧 api was repaired");
    let line = &message.sections[0].lines[0];
    let text = "repaired by restart container boutique, verified healthy after 12 s";
    assert_eq!((line.component.as_str(), line.text.as_str()), ("api", text));
    assert_eq!(line.key, "a1");

    let over = [resolved("api", START, START + 90_000)];
    let message = outbox.told(&world, &over, START + 90_000).unwrap().message.unwrap();
    assert_eq!(message.headline, "api recovered");
    assert_eq!(message.sections[0].lines[0].text, "down for 1 min 30 s");
    // While its news is there, after it, and for ever.
    assert_eq!(outbox.step(&world, &over, START + 3_600_000).message, None);
    outbox.news.clear();
    assert_eq!(outbox.step(&world, &over, START + 90_000_000).message, None);
}

#[test]
fn everything_that_remediation_says_is_one_message_in_words() {
    let names = ["api", "shop", "mail", "db", "cart", "search", "blog"];
    let world = snapshot(names.iter().map(|name| watched(name, &[])).collect());
    let mut outbox = Outbox::default();
    let until = START + 600_000;
    let said = [
        ("api", What::Repaired { action: action() }),
        ("shop", What::Failed { action: action() }),
        ("mail", What::Escalated { why: "no action is left".to_owned() }),
        ("db", What::CircuitOpen),
        ("cart", What::StoppedByOperator),
        ("search", What::AwaitingApproval { action: action(), until }),
        (ALL, What::Storm { components: 12 }),
        ("blog", What::Unknown { action: action() }),
    ];
    for (place, (component, what)) in said.into_iter().enumerate() {
        outbox.news.push(news(&format!("n{place}"), component, START, what));
    }
    outbox.news[1].detail = Some("HTTP 503".to_owned());
    outbox.news[4].detail = Some("exited with 143".to_owned());
    let message = outbox.told(&world, &[], START).unwrap().message.unwrap();
    let mut told = format!("{}\n", message.headline);
    for section in &message.sections {
        told.push_str(&format!("{:?}: {}\n", section.tone, section.title));
        for line in &section.lines {
            let command = line.command.as_deref().unwrap_or("-");
            told.push_str(&format!("  {}: {} | {command}\n", line.component, line.text));
        }
    }
    insta::assert_snapshot!(told);
    assert_eq!(message.items.len(), 8);
    assert_eq!(message.cause, None);

    // An approval that came too late is no longer asked for.
    let late = outbox.step(&world, &[], until + 1);
    assert_eq!(late.message, None, "it was told");
    let mut late = Outbox { news: vec![outbox.news[5].clone()], ..Outbox::default() };
    let message = late.told(&world, &[], until).unwrap().message.unwrap();
    let line = &message.sections[0].lines[0];
    assert!(line.command.is_none() && line.text.contains(" waited for approval"), "{line:?}");
}

/// Remediation's own details end with what a person may type.
#[test]
fn a_command_in_the_detail_is_told_once_and_is_the_one_to_type() {
    let world = snapshot(vec![watched("api", &[])]);
    let mut outbox = Outbox::default();
    let until = START + 600_000;
    let spent =
        "5 actions within 1 h on all components are the budget; a person closes the circuit";
    let key = "a-component-with-a-name-of-many-words-in-one@1767225600000";
    outbox.news = vec![
        news("1", "api", START, What::CircuitOpen),
        news("2", "api", START, What::AwaitingApproval { action: action(), until }),
    ];
    outbox.news[0].detail = Some(format!("{spent}: mcp-remediation close-circuit _system"));
    outbox.news[1].detail = Some(format!("{}: mcp-remediation approve {key}", action()));
    let message = outbox.told(&world, &[], START).unwrap().message.unwrap();
    let [circuit, approval] = &message.sections[..] else { panic!("two sections") };
    let told = |section: &Section| {
        let line = &section.lines[0];
        (line.text.clone(), line.command.clone().unwrap())
    };
    let (text, command) = told(circuit);
    assert_eq!(text, format!("not repaired: {spent}"));
    assert_eq!(command, "mcp-remediation close-circuit _system");
    let (text, command) = told(approval);
    assert_eq!(text, format!("{} waits for approval until 2026-01-01T00:10:00Z", action()));
    assert_eq!(command, format!("mcp-remediation approve {key}"));
}

#[test]
fn what_happens_in_maintenance_is_not_told_even_later() {
    let mut world = snapshot(vec![watched("api", &[]), watched("shop", &[])]);
    let mut outbox = Outbox::default();
    world.components[0].maintenance = Some(maintenance());
    outbox.news.push(news("1", "api", START, What::Repaired { action: action() }));
    outbox.news.push(news("2", ALL, START, What::Storm { components: 5 }));
    let message = outbox.told(&world, &[], START).unwrap().message.unwrap();
    assert_eq!(message.headline, "storm: nothing is repaired", "not all are in maintenance");
    world.components[0].maintenance = None;
    assert_eq!(outbox.step(&world, &[], START + 60_000).message, None);

    // One that is unknown to the monitor is told, and before the first look nothing is.
    outbox.news.push(news("3", "gone", START, What::CircuitOpen));
    let nothing = outbox.step(&snapshot(vec![]), &[], START + 90_000);
    assert_eq!((nothing.message, nothing.changed.len()), (None, 0));
    let message = outbox.told(&world, &[], START + 120_000).unwrap().message.unwrap();
    assert_eq!(message.headline, "gone needs a person");
}

#[test]
fn a_news_id_like_an_incidents_key_is_no_incident() {
    let (mut outbox, world) = (Outbox::default(), snapshot(vec![watched("api", &[])]));
    let open = [opened("api", START)];
    outbox.news.push(news(&open[0].key, "api", START, What::StoppedByOperator));
    outbox.news.push(news("a:b c", "api", START, What::CircuitOpen));
    let message = outbox.told(&world, &open, START).unwrap().message.unwrap();
    assert_eq!(message.items.len(), 3);
    assert_eq!(outbox.step(&world, &open, START + 60_000).message, None);
}

#[test]
fn while_nobody_can_be_told_the_oldest_become_a_number() {
    let (mut outbox, world) = (Outbox::default(), snapshot(vec![watched("api", &[])]));
    for n in 0..500_u64 {
        let what = What::Failed { action: action() };
        outbox.news.push(news(&format!("n{n}"), "api", START + n, what));
        outbox.step(&world, &[], START + n * 60_000);
    }
    let step = outbox.step(&world, &[], START + 500 * 60_000);
    let message = step.message.unwrap();
    assert_eq!(message.items.len(), 10);
    let untold: u32 = message.items.iter().map(|item| item.notice.earlier).sum();
    assert_eq!(untold, 490);
    assert!(
        message.sections[0].lines[0].text.ends_with("; 490 earlier of its repairs were not told")
    );
    outbox.write(message.items.iter().map(|item| item.arrived(START)));
    assert_eq!(outbox.step(&world, &[], START + 600 * 60_000).message, None);
}

#[tokio::test]
async fn texts_from_outside_are_redacted_and_escaped_and_commands_stay() {
    let server = HttpScript::start(|_| Answer::status(200, "ok"));
    let name = "a-component-with-a-name-of-many-words-in-one";
    let (mut outbox, world) = (Outbox::default(), snapshot(vec![watched(name, &[])]));
    let secret = "GET http://joe:s3cret@host/ <!channel> & password=hunter3";
    let until = START + 600_000;
    for (id, what) in [
        ("1", What::Failed { action: format!("call {secret}") }),
        ("2", What::Escalated { why: secret.to_owned() }),
        ("3", What::Unknown { action: secret.to_owned() }),
        ("4", What::Repaired { action: secret.to_owned() }),
        ("5", What::AwaitingApproval { action: secret.to_owned(), until }),
    ] {
        let mut news = news(id, name, START, what);
        news.detail = Some(secret.to_owned());
        outbox.news.push(news);
    }
    let message = outbox.told(&world, &[], START).unwrap().message.unwrap();
    let tones: Vec<_> = message.sections.iter().map(|section| section.tone).collect();
    use Tone::{Bad, Good, Warning};
    assert_eq!(tones, [Bad, Warning, Warning, Warning, Good]);
    let slack = Slack::new(&config(&server.url())).unwrap().unwrap();
    for plain in [false, true] {
        assert_eq!(slack.deliver(&message, plain).await, Delivery::Sent);
    }
    for request in server.requests() {
        let body = String::from_utf8(request.body).unwrap();
        for word in ["s3cret", "hunter3", "<!channel>"] {
            assert!(!body.contains(word), "{word}: {body}");
        }
        assert!(body.contains(&format!("`mcp-remediation approve {name}@{START}`")), "{body}");
        assert!(body.contains("&lt;!channel&gt; &amp;"), "{body}");
    }
    let kept = serde_json::to_string(&outbox.notices).unwrap();
    assert!(!kept.contains("s3cret") && !kept.contains("hunter3"), "{kept}");
}

/// Three monitors over one real Redis, and a Slack that stumbles at first.
#[tokio::test]
async fn of_three_replicas_one_tells_each_repair_once() {
    const REPAIRS: usize = 30;
    let redis = RedisServer::start(Persistence::None);
    let asked = AtomicUsize::new(0);
    let slack = Arc::new(HttpScript::start(move |_| match asked.fetch_add(1, SeqCst) {
        0 => Answer::status(429, "rate_limited").with_header("Retry-After", "1"),
        1 => Answer::status(500, "oops"),
        _ => Answer::status(200, "ok"),
    }));
    let store =
        || -> Arc<dyn Store> { Arc::new(Redis::new(&RedisConfig::new(redis.url())).unwrap()) };
    let names: Vec<_> = (0..REPAIRS).map(|n| format!("server-{n:02}")).collect();
    let world = Arc::new(snapshot(names.iter().map(|name| watched(name, &[])).collect()));
    let (_snapshots, watching) = watch::channel(world);
    let mut stops = Vec::new();
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let (stop, stopped) = oneshot::channel::<()>();
        let config = config(&slack.url());
        let notifier = Notifier::new(store(), Holder::new(), &config, &metrics()).unwrap();
        running.spawn(notifier.run(watching.clone(), async { drop(stopped.await) }));
        stops.push(stop);
    }
    let remediation = store();
    for name in &names {
        let id = format!("id-{name}");
        let news = news(&id, name, START, What::Repaired { action: action() });
        repair::publish(&*remediation, &news).await.unwrap();
        repair::publish(&*remediation, &news).await.unwrap();
    }
    // A message names twenty, so what is written down says how many were told.
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(60);
    loop {
        let notices = mcp_health_monitor::notice::all(&*remediation).await.unwrap();
        let told = notices.values().filter(|notice| notice.opened_sent.is_some()).count();
        if told == REPAIRS {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "{told} of {REPAIRS} are told");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    drop(stops);
    while running.join_next().await.is_some() {}

    let mut heard: BTreeMap<String, usize> = BTreeMap::new();
    let mut unnamed = 0;
    for request in &slack.requests()[2..] {
        let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
        for attachment in body["attachments"].as_array().unwrap() {
            for block in attachment["blocks"].as_array().unwrap() {
                for line in block["text"]["text"].as_str().unwrap_or_default().lines() {
                    match line.split_once("`id-") {
                        Some((_, id)) => *heard.entry(id.to_owned()).or_default() += 1,
                        None => unnamed += more(line),
                    }
                }
            }
        }
    }
    assert!(heard.values().all(|times| *times == 1), "{heard:?}");
    assert_eq!(heard.len() + unnamed, REPAIRS, "{heard:?} and {unnamed} more");
}

/// How many `and 10 more` says.
fn more(line: &str) -> usize {
    let count = line.strip_prefix("and ").and_then(|rest| rest.strip_suffix(" more"));
    count.map_or(0, |count| count.parse().unwrap())
}
