use std::fs;

use mcpmon_testkit::http_script::{Answer, HttpScript};
use serde_json::{Value, json};

use crate::finding::Outcome;
use crate::probe::testing::{PATIENCE, Program, probe};
use crate::traffic::FiringAlert;

async fn post(url: &str, body: &Value) {
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(
            rustls::ClientConfig::builder_with_provider(
                rustls::crypto::ring::default_provider().into(),
            )
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth(),
        )
        .build()
        .unwrap();
    let reply = client.post(url).json(body).send().await.unwrap();
    assert!(reply.status().is_success(), "{reply:?}");
}

fn alert(name: &str, severity: Option<&str>) -> Value {
    let mut labels = json!({"alertname": name, "server": "boutique"});
    if let Some(severity) = severity {
        labels["severity"] = severity.into();
    }
    json!({"labels": labels, "annotations": {"summary": format!("{name} is firing")}})
}

#[tokio::test]
async fn a_real_alertmanager_is_ready_and_knows_what_fires() {
    let folder = tempfile::tempdir().unwrap();
    let config = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n\
        inhibit_rules: [{source_matchers: [alertname=Loud], target_matchers: [alertname=Drowned]}]\n";
    fs::write(folder.path().join("alertmanager.yml"), config).unwrap();
    let arguments =
        ["--config.file=alertmanager.yml", "--storage.path=data", "--cluster.listen-address="];
    let alertmanager = Program::start("alertmanager", &arguments, folder.path());
    let probe = probe("alertmanager", &[("url", &alertmanager.url)]);
    let finding = probe.check(PATIENCE).await;
    assert_eq!((finding.outcome, finding.error), (Outcome::Ok, None));
    let source = probe.alerts().unwrap();
    assert_eq!(source.firing().await, Ok(Vec::new()));

    let silence = json!({
        "matchers": [{"name": "alertname", "value": "Silenced", "isRegex": false}],
        "startsAt": humantime::format_rfc3339(std::time::SystemTime::now()).to_string(),
        "endsAt": "2099-01-01T00:00:00Z", "createdBy": "test", "comment": "test",
    });
    post(&format!("{}/api/v2/silences", alertmanager.url), &silence).await;
    let mut ours = alert("Ours", Some("critical"));
    ours["labels"]["notify"] = "monitor".into();
    let alerts = json!([
        ours,
        alert("Silenced", Some("critical")),
        alert("Loud", Some("critical")),
        alert("Drowned", Some("critical")),
        alert("Watchdog", Some("none")),
        alert("Unsure", None),
    ]);
    post(&format!("{}/api/v2/alerts", alertmanager.url), &alerts).await;

    // It takes them first and looks at silences and inhibitions afterwards.
    let firing = async {
        loop {
            let mut firing = source.firing().await.unwrap();
            firing.sort_by(|a, b| a.name.cmp(&b.name));
            let names: Vec<_> = firing.iter().map(|alert| &*alert.name).collect();
            if names == ["Loud", "Unsure"] {
                return firing;
            }
            tokio::task::yield_now().await;
        }
    };
    let firing = tokio::time::timeout(PATIENCE, firing).await.unwrap();
    let expected = |name: &str, severity: &str| FiringAlert {
        name: name.to_owned(),
        severity: severity.to_owned(),
        summary: format!("{name} is firing"),
    };
    assert_eq!(firing, [expected("Loud", "critical"), expected("Unsure", "warning")]);
}

#[tokio::test]
async fn a_flood_of_alerts_is_not_read() {
    let server = HttpScript::start(|_| Answer::status(200, vec![b' '; 17 << 20]));
    let probe = probe("alertmanager", &[("url", &server.url())]);
    let error = probe.alerts().unwrap().firing().await.unwrap_err();
    let expected = format!("GET {}/api/v2/alerts: the reply is longer than 16 MiB", server.url());
    assert_eq!(error, expected);
}
