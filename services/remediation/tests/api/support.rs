//! What the tests start: remediation, one target, and what the monitor knows.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mcp_remediation::{Application, Config, SECTIONS};
use mcpmon_bootstrap::logging::Logging;
use mcpmon_bootstrap::settings::environment_name;
use mcpmon_bootstrap::{Settings, Sources};
use mcpmon_coordination::incident::{self, Failure, Origin};
use mcpmon_coordination::typed::{self, Change, position_after};
use mcpmon_coordination::{Incident, Key, Memory};
use mcpmon_testkit::http_script::{Answer, HttpScript};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::wire::{Reply, Request, get, post};

/// How long a test waits for something that should happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The tokens of all scopes.
pub(crate) const TOKENS: [(&str, &str); 3] = [
    ("remediation.read_token", "reader"),
    ("remediation.webhook_token", "alerter"),
    ("remediation.operate_token", "operator"),
];

/// Quick, where a person would wait.
const QUICK: [(&str, &str); 8] = [
    ("remediation.port", "0"),
    ("coordination.backend", "memory"),
    ("remediation.lease_seconds", "0.3"),
    ("remediation.grace_seconds", "0"),
    ("remediation.verify_seconds", "5"),
    ("remediation.verify_every_seconds", "0.02"),
    ("remediation.cool_down_seconds", "0.01"),
    ("remediation.longest_pause_seconds", "0.01"),
];

/// A rule for `shop` with one target, which is called at `/restart`.
const SHOP: [(&str, &str); 4] = [
    ("remediation.targets.shop.kind", "http"),
    ("remediation.rules.shop.component", "shop"),
    ("remediation.rules.shop.failures", r#"["timeout", "other"]"#),
    ("remediation.rules.shop.ladder", r#"["shop"]"#),
];

/// A running remediation inside of the test.
pub(crate) struct Remediation {
    pub(crate) address: SocketAddr,
    pub(crate) store: Arc<Memory>,
    /// The component, which gets well when `/restart` is called.
    pub(crate) shop: HttpScript,
    pub(crate) well: Arc<AtomicBool>,
    /// The monitor, as far as it is asked to check `shop`.
    _monitor: HttpScript,
    stop: oneshot::Sender<()>,
    running: JoinHandle<io::Result<()>>,
    reloads: mpsc::Sender<()>,
    /// What the next reload reads.
    given: Arc<Mutex<Vec<(String, String)>>>,
    _state: TempDir,
}

pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

/// The configuration as the program reads it.
pub(crate) fn read(given: &[(String, String)]) -> Result<Config, mcpmon_bootstrap::ConfigErrors> {
    let environment = given.iter().map(|(key, value)| (environment_name(key), value.clone()));
    let sources =
        Sources { environment: environment.collect(), sections: SECTIONS, ..Sources::default() };
    let mut settings = Settings::load(sources)?;
    let config = Config::of_service(&mut settings);
    Logging::from_settings(&mut settings, "info");
    settings.finish()?;
    Ok(config)
}

fn owned(given: &[(&str, &str)]) -> Vec<(String, String)> {
    given.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

impl Remediation {
    /// One with all tokens, a rule for `shop` and these keys.
    pub(crate) async fn with_tokens(config: &[(&str, &str)]) -> Self {
        Self::start(&[&TOKENS[..], config].concat()).await
    }

    /// One on a free port; `config` holds keys and their texts.
    pub(crate) async fn start(config: &[(&str, &str)]) -> Self {
        Self::over(Arc::default(), config).await
    }

    /// One that shares that memory.
    pub(crate) async fn over(store: Arc<Memory>, config: &[(&str, &str)]) -> Self {
        let well = Arc::new(AtomicBool::new(false));
        let health = well.clone();
        let shop = HttpScript::start(move |request| match request.path.as_str() {
            "/restart" => {
                health.store(true, Ordering::Relaxed);
                Answer::status(204, "")
            }
            _ if health.load(Ordering::Relaxed) => Answer::status(200, "well"),
            _ => Answer::status(503, "gone"),
        });
        let seen = well.clone();
        let monitor = HttpScript::start(move |_| match seen.load(Ordering::Relaxed) {
            true => Answer::status(200, r#"{"outcome":"ok"}"#),
            false => Answer::status(200, r#"{"outcome":{"fail":"timeout"},"error":"gone"}"#),
        });
        let state = tempfile::tempdir().unwrap();
        let restart = format!("{}/restart", shop.url());
        let own = [
            ("coordination.state_dir", state.path().to_str().unwrap()),
            ("remediation.monitor.url", &monitor.url()),
            ("remediation.targets.shop.url", restart.as_str()),
        ];
        let given = owned(&[&QUICK[..], &SHOP, &own, config].concat());
        let mut read_in = read(&given).unwrap();
        read_in.coordination.shared_memory = Some(store.clone());
        let application = Application::build(read_in).unwrap();
        let address = application.address();
        let (stop, stopped) = oneshot::channel();
        let (reloads, reload) = mpsc::channel(1);
        let given = Arc::new(Mutex::new(given));
        let again = given.clone();
        let reading = Box::new(move || read(&again.lock().unwrap()).map(|config| config.policy));
        let running = tokio::spawn(application.run(reading, reload, async { _ = stopped.await }));
        let started = Self {
            address,
            store,
            shop,
            well,
            _monitor: monitor,
            stop,
            running,
            reloads,
            given,
            _state: state,
        };
        started
            .until("it is ready", async || {
                (started.send(get("/health/ready")).await.status == 200).then_some(())
            })
            .await;
        started
    }

    pub(crate) async fn send(&self, request: Request) -> Reply {
        request.send(self.address).await
    }

    /// `GET` with the token for reading.
    pub(crate) async fn look(&self, path: &str) -> Value {
        let reply = self.send(get(path).bearer("reader")).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()
    }

    pub(crate) async fn operate(&self, request: Request) -> Reply {
        self.send(request.bearer("operator")).await
    }

    pub(crate) async fn alert(&self, body: impl ToString) -> Reply {
        self.send(post("/v1/alerts", body).bearer("alerter")).await
    }

    pub(crate) async fn metrics(&self) -> String {
        let reply = self.send(get("/metrics").bearer("reader")).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.body
    }

    /// The whole audit, the oldest first.
    pub(crate) async fn audit(&self) -> Vec<Value> {
        let page = self.look("/api/v1/audit?limit=1000").await;
        let mut records = page["records"].as_array().unwrap().clone();
        records.reverse();
        records
    }

    /// The reasons of all decisions, and the results of all actions, the oldest first.
    pub(crate) async fn story(&self) -> Vec<String> {
        let audit = self.audit().await;
        let word = |record: &Value| {
            let word = [&record["reason"], &record["result"], &record["event"]];
            word.into_iter().find_map(Value::as_str).unwrap().to_owned()
        };
        audit.iter().map(word).collect()
    }

    /// Asks until there is an answer: nothing tells when the engine has decided.
    #[track_caller]
    pub(crate) fn until<T>(
        &self,
        what: &str,
        mut ask: impl AsyncFnMut() -> Option<T>,
    ) -> impl Future<Output = T> {
        let what = what.to_owned();
        async move {
            let asking = async {
                loop {
                    if let Some(answer) = ask().await {
                        return answer;
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            timeout(PATIENCE, asking).await.unwrap_or_else(|_| panic!("never: {what}"))
        }
    }

    /// Waits until the open incident of the component was decided on so, and gives it.
    pub(crate) async fn decided(&self, component: &str, reason: &str) -> Value {
        self.until(&format!("{reason} for {component}"), async || {
            let shown = self.look("/api/v1/remediation").await;
            let incidents = shown["incidents"].as_array().unwrap().iter();
            let mut of = incidents.filter(|it| it["component"] == component);
            of.find(|it| it["reason"] == reason).cloned()
        })
        .await
    }

    /// Waits for the end of an action, and gives it as it is shown.
    pub(crate) async fn acted(&self, result: &str) -> Value {
        self.until(&format!("an action with the end {result}"), async || {
            let shown = self.look("/api/v1/remediation").await;
            shown["actions"].as_array().unwrap().iter().find(|it| it["result"] == result).cloned()
        })
        .await
    }

    /// Waits until an action for this incident is over, whatever its end, and all know it.
    pub(crate) async fn acted_on(&self, key: &str) {
        self.until(&format!("an action for {key}"), async || {
            let case = mcp_remediation::case::read(&*self.store, "shop").await.unwrap()?;
            let done = case.incident == key && !case.tried.is_empty() && case.under_way.is_none();
            done.then_some(())
        })
        .await;
    }

    /// The monitor checked it just now.
    pub(crate) async fn member(&self, name: &str, failures: u32) {
        let at = now();
        let failing = failures > 0;
        let record = json!({
            "kind": "http", "server": format!("{name}-server"), "interval_ms": 600_000, "slot": at,
            "checked_at": at, "state": if failing { "unhealthy" } else { "healthy" },
            "outcome": if failing { json!({"fail": "timeout"}) } else { json!("ok") },
            "up": !failing, "in_trouble": failing, "consecutive_failures": failures,
        });
        typed::change(
            &*self.store,
            &Key::new(&["component", name]),
            |stored: Option<typed::Placed<Value>>| {
                let position = position_after(stored.map(|(last, _)| last), at);
                Change::Write { position, value: record.clone(), ttl: None, result: () }
            },
        )
        .await
        .unwrap();
    }

    /// The monitor reports trouble with `shop` that began so many milliseconds ago; gives the key.
    pub(crate) async fn trouble(&self, component: &str, ago: u64) -> String {
        self.member(component, 3).await;
        let began = now() - ago;
        let incident =
            Incident::new(component, "http", Failure::Timeout, Origin::Monitor, began, began);
        incident::open(&*self.store, &incident).await.unwrap();
        incident.key
    }

    /// The monitor reports that it is over.
    pub(crate) async fn over_again(&self, component: &str) {
        self.member(component, 0).await;
        incident::resolve(&*self.store, component, now()).await.unwrap();
    }

    /// Reads the configuration again, with these keys over those of the start.
    pub(crate) async fn reload(&self, keys: &[(&str, &str)]) {
        let keys = owned(keys);
        self.given.lock().unwrap().retain(|(key, _)| keys.iter().all(|(new, _)| new != key));
        self.given.lock().unwrap().extend(keys);
        self.reloads.send(()).await.unwrap();
    }

    /// How often the target was called.
    pub(crate) fn restarts(&self) -> usize {
        self.shop.requests().iter().filter(|request| request.path == "/restart").count()
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) async fn stop(self) {
        self.stop.send(()).unwrap();
        timeout(PATIENCE, self.running).await.expect("it never stops").unwrap().unwrap();
    }
}
