//! Together with the real health monitor, over one memory, as in `mcpmon`.

use std::sync::Arc;

use mcp_health_monitor::Config;
use mcpmon_bootstrap::logging::Logging;
use mcpmon_bootstrap::settings::environment_name;
use mcpmon_bootstrap::{Settings, Sources};
use mcpmon_coordination::{Memory, incident};
use mcpmon_testkit::http_script::{Answer, HttpScript};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

use crate::support::Remediation;

#[tokio::test]
async fn what_the_monitor_finds_broken_is_repaired_and_verified_by_it() {
    let (store, state) = (Arc::new(Memory::new()), tempfile::tempdir().unwrap());
    // Remediation must know the monitor's port before that is there; nobody else gets it meanwhile.
    let reserved = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = reserved.local_addr().unwrap().port().to_string();
    let monitor = format!("http://127.0.0.1:{port}");
    let remediation = Remediation::over(
        store.clone(),
        &[
            ("remediation.read_token", "reader"),
            ("remediation.rules.shop.mode", "act"),
            ("remediation.rules.shop.failures", r#"["http_5xx"]"#),
            ("remediation.monitor.url", &monitor),
            ("remediation.monitor.token", "checker"),
        ],
    )
    .await;
    let other = HttpScript::start(|_| Answer::status(200, "well"));
    let health = format!("{}/health", remediation.shop.url());
    let keys = [
        ("health_monitor.port", port.as_str()),
        ("health_monitor.operate_token", "checker"),
        ("health_monitor.recheck_seconds", "0.1"),
        ("coordination.state_dir", state.path().to_str().unwrap()),
        ("health_monitor.components.shop.kind", "http"),
        ("health_monitor.components.shop.url", &health),
        ("health_monitor.components.shop.interval_seconds", "1"),
        ("health_monitor.components.other.kind", "http"),
        ("health_monitor.components.other.url", &other.url()),
        ("health_monitor.components.other.interval_seconds", "1"),
    ];
    let environment = keys.iter().map(|(key, text)| (environment_name(key), (*text).to_owned()));
    let sources = Sources {
        environment: environment.collect(),
        sections: mcp_health_monitor::SECTIONS,
        ..Sources::default()
    };
    let mut settings = Settings::load(sources).unwrap();
    let mut config = Config::read(&mut settings);
    Logging::from_settings(&mut settings, "info");
    settings.finish().unwrap();
    config.coordination.shared_memory = Some(store.clone());
    drop(reserved);
    let watching = mcp_health_monitor::Application::build(config).unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let (_reloads, reload) = mpsc::channel(1);
    let never = Box::new(|| panic!("nobody asks for a reload"));
    let watching = tokio::spawn(watching.run(never, reload, async { _ = stopped.await }));

    let action = remediation.acted("success").await;
    assert_eq!((action["component"].as_str(), remediation.restarts()), (Some("shop"), 1));
    // The monitor has seen it well often enough by the checks that it was asked for.
    remediation
        .until("the incident is over", async || {
            let open = incident::open_incident(&*store, "shop").await.unwrap();
            open.is_none().then_some(())
        })
        .await;
    let mut story = remediation.story().await;
    // It may look once more before the monitor has said that it is over.
    story.retain(|word| word != "recovered" && word != "resolved");
    assert_eq!(story, ["intent", "success"]);
    remediation.stop().await;
    stop.send(()).unwrap();
    watching.await.unwrap().unwrap();
}
