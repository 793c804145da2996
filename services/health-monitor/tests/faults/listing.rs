//! What an MCP server lists, and what of it is gone.

use std::sync::{Arc, Mutex};

use mcpmon_testkit::http_script::{Answer, HttpScript, Request};
use mcpmon_testkit::metric::metric;
use mcpmon_testkit::redis_server::{Persistence, RedisServer};
use serde_json::{Value, json};

use crate::support::{Slack, World, until};

/// A server of the modern revision with these tools.
fn server(tools: Arc<Mutex<Vec<&'static str>>>) -> HttpScript {
    HttpScript::start(move |request: &Request| {
        let message: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let result = match message["method"].as_str() {
            Some("server/discover") => json!({
                "resultType": "complete", "supportedVersions": ["2026-07-28"],
                "capabilities": {"tools": {}}, "ttlMs": 0, "cacheScope": "private",
            }),
            _ => {
                let names = tools.lock().unwrap().clone();
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
fn a_tool_that_vanishes_is_unavailable_until_somebody_says_that_it_is_gone() {
    let (redis, slack) = (RedisServer::start(Persistence::Aof), Slack::start());
    let tools = Arc::new(Mutex::new(vec!["search", "fetch"]));
    let server = server(tools.clone());
    let keys = format!("kind = \"mcp\"\nserver = \"library\"\nurl = \"{}/mcp\"", server.url());
    let world = World::new(&slack).redis(redis.port()).component("books", &keys);
    // Another replica shows the same.
    let monitors = ["a", "b"].map(|replica| world.start(replica));
    let available = |tool: &str, value: u8| {
        metric("mcp_tool_availability")
            .label("server", "library")
            .label("tool_name", tool)
            .value(value)
    };
    for monitor in &monitors {
        monitor.wait_state("books", "healthy");
        until("both tools are available", || {
            let text = monitor.metrics();
            let both = ["search", "fetch"].map(|tool| available(tool, 1).find(&text).len());
            (both == [1, 1]).then_some(())
        });
    }
    *tools.lock().unwrap() = vec!["search"];
    for monitor in &monitors {
        let books = monitor.wait_state("books", "degraded");
        assert_eq!(books["warning"], "tools not available: fetch");
        assert_eq!(books["up"], true);
        let text = monitor.metrics();
        available("fetch", 0).assert_in(&text);
        available("search", 1).assert_in(&text);
    }
    let removed = || {
        let texts = monitors.each_ref().map(|monitor| monitor.metrics());
        let change = metric("mcp_tools_list_changes_total").label("change", "removed");
        texts.iter().map(|text| change.sum_in(text)).sum::<f64>()
    };
    assert_eq!(removed(), 1.0, "one replica saw it");

    let reply = monitors[0].post("/api/v1/components/books/ack", "");
    let reply: Value = serde_json::from_str(&reply.body).unwrap();
    assert_eq!(reply, json!({"acknowledged": false, "tools_forgotten": ["fetch"]}));
    for monitor in &monitors {
        monitor.wait_state("books", "healthy");
        available("fetch", 0).assert_absent_in(&monitor.metrics());
    }
    assert_eq!(removed(), 1.0);
}
