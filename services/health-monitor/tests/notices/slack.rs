//! Slack at the other end: what it is sent, and what follows from its answers.

use std::collections::BTreeMap;
use std::sync::Arc;

use mcp_health_monitor::heartbeat::HeartbeatConfig;
use mcp_health_monitor::notice::channel::{Channel as _, Delivery};
use mcp_health_monitor::notice::message::Message;
use mcp_health_monitor::slack::{Slack, SlackConfig};
use mcp_health_monitor::snapshot::OwnTrouble;
use mcpmon_bootstrap::{Settings, Sources};
use mcpmon_testkit::http_script::{Answer, Gate, HttpScript};

use crate::world::{Outbox, START, opened, resolved, snapshot, watched};

/// A secret that nothing may show.
const SECRET: &str = "B00000000/hunter2";

pub(crate) fn settings(keys: &[(&str, &str)]) -> Settings {
    let environment: BTreeMap<_, _> =
        keys.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let sections = &["slack", "health_monitor"];
    Settings::load(Sources { file: None, environment, overrides: Vec::new(), sections }).unwrap()
}

pub(crate) fn config(url: &str) -> SlackConfig {
    let url = format!("{url}/services/T0/{SECRET}");
    let mut settings = settings(&[
        ("MCPMON__SLACK__WEBHOOK_URL", &url),
        ("MCPMON__SLACK__GROUP_SECONDS", "0"),
        ("MCPMON__HEALTH_MONITOR__PAGE_URL", "https://mon.example/?a=1&b=2"),
    ]);
    let config = SlackConfig::read(&mut settings);
    settings.finish().unwrap();
    config
}

/// A message about everything there is to say.
fn message() -> Message {
    let mut world = snapshot(vec![
        watched("redis", &[]),
        watched("api", &["redis"]),
        watched("shop", &["redis"]),
        watched("mail", &[]),
    ]);
    let mut outbox = Outbox::default();
    outbox.told(&world, &[opened("mail", START - 600_000)], START - 600_000).unwrap();
    outbox.step(&world, &[opened("shop", START - 100_000)], START - 90_000);
    world.own_trouble = Some(OwnTrouble { since: START, why: "no\nresolver".to_owned() });
    let mut api = opened("api", START);
    api.evidence.error = Some(
        "GET https://joe:s3cret@api/?token=abc123def <!channel> & \"Authorization: Bearer x.y\""
            .to_owned(),
    );
    let incidents = [
        opened("redis", START - 1_000),
        api,
        resolved("shop", START - 100_000, START - 12_000),
        resolved("mail", START - 600_000, START - 288_000),
    ];
    outbox.step(&world, &incidents, START).message.unwrap()
}

fn slack(server: &HttpScript) -> Slack {
    Slack::new(&config(&server.url())).unwrap().unwrap()
}

#[tokio::test]
async fn the_payload_is_as_slack_wants_it() {
    let server = HttpScript::start(|_| Answer::status(200, "ok"));
    assert_eq!(slack(&server).deliver(&message(), false).await, Delivery::Sent);
    assert_eq!(slack(&server).deliver(&message(), true).await, Delivery::Sent);
    let requests = server.requests();
    assert_eq!(requests[0].method, "POST");
    assert_eq!(requests[0].path, format!("/services/T0/{SECRET}"));
    assert_eq!(requests[0].header("content-type"), Some("application/json"));
    let bodies: Vec<serde_json::Value> =
        requests.iter().map(|r| serde_json::from_slice(&r.body).unwrap()).collect();
    for secret in ["s3cret", "abc123", "x.y", "<!channel>", "hunter2"] {
        assert!(!String::from_utf8_lossy(&requests[0].body).contains(secret), "{secret}");
        assert!(!String::from_utf8_lossy(&requests[1].body).contains(secret), "{secret}");
    }
    insta::assert_snapshot!(serde_json::to_string_pretty(&bodies).unwrap());
}

#[tokio::test]
async fn a_message_about_hundreds_keeps_slacks_limits() {
    let names: Vec<_> = (0..300).map(|n| format!("{n:03}-{}", "x".repeat(60))).collect();
    let world = snapshot(names.iter().map(|name| watched(name, &[])).collect());
    let bad = "<&>".repeat(200);
    let incidents: Vec<_> = names
        .iter()
        .map(|name| {
            let mut incident = opened(name, START);
            incident.evidence.error = Some(bad.clone());
            incident
        })
        .collect();
    let message = Outbox::default().told(&world, &incidents, START).unwrap().message.unwrap();
    let server = HttpScript::start(|_| Answer::status(200, "ok"));
    let slack = slack(&server);
    slack.deliver(&message, false).await;
    slack.deliver(&message, true).await;
    let [full, plain] = &server.requests()[..] else { panic!("two requests") };
    let full: serde_json::Value = serde_json::from_slice(&full.body).unwrap();
    let attachments = full["attachments"].as_array().unwrap();
    let blocks: Vec<_> = attachments.iter().flat_map(|a| a["blocks"].as_array().unwrap()).collect();
    assert!((2..=50).contains(&blocks.len()), "{}", blocks.len());
    for block in blocks.iter().filter(|block| block["type"] == "section") {
        let length = block["text"]["text"].as_str().unwrap().chars().count();
        assert!((1..=3_000).contains(&length), "{length}");
    }
    let plain: serde_json::Value = serde_json::from_slice(&plain.body).unwrap();
    assert!(plain["text"].as_str().unwrap().chars().count() <= 40_000);
}

#[tokio::test]
async fn each_answer_means_what_it_says() {
    let rejected = |text: &str| Delivery::Rejected(text.to_owned());
    let cases = [
        (Answer::status(200, "ok"), Delivery::Sent),
        (
            Answer::status(429, "rate_limited").with_header("Retry-After", "30"),
            Delivery::RateLimited(Some(std::time::Duration::from_secs(30))),
        ),
        (Answer::status(429, "").with_header("Retry-After", "soon"), Delivery::RateLimited(None)),
        (Answer::status(404, "no_service"), rejected("404 Not Found no_service")),
        (Answer::status(403, "invalid_token"), rejected("403 Forbidden invalid_token")),
        (Answer::status(410, "channel_is_archived"), rejected("410 Gone channel_is_archived")),
        (
            Answer::status(400, "invalid_payload"),
            Delivery::Misunderstood("400 Bad Request invalid_payload".to_owned()),
        ),
        (
            Answer::status(500, "password=hunter2"),
            Delivery::Failed("500 Internal Server Error password=[redacted]".to_owned()),
        ),
        (
            Answer::status(302, "").with_header("Location", "http://127.0.0.1:1/"),
            Delivery::Failed("302 Found".to_owned()),
        ),
    ];
    for (answer, expected) in cases {
        let server = HttpScript::start(move |_| answer.clone());
        assert_eq!(slack(&server).deliver(&message(), false).await, expected);
    }
    let server = HttpScript::start(|_| Answer::Close);
    let closed = slack(&server).deliver(&message(), false).await;
    let Delivery::Failed(why) = &closed else { panic!("{closed:?}") };
    assert!(!why.contains("hunter2") && !why.contains("services"), "{why}");
}

/// The paused clock goes on by itself while nothing else happens.
#[tokio::test(start_paused = true)]
async fn an_answer_that_never_comes_is_a_failure_without_the_url() {
    let gate = Gate::default();
    let held = gate.clone();
    let server = HttpScript::start(move |_| Answer::status(200, "ok").after(&held));
    let result = slack(&server).deliver(&message(), false).await;
    gate.open();
    let Delivery::Failed(why) = &result else { panic!("{result:?}") };
    assert!(why.contains("timed out") && !why.contains("hunter2"), "{why}");
}

#[test]
fn wrong_keys_are_named_and_secrets_are_not_shown() {
    let mut settings = settings(&[
        ("MCPMON__SLACK__WEBHOOK_URL", "hooks.slack.com/services/hunter2"),
        ("MCPMON__SLACK__REMINDER_SECONDS", "5"),
        ("MCPMON__HEALTH_MONITOR__HEARTBEAT_URL", "ftp://hc.example/hunter2"),
        ("MCPMON__HEALTH_MONITOR__PAGE_URL", "mon.example"),
    ]);
    let (slack, heartbeat) =
        (SlackConfig::read(&mut settings), HeartbeatConfig::read(&mut settings));
    assert!(slack.webhook_url.is_none() && heartbeat.url.is_none());
    let error = settings.finish().unwrap_err().to_string();
    assert!(!error.contains("hunter2"), "{error}");
    insta::assert_snapshot!(error);
}

#[test]
fn nothing_shows_the_url() {
    let config = config("http://127.0.0.1:1");
    let shown = format!("{config:?} {:?}", Arc::new(Slack::new(&config).unwrap().unwrap()));
    assert!(!shown.contains("hunter2") && shown.contains("[redacted]"), "{shown}");
}
