//! The command lines: those of the prototype, cron, and what an operator types.

use std::path::Path;
use std::process::Output;

use mcpmon_testkit::http_script::{Answer, HttpScript, Request};
use mcpmon_testkit::redis_server::{Persistence, RedisServer};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Kind, Monitor, Slack, Target, Way, World, assert_sound, history, run, until};

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The output without what differs from run to run.
fn tidy(output: &Output, target: &Target) -> String {
    let text = text(&output.stdout).replace(&target.url(), "URL");
    let lines = text.lines().map(|line| match line.strip_prefix("   Latency: ") {
        Some(latency) => {
            assert!(latency.strip_suffix("ms").unwrap().parse::<u64>().is_ok(), "{latency}");
            "   Latency: …ms"
        }
        None => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn once(arguments: &[&str], state: &Path) -> Output {
    let arguments: Vec<_> = ["--once"].iter().chain(arguments).copied().collect();
    run(&arguments, state, &[])
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

#[test]
fn once_prints_what_the_prototype_printed_and_its_exit_code_says_how_it_is() {
    let (folder, api, metrics) = (tempfile::tempdir().unwrap(), Target::start(), Target::start());
    let root = |target: &Target| target.url().replace("/health", "");
    let (api_url, metrics_url) = (root(&api), root(&metrics));
    let arguments = ["--api-url", &api_url, "--metrics-url", &metrics_url];
    let output = once(&arguments, &folder.path().join("well"));
    assert_eq!((code(&output), text(&output.stderr)), (0, String::new()));
    insta::assert_snapshot!(tidy(&output, &metrics), @r"
    ============================================================
    MCP HEALTH CHECK RESULTS
    ============================================================

    ✅ API
       Status: healthy
       Latency: …ms

    ✅ METRICS_SERVER
       Status: healthy
       Latency: …ms

    Overall: GREEN
       Left out: error ratio and p95 of calls: neither a Prometheus nor an exporter is configured
       Left out: alerts: no Alertmanager is configured
    ");

    metrics.set(Way::Down);
    let output = once(&arguments, &folder.path().join("dead"));
    assert_eq!((code(&output), text(&output.stderr)), (2, String::new()));
    insta::assert_snapshot!(tidy(&output, &metrics), @r"
    ============================================================
    MCP HEALTH CHECK RESULTS
    ============================================================

    ✅ API
       Status: healthy
       Latency: …ms

    ❌ METRICS_SERVER
       Status: unhealthy
       Latency: …ms
       Error: GET URL: it answers 503 Service Unavailable, expected 200 to 399

    Overall: RED
       metrics_server is unhealthy: GET URL: it answers 503 Service Unavailable, expected 200 to 399
       Left out: error ratio and p95 of calls: neither a Prometheus nor an exporter is configured
       Left out: alerts: no Alertmanager is configured
    ");

    // A component that was well and fails once.
    let output = once(&arguments, &folder.path().join("well"));
    assert_eq!(code(&output), 1, "{output:?}");
    assert!(text(&output.stdout).contains("Overall: YELLOW\n"), "{output:?}");
}

#[test]
fn once_says_unknown_by_exit_code_3_where_nothing_can_be_known() {
    // A server of the transport that is no more.
    let server = HttpScript::start(|request: &Request| match request.method.as_str() {
        "GET" => Answer::status(200, "event: endpoint\ndata: /messages?session=1\n\n")
            .with_header("content-type", "text/event-stream"),
        _ => Answer::status(405, ""),
    });
    let slack = Slack::start();
    let keys = format!("kind = \"mcp\"\nurl = \"{}/sse\"", server.url());
    let world = World::new(&slack).component("old", &keys);
    let config = world.write();
    let output = once(&["--config", config.to_str().unwrap()], &world.state("a"));
    assert_eq!(code(&output), 3, "{output:?}");
    assert!(text(&output.stdout).contains("Status: unsupported_transport\n"), "{output:?}");
    assert!(text(&output.stdout).contains("Overall: UNKNOWN\n"), "{output:?}");
    assert!(slack.told().is_empty());
}

#[test]
fn once_prints_json() {
    let (slack, good, dead) = (Slack::start(), Target::start(), Target::start());
    dead.set(Way::Down);
    let world = World::new(&slack).http("good", &good, "").http("dead", &dead, "");
    let config = world.write();
    let arguments = ["--config", config.to_str().unwrap(), "--format", "json"];
    let output = once(&arguments, &world.state("a"));
    assert_eq!(code(&output), 2, "{output:?}");
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["overall"]["status"], "red");
    let states: Vec<_> =
        json["components"].as_array().unwrap().iter().map(|it| &it["state"]).collect();
    assert_eq!(states, ["unhealthy", "healthy"], "{json:#}");
    let alone = run(&["--format", "json"], &world.state("a"), &[]);
    assert_eq!(code(&alone), 64, "{alone:?}");
}

#[test]
fn cron_reaches_three_failures_and_a_recovery_without_redis() {
    let (slack, target) = (Slack::start(), Target::start());
    let (folder, url): (TempDir, _) = (tempfile::tempdir().unwrap(), target.url());
    let webhook = slack.webhook();
    let arguments = ["--api-url", &url, "--metrics-url", &url, "--slack-webhook", &webhook];
    let mut codes = Vec::new();
    let mut messages = Vec::new();
    for way in [Way::Ok, Way::Down, Way::Down, Way::Down, Way::Down, Way::Ok, Way::Ok, Way::Ok] {
        target.set(way);
        let output = once(&arguments, folder.path());
        assert!(output.stderr.is_empty(), "{output:?}");
        codes.push(code(&output));
        messages.push(slack.told().into_iter().filter(|told| told.component == "api").count());
    }
    assert_eq!(codes, [0, 1, 1, 2, 2, 2, 0, 0]);
    assert_eq!(messages, [0, 0, 0, 1, 1, 1, 2, 2]);
    slack.assert_sound(true);
}

#[test]
fn once_beside_a_running_monitor_checks_alone_and_tells_nobody() {
    let (slack, target) = (Slack::start(), Target::start());
    let world = World::new(&slack).http("api", &target, "interval_seconds = 3600");
    let monitor = world.start("a");
    monitor.wait_state("api", "healthy");
    target.set(Way::Down);
    let config = world.write();
    for _ in 0..4 {
        let output = once(&["--config", config.to_str().unwrap()], &world.state("a"));
        assert_eq!(code(&output), 2, "{output:?}");
        let note = text(&output.stderr);
        assert!(note.starts_with("note: another monitor has the state directory `"), "{note}");
    }
    assert!(slack.told().is_empty(), "{:?}", slack.told());
    assert_eq!(monitor.component("api")["consecutive_failures"], 0);
}

#[test]
fn a_failure_that_once_finds_is_confirmed_by_the_monitor_with_the_same_redis() {
    let (redis, slack, target) =
        (RedisServer::start(Persistence::Aof), Slack::start(), Target::start());
    let world =
        World::new(&slack).redis(redis.port()).http("api", &target, "interval_seconds = 3600");
    let monitor = world.start("a");
    monitor.wait_state("api", "healthy");
    target.set(Way::Down);
    let config = world.write();
    let output = once(&["--config", config.to_str().unwrap()], &world.state("a"));
    assert_eq!((code(&output), text(&output.stderr)), (1, String::new()));
    // Its next slot is an hour away, and the failure has to be confirmed now.
    slack.wait_for("api", Kind::Opened);
    monitor.wait_state("api", "unhealthy");
    target.set(Way::Ok);
    slack.wait_for("api", Kind::Recovered);
    slack.assert_sound(true);
    assert_eq!(slack.told().len(), 2);
    assert_sound(&history(&redis, "api"));
}

#[test]
fn a_second_monitor_with_the_same_state_directory_does_not_start() {
    let (slack, target) = (Slack::start(), Target::start());
    let world = World::new(&slack).http("api", &target, "");
    let monitor = world.start("a");
    monitor.wait_state("api", "healthy");
    let config = world.write();
    let second = run(
        &["--config", config.to_str().unwrap()],
        &world.state("a"),
        &[("MCPMON__HEALTH_MONITOR__PORT", "0")],
    );
    assert_eq!((code(&second), second.stdout.len()), (70, 0), "{second:?}");
    let error = text(&second.stderr);
    let folder = world.state("a").join("health-monitor");
    assert!(error.contains(folder.to_str().unwrap()), "{error}");
    assert!(monitor.terminate().success());
}

#[test]
fn the_prototypes_command_line_runs_on_and_tells_slack() {
    let (slack, target, other) = (Slack::start(), Target::start(), Target::start());
    let folder = tempfile::tempdir().unwrap();
    let root = target.url().replace("/health", "");
    let (webhook, other) = (slack.webhook(), other.url());
    let monitor = Monitor::start_with(
        &[
            "--interval",
            "0.5",
            "--api-url",
            &root,
            "--metrics-url",
            &other,
            "--slack-webhook",
            &webhook,
        ],
        folder.path(),
    );
    monitor.wait_state("api", "healthy");
    monitor.wait_state("metrics_server", "healthy");
    target.set(Way::Down);
    let opened = slack.wait_for("api", Kind::Opened);
    assert!(opened.text.starts_with("HTTP 5xx: "), "{opened:?}");
    target.set(Way::Ok);
    slack.wait_for("api", Kind::Recovered);
    slack.assert_sound(true);
    assert!(monitor.terminate().success());
}

#[test]
fn an_operator_opens_and_closes_windows_and_acknowledges() {
    let (slack, target) = (Slack::start(), Target::start());
    let world = World::new(&slack).http("api", &target, "");
    let monitor = world.start("a");
    monitor.wait_state("api", "healthy");
    let config = world.write();
    let port = monitor.address().port().to_string();
    let given = ["--config", config.to_str().unwrap()];
    let command = |words: &[&str]| {
        // Before the command, or anywhere in it.
        let arguments =
            if words[0] == "ack" { [words, &given].concat() } else { [&given, words].concat() };
        let environment = [("MCPMON__HEALTH_MONITOR__PORT", port.as_str())];
        let output = run(&arguments, &world.state("a"), &environment);
        (code(&output), text(&output.stdout), text(&output.stderr))
    };
    let said = |words: &[&str]| {
        let (code, said, error) = command(words);
        assert_eq!((code, error.as_str()), (0, ""), "{words:?}");
        said
    };
    assert_eq!(said(&["maintenance", "list"]), "no maintenance window is open\n");
    let start = ["maintenance", "start", "api", "--for", "30m", "--reason", "new disks"];
    assert_eq!(said(&start), "api: in maintenance for 30m\n");
    let listed = said(&["maintenance", "list"]);
    assert!(listed.starts_with("api: until 2") && listed.ends_with("Z, new disks\n"), "{listed}");
    until("the report shows it", || {
        (monitor.component("api")["maintenance"]["reason"] == "new disks").then_some(())
    });

    target.set(Way::Down);
    monitor.wait_state("api", "unhealthy");
    target.rounds(15);
    assert!(slack.told().is_empty(), "{:?}", slack.told());
    assert_eq!(said(&["maintenance", "end", "api"]), "api: maintenance ended\n");
    // What outlasts its window is told.
    slack.wait_for("api", Kind::Opened);
    let acknowledged = said(&["ack", "api"]);
    assert_eq!(
        acknowledged,
        "api: its trouble is acknowledged: no reminders; 0 vanished tools forgotten\n"
    );
    until("the report shows it", || {
        (monitor.component("api")["acknowledged"] == true).then_some(())
    });
    target.set(Way::Ok);
    slack.wait_for("api", Kind::Recovered);
    monitor.wait_state("api", "healthy");
    assert_eq!(said(&["ack", "api"]), "api: it is in no trouble; 0 vanished tools forgotten\n");
    slack.assert_sound(true);

    for (words, problem) in [
        (
            &["maintenance", "end", "api"][..],
            "error: the monitor answers 404 Not Found: there is no maintenance window for `api`\n",
        ),
        (
            &["ack", "apo"],
            "error: the monitor answers 404 Not Found: there is no component `apo`; there are api\n",
        ),
        (
            &["maintenance", "start", "api", "--for", "90d", "--reason", "gone"],
            "error: the monitor answers 400 Bad Request: `seconds` is 7776000; expected a number \
             from 1 to 2592000\n",
        ),
    ] {
        assert_eq!(command(words), (70, String::new(), problem.to_owned()));
    }
    assert_eq!(command(&["--health"]).0, 0);
    assert!(monitor.terminate().success());
    let (code, _, error) = command(&["maintenance", "list"]);
    assert_eq!(code, 70);
    assert!(error.starts_with("error: the monitor at http://127.0.0.1:"), "{error}");
    assert_eq!(command(&["--health"]).0, 70);
}
