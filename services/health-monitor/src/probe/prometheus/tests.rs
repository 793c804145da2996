use std::fs;
use std::process::Command;
use std::time::{Duration, SystemTime};

use mcpmon_coordination::incident::Failure;
use mcpmon_testkit::http_script::{Answer, HttpScript};
use tempfile::TempDir;

use super::{Sample, figures};
use crate::finding::Outcome;
use crate::probe::testing::{PATIENCE, Program, check, debian, probe};
use crate::traffic::Traffic;

/// A Prometheus whose database holds what counters and buckets were at two times of the last
/// five minutes: 100 calls of each tool, of which some failed.
fn prometheus(folder: &TempDir) -> Program {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let mut text = String::new();
    let mut series = |name: &str, last: u32| {
        for (at, value) in [(now - 280, 0), (now - 150, last / 2), (now - 10, last)] {
            text += &format!("{name} {value} {at}\n");
        }
    };
    for (tool, status, count) in [
        ("search", "success", 90),
        ("search", "error", 8),
        ("search", "timeout", 2),
        ("search", "cancelled", 50),
        ("render", "success", 100),
        ("idle", "success", 0),
    ] {
        let labels = format!("server=\"boutique\",status=\"{status}\",tool_name=\"{tool}\"");
        series(&format!("mcp_tool_calls_total{{{labels}}}"), count);
    }
    for (tool, le, count) in [
        ("search", "0.5", 100),
        ("search", "1.0", 100),
        ("search", "+Inf", 100),
        ("render", "0.5", 0),
        ("render", "1.0", 100),
        ("render", "+Inf", 100),
        ("idle", "0.5", 0),
        ("idle", "1.0", 0),
        ("idle", "+Inf", 0),
    ] {
        let labels = format!("le=\"{le}\",server=\"boutique\",tool_name=\"{tool}\"");
        series(&format!("mcp_request_duration_seconds_bucket{{{labels}}}"), count);
    }
    let path = folder.path().join("history.txt");
    fs::write(&path, text + "# EOF\n").unwrap();
    let filled = Command::new(debian("promtool"))
        .args(["tsdb", "create-blocks-from", "openmetrics"])
        .arg(&path)
        .arg(folder.path().join("data"))
        .output()
        .unwrap();
    assert!(filled.status.success(), "{}", String::from_utf8_lossy(&filled.stderr));
    fs::write(folder.path().join("prometheus.yml"), "").unwrap();
    let arguments = ["--config.file=prometheus.yml", "--storage.tsdb.path=data"];
    Program::start("prometheus", &arguments, folder.path())
}

#[tokio::test]
async fn a_real_prometheus_is_ready_and_knows_the_calls() {
    let folder = tempfile::tempdir().unwrap();
    let prometheus = prometheus(&folder);
    let probe = probe("prometheus", &[("url", &prometheus.url)]);
    // It listens before it has read its database.
    let ready = async {
        while probe.check(PATIENCE).await.outcome == Outcome::Fail(Failure::Http5xx) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, ready).await.unwrap();
    let finding = probe.check(PATIENCE).await;
    assert_eq!((finding.outcome, finding.error), (Outcome::Ok, None));

    let traffic = probe.traffic().unwrap().traffic().await.unwrap();
    let near = |value: Option<f64>, expected: f64| (value.unwrap() - expected).abs() < 0.01;
    let boutique = &traffic.servers["boutique"];
    assert!(boutique.calls > 180.0 && boutique.calls < 240.0, "{traffic:?}");
    assert!(near(boutique.error_ratio, 0.05), "{traffic:?}");
    assert!(near(boutique.p95_seconds, 0.95), "{traffic:?}");
    let tool = |name: &str| &traffic.tools[&("boutique".to_owned(), name.to_owned())];
    assert!(near(tool("search").error_ratio, 0.1), "{traffic:?}");
    assert!(near(tool("search").p95_seconds, 0.475), "{traffic:?}");
    assert!(near(tool("render").error_ratio, 0.0), "{traffic:?}");
    let idle = tool("idle");
    assert_eq!((idle.calls, idle.error_ratio, idle.p95_seconds), (0.0, None, None));
    assert_eq!((traffic.servers.len(), traffic.tools.len()), (1, 3));
}

#[tokio::test]
async fn a_prometheus_that_cannot_be_read_says_why() {
    let server = HttpScript::start(|request| match &*request.path {
        "/base/-/ready" => Answer::status(503, "Service Unavailable"),
        path if path.starts_with("/base/api/v1/query?") => {
            Answer::status(422, r#"{"status":"error","error":"too many samples"}"#)
        }
        _ => Answer::status(200, "<html>"),
    });
    let url = server.url() + "/base/";
    let finding = check("prometheus", &[("url", &url)]).await;
    assert_eq!(finding.outcome, Outcome::Fail(Failure::Http5xx));
    let asked = format!("GET {}/base/-/ready", server.url());
    let error = format!("{asked}: it answers 503 Service Unavailable, expected 200");
    // The script calls every status `Scripted`; the client knows its own words.
    assert_eq!(finding.error, Some(error));

    let asked = format!("GET {}/base/api/v1/query", server.url());
    let error = probe("prometheus", &[("url", &url)]).traffic().unwrap().traffic().await;
    let expected = format!("{asked}: it answers 422 Unprocessable Entity, expected 200");
    assert_eq!(error, Err(expected));

    let page = probe("prometheus", &[("url", &server.url())]).traffic().unwrap().traffic().await;
    let expected = format!("GET {}/api/v1/query: the reply cannot be read: ", server.url());
    assert!(page.unwrap_err().starts_with(&expected));
}

#[test]
fn nan_and_nothing_are_no_data() {
    assert_eq!(figures(Vec::new(), Vec::new()), Traffic::default());
    let samples = |json| serde_json::from_str::<Vec<Sample>>(json).unwrap();
    let calls = samples(
        r#"[{"metric": {"server": "s", "tool_name": "t", "status": "error"}, "value": [1, "NaN"]},
            {"metric": {"server": "s", "tool_name": "t", "status": "renamed"}, "value": [1, "5"]}]"#,
    );
    let durations = samples(r#"[{"metric": {"server": "s"}, "value": [1.5, "NaN"]}]"#);
    assert_eq!(figures(calls, durations), Traffic::default());
}

#[tokio::test]
async fn a_silent_prometheus_does_not_hold_the_verdict() {
    let gate = mcpmon_testkit::http_script::Gate::default();
    let closed = gate.clone();
    let server = HttpScript::start(move |_| Answer::status(200, "").after(&closed));
    let probe = probe("prometheus", &[("url", &server.url())]);
    let source = probe.traffic().unwrap();
    let error = tokio::time::timeout(Duration::from_secs(20), source.traffic()).await.unwrap();
    gate.open();
    let expected = format!("GET {}/api/v1/query: no answer within 5 s", server.url());
    assert_eq!(error, Err(expected));
}
