//! The health monitor has the verdict, for as long as it can be asked.

use std::time::Duration;

use mcpmon_testkit::http_script::{Answer, HttpScript};
use serde_json::{Value, json};
use tokio::net::TcpSocket;

use crate::support::{Exporter, PATIENCE};

async fn asking(monitor: &HttpScript, more: &[(&str, &str)]) -> Exporter {
    let url = monitor.url();
    let config: Vec<_> =
        [("health_monitor.url", url.as_str())].iter().chain(more).copied().collect();
    Exporter::start(&config).await
}

/// The verdict once it is as wanted.
async fn verdict(exporter: &Exporter, wanted: impl Fn(&Value) -> bool) -> Value {
    let asking = async {
        loop {
            let verdict = exporter.json("/api/v1/status").await["verdict"].clone();
            if wanted(&verdict) {
                return verdict;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.expect("the verdict is never as wanted")
}

fn reasons(verdict: &Value) -> String {
    let reasons = verdict["reasons"].as_array().unwrap();
    reasons.iter().map(|reason| format!("{}\n", reason.as_str().unwrap())).collect()
}

/// The first answer of a monitor that goes wrong, as the reasons tell it.
async fn complaint(answer: Answer) -> String {
    let monitor = HttpScript::start(move |_| answer.clone());
    let exporter = asking(&monitor, &[]).await;
    let told = |verdict: &Value| {
        let reasons = reasons(verdict);
        reasons.contains("the health monitor at") && !reasons.contains("not asked yet")
    };
    let verdict = verdict(&exporter, told).await;
    assert_eq!(
        (&verdict["status"], &verdict["source"]),
        (&json!("unknown"), &json!("traffic only"))
    );
    let reasons = reasons(&verdict).replace(&monitor.url(), "URL");
    reasons.lines().find(|line| line.contains("URL")).unwrap().to_owned()
}

#[tokio::test]
async fn the_monitor_has_the_verdict() {
    let reply = json!({
        "overall": {
            "status": "yellow",
            "reasons": ["catalogue is degraded"],
            "left_out": ["boutique: in maintenance (deploy)"],
        },
        "components": [{"name": "catalogue", "state": "degraded"}],
    });
    let monitor = HttpScript::start(move |_| Answer::status(200, reply.to_string()));
    let exporter = asking(&monitor, &[("health_monitor.token", "s3cret")]).await;
    let verdict = verdict(&exporter, |verdict| verdict["source"] == "health monitor").await;
    assert_eq!(
        verdict,
        json!({
            "status": "yellow",
            "source": "health monitor",
            "reasons": ["catalogue is degraded"],
            "left_out": ["boutique: in maintenance (deploy)"],
            "components": [{"name": "catalogue", "state": "degraded"}],
        })
    );
    let asked = &monitor.requests()[0];
    assert_eq!((asked.method.as_str(), asked.path.as_str()), ("GET", "/api/v1/components"));
    assert_eq!(asked.header("authorization"), Some("Bearer s3cret"));
}

#[tokio::test]
async fn a_monitor_that_is_away_is_named() {
    // Bound and not listening: the port refuses, and nobody else can get it meanwhile.
    let away = TcpSocket::new_v4().unwrap();
    away.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}", away.local_addr().unwrap());
    let exporter = Exporter::start(&[("health_monitor.url", &url)]).await;
    let refused = |verdict: &Value| reasons(verdict).contains("refused");
    let verdict = verdict(&exporter, refused).await;
    assert_eq!(verdict["source"], "traffic only");
    assert!(reasons(&verdict).contains(&format!("the health monitor at {url} cannot be asked: ")));
}

#[tokio::test]
async fn a_reply_that_makes_no_sense_is_named() {
    insta::assert_snapshot!(complaint(Answer::status(401, "")).await, @"the health monitor at URL cannot be asked: it answers 401 Unauthorized");
    insta::assert_snapshot!(complaint(Answer::status(200, "<html>")).await, @"the health monitor at URL cannot be asked: expected value at line 1 column 1");
    insta::assert_snapshot!(complaint(Answer::status(200, "{}")).await, @"the health monitor at URL cannot be asked: its reply has no overall status");
}

#[tokio::test]
async fn a_reply_that_is_too_large_is_not_kept() {
    let large = vec![b' '; 5 << 20];
    insta::assert_snapshot!(complaint(Answer::status(200, large)).await, @"the health monitor at URL cannot be asked: its reply is larger than 4194304 bytes");
}
