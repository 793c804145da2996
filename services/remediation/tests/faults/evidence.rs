//! What reaches remediation, what it writes down, and what it must not say.

use std::fs;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mcpmon_testkit::http_script::{Answer, HttpScript, Request};
use mcpmon_testkit::metric::metric;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{OPERATE, READ, Restart, WEBHOOK, World, throughout, until};

/// 64 kB that can be full.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"])
            .arg(folder.path())
            .status()
            .unwrap();
        assert!(mount.success(), "a tmpfs can be mounted: these tests need root");
        Self(folder)
    }

    /// Fills what is free, and the last page of the audit: a line that is no record means nothing.
    fn fill(&self) {
        let filler = fs::File::create(self.0.path().join("filler")).unwrap();
        for file in [filler, append(&self.0.path().join("audit.jsonl"))] {
            while std::io::Write::write(&mut &file, b"\n").is_ok_and(|written| written > 0) {}
        }
    }

    fn clear(&self) {
        fs::remove_file(self.0.path().join("filler")).unwrap();
    }
}

fn append(path: &std::path::Path) -> fs::File {
    fs::OpenOptions::new().append(true).open(path).unwrap()
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: somebody may still have it open.
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn without_an_audit_nothing_is_done() {
    let disk = SmallDisk::new();
    let world = World::new().shared_in(disk.0.path().to_owned()).component("shop");
    let monitor = world.monitor();
    monitor.wait_state("shop", "healthy");
    let remediation = world.leader("a");
    disk.fill();
    world.docker.crash("shop-1");
    let held = |value: u8| {
        let held = metric("mcp_remediation_held").label("reason", "audit_unavailable").value(value);
        until("audit_unavailable", || {
            (!held.find(&remediation.metrics()).is_empty()).then_some(())
        });
    };
    held(1);
    throughout(Duration::from_secs(3), "nothing is done", || world.docker.acts().is_empty());
    disk.clear();
    assert_eq!(world.wait_outcomes(1).results(), ["success"]);
    held(0);
    monitor.wait_state("shop", "healthy");
    assert_eq!(world.docker.acts().len(), 1);
    world.history().assert_all_ended();
}

#[test]
fn the_same_alert_ten_times_is_one_incident_and_one_action() {
    let world = World::new()
        .monitor_key("interval_seconds", "300")
        .monitor_key("recheck_seconds", "60")
        .component("shop");
    let monitor = world.monitor();
    monitor.wait_state("shop", "healthy");
    let remediation = world.leader("a");
    world.docker.crash("shop-1");
    let started = humantime::format_rfc3339_millis(std::time::SystemTime::now()).to_string();
    let alert = json!({
        "version": "4", "receiver": "remediation", "status": "firing",
        "alerts": [{
            "status": "firing", "startsAt": started, "endsAt": "0001-01-01T00:00:00Z",
            "labels": { "alertname": "Down", "component": "shop", "failure": "connection_refused" },
            "annotations": { "summary": "down" },
        }],
    });
    let mut opened = 0;
    for _ in 0..10 {
        let reply = remediation.send("POST", "/v1/alerts", WEBHOOK, &alert.to_string());
        assert_eq!(reply.status, 200, "{reply:?}");
        opened += serde_json::from_str::<Value>(&reply.body).unwrap()["opened"].as_u64().unwrap();
    }
    assert_eq!(opened, 1);
    assert_eq!(world.wait_outcomes(1).results(), ["success"]);
    let again = remediation.send("POST", "/v1/alerts", WEBHOOK, &alert.to_string());
    assert_eq!(again.status, 200);
    throughout(Duration::from_secs(2), "one action", || world.docker.acts().len() == 1);
    assert_eq!(remediation.send("POST", "/v1/alerts", READ, &alert.to_string()).status, 403);
}

/// An MCP server with tools that somebody may take away.
fn mcp(tools: Arc<Mutex<Option<Vec<&'static str>>>>) -> HttpScript {
    HttpScript::start(move |request: &Request| {
        let Some(names) = tools.lock().unwrap().clone() else {
            return Answer::status(503, "starting");
        };
        let message: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let result = match message["method"].as_str() {
            Some("server/discover") => json!({
                "resultType": "complete", "supportedVersions": ["2026-07-28"],
                "capabilities": {"tools": {}}, "ttlMs": 0, "cacheScope": "private",
            }),
            _ => {
                let tool = |name| json!({"name": name, "inputSchema": {"type": "object"}});
                let tools: Vec<_> = names.into_iter().map(tool).collect();
                json!({"resultType": "complete", "tools": tools})
            }
        };
        let body = json!({"jsonrpc": "2.0", "id": message["id"], "result": result});
        Answer::status(200, body.to_string()).with_header("content-type", "application/json")
    })
}

#[test]
fn a_server_that_comes_back_with_fewer_tools_was_not_repaired() {
    let world = World::new().key("verify_seconds", "0.8").key("attempts", "2");
    let tools = Arc::new(Mutex::new(Some(vec!["search", "fetch"])));
    let server = mcp(tools.clone());
    let (offered, begun) = (tools.clone(), Mutex::new(false));
    world.docker.run(
        "books-1",
        Box::new(move |_| -> Option<Child> {
            let again = std::mem::replace(&mut *begun.lock().unwrap(), true);
            let names = if again { vec!["search"] } else { vec!["search", "fetch"] };
            *offered.lock().unwrap() = Some(names);
            None
        }),
    );
    let world = world
        .watch("books", &format!("kind = \"mcp\"\nurl = \"{}/mcp\"", server.url()))
        .target("books-1")
        .rule("books", "ladder = [\"books-1\"]\nmode = \"act\"");
    let monitor = world.monitor();
    monitor.wait_state("books", "healthy");
    let _remediation = world.leader("a");
    *tools.lock().unwrap() = None;
    let history = world.wait_outcomes(1);
    assert_eq!(history.results(), ["unverified"]);
    assert!(history.notes()[0].contains("its tools are not those of before"), "{history:?}");
    world.slack.wait("a repair of books did not help");
    world.history().assert_all_ended();
}

#[test]
fn planted_secrets_are_told_to_nobody() {
    let world = World::new().key("verify_seconds", "0.3").key("attempts", "1");
    world.redis.must(&["ACL", "SETUSER", "r", "on", ">planted-coordination", "~*", "&*", "+@all"]);
    let url = format!("redis://r:planted-coordination@127.0.0.1:{}", world.redis.port());
    let world = world.redis_url(&url).component("shop");
    let monitor = world.monitor();
    monitor.wait_state("shop", "healthy");
    let remediation = world.leader("a");
    world.docker.on_restart(
        "shop-1",
        Restart::Fails("cannot log in: password=planted-engine Bearer planted-bearer-token-0123"),
    );
    world.docker.crash("shop-1");
    world.wait_outcomes(1);
    let alert = |labels: Value| {
        json!({
            "version": "4", "alerts": [{
                "status": "firing", "startsAt": "2026-01-01T00:00:00Z", "labels": labels,
                "annotations": { "summary": "down: api_key=planted-summary" },
            }],
        })
    };
    for labels in [
        json!({ "alertname": "Nobody", "note": "token=planted-label" }),
        json!({ "alertname": "Other", "component": "token=planted-name" }),
    ] {
        let reply = remediation.send("POST", "/v1/alerts", WEBHOOK, &alert(labels).to_string());
        assert_eq!(reply.status, 200, "{reply:?}");
    }
    remediation.wait_reason("shop", "circuit_open");
    world.slack.wait("shop needs a person");
    let pause = json!({
        "component": "shop", "seconds": 60, "reason": "as told: password=planted-reason",
    });
    assert_eq!(remediation.operate("/api/v1/maintenance", &pause).status, 200);
    let places = [
        ("the log", remediation.log()),
        ("the audit", fs::read_to_string(world.shared_dir().join("audit.jsonl")).unwrap()),
        ("/metrics", remediation.metrics()),
        ("the page", remediation.board().to_string()),
        ("the history", remediation.get("/api/v1/audit")),
        ("Slack", String::from_utf8(world.slack.bytes()).unwrap()),
    ];
    let secrets = ["planted-", "w3bh00k", READ, OPERATE, WEBHOOK];
    for (place, text) in &places {
        assert!(!text.is_empty(), "{place} says nothing");
        for secret in secrets {
            let at = text.find(secret);
            let around = at.map(|at| {
                let from = text.floor_char_boundary(at.saturating_sub(200));
                let to = text.ceil_char_boundary((at + 100).min(text.len()));
                &text[from..to]
            });
            assert_eq!(around, None, "{secret} is in {place}");
        }
    }
}
