//! Planted secrets: they are in URLs, headers, replies and the environment of programs, and reach
//! neither logs nor Slack, Redis, metrics or JSON.

use std::fs;

use mcpmon_testkit::http_script::{Answer, HttpScript, Request};
use mcpmon_testkit::redis_server::{Persistence, RedisServer};
use serde_json::{Value, json};

use crate::support::{Kind, OPERATE, READ, Slack, WEBHOOK_SECRET, World, run};

/// Says everything that it was told, as careless servers do.
fn careless(request: &Request) -> Answer {
    let authorization = request.header("authorization").unwrap_or_default();
    let body = format!(
        "failed: {} with authorization: {authorization}, password=planted-body",
        request.path
    );
    Answer::status(500, body)
}

fn careless_mcp(request: &Request) -> Answer {
    let message: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let authorization = request.header("authorization").unwrap_or_default();
    let text = format!("no access with {authorization}; api_key=planted-rpc {}", request.path);
    let error = json!({"code": -32000, "message": text});
    let body = json!({"jsonrpc": "2.0", "id": message["id"], "error": error});
    Answer::status(200, body.to_string()).with_header("content-type", "application/json")
}

#[test]
fn planted_secrets_stay_where_they_were_planted() {
    let (redis, slack) = (RedisServer::start(Persistence::Aof), Slack::start());
    redis.must(&["ACL", "SETUSER", "monitor", "on", ">planted-coordination", "~*", "&*", "+@all"]);
    let http = HttpScript::start(careless);
    let mcp = HttpScript::start(careless_mcp);
    let moved = HttpScript::start(|_| {
        Answer::status(302, "").with_header(
            "location",
            "http://someone:planted-location@127.0.0.1:1/?access_token=planted-redirect",
        )
    });
    slack.refuse(Answer::status(500, format!("no such hook: {}", slack.webhook())));
    let program = "echo \"cannot log in: API_KEY=$API_KEY token=planted-stderr\" >&2; exit 1";
    let world = World::new(&slack)
        .section(
            "coordination",
            &format!("url = \"redis://monitor:planted-coordination@127.0.0.1:{}\"", redis.port()),
        )
        .component(
            "http",
            &format!(
                "kind = \"http\"\ntoken = \"planted-bearer\"\n\
                 url = \"{}/health?token=planted-query&api_key=planted-key\"",
                http.url()
            ),
        )
        .component("moved", &format!("kind = \"http\"\nurl = \"{}/\"", moved.url()))
        .component(
            "mcp",
            &format!("kind = \"mcp\"\ntoken = \"planted-mcp\"\nurl = \"{}/mcp?key=AIzaSyPlanted0123456789abcdefghijklmno\"", mcp.url()),
        )
        .component(
            "redis",
            &format!("kind = \"redis\"\nurl = \"redis://u:planted-redis@127.0.0.1:{}\"", redis.port()),
        )
        .component(
            "program",
            &format!(
                "kind = \"mcp\"\ncommand = [\"sh\", \"-c\", {}]\nenv = {{ API_KEY = \"planted-env\" }}",
                Value::from(program)
            ),
        );
    let monitor = world.start("a");
    for component in ["http", "moved", "mcp", "redis", "program"] {
        slack.wait_for(component, Kind::Opened);
    }
    let (json, metrics, log) = (monitor.report().to_string(), monitor.metrics(), monitor.log());
    assert!(monitor.terminate().success());
    let config = world.write();
    let once = run(&["--once", "--config", config.to_str().unwrap()], &world.state("a"), &[]);
    let journal = fs::read_dir(world.state("a").join("health-monitor")).unwrap();
    let journal: Vec<u8> =
        journal.flat_map(|file| fs::read(file.unwrap().path()).unwrap()).collect();
    assert!(json.contains("500") && metrics.contains("mcp_component_up"), "there is something");

    let secrets = [
        WEBHOOK_SECRET,
        "w3bh00kplanted",
        "planted-coordination",
        "planted-bearer",
        "planted-query",
        "planted-key",
        "planted-body",
        "planted-rpc",
        "planted-location",
        "planted-redirect",
        "planted-mcp",
        "AIzaSyPlanted0123456789abcdefghijklmno",
        "planted-redis",
        "planted-stderr",
        "planted-env",
        READ,
        OPERATE,
    ];
    let places = [
        ("the log", log.into_bytes()),
        ("Slack", slack.bytes()),
        ("Redis", redis.appended()),
        ("the journal", journal),
        ("/metrics", metrics.into_bytes()),
        ("the report", json.into_bytes()),
        ("--once", [once.stdout, once.stderr].concat()),
    ];
    let mut found = Vec::new();
    for (place, bytes) in &places {
        assert!(!bytes.is_empty(), "{place} says nothing");
        let text = String::from_utf8_lossy(bytes);
        for secret in secrets {
            if let Some(at) = text.find(secret) {
                let from = text.floor_char_boundary(at.saturating_sub(100));
                let to = text.ceil_char_boundary((at + 100).min(text.len()));
                found.push(format!("{secret} in {place}: {}", &text[from..to]));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}
