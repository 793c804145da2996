//! What the exporter is told, from a real process's conversation to the posted events.

use mcpmon_testkit::http_script::Request;
use serde_json::{Value, json};

use super::*;

/// Answers each request in turn with what its line deserves.
const SERVER: &str = r#"
read -r _; printf '%s\n' '{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-11-25","serverInfo":{"name":"shell","version":"1"}}}'
read -r _; printf '%s\n' '{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"echo","inputSchema":{}}]}}'
read -r _; printf '%s\n' '{"jsonrpc":"2.0","id":2,"result":{"content":[]}}'
read -r _; printf '%s\n' '{"jsonrpc":"2.0","id":3,"result":{"content":[],"isError":true}}'
read -r _; exit 9
"#;

const CLIENT: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{}}
{"jsonrpc":"2.0","id":1,"method":"tools/list"}
{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"echo"}}
{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"echo"}}
{"jsonrpc":"2.0","id":4,"method":"tools/call","params":{"name":"echo"}}
"#;

fn posted(requests: &[Request]) -> Vec<Value> {
    let body = |request: &Request| serde_json::from_slice::<Value>(&request.body).unwrap();
    let events = |batch: Value| batch["events"].as_array().unwrap().clone();
    requests.iter().map(body).flat_map(events).collect()
}

#[test]
fn a_conversation_becomes_its_events() {
    let exporter = HttpScript::start(|_| Answer::status(202, r#"{"accepted":1,"rejected":[]}"#));
    let mut child = tap(&exporter.url(), SERVER).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // Readings are sampled: a session of a few milliseconds may be over before it is told.
    let is_open = |event: &Value| event["type"] == "connections" && event["value"] == 1;
    exporter.wait_for(|requests| posted(requests).iter().any(is_open));
    stdin.write_all(CLIENT.as_bytes()).unwrap();
    // The input stays open: it is the server that goes away, with a call open.
    assert_eq!(child.wait().unwrap().code(), Some(9));
    drop(stdin);

    let requests = exporter.requests();
    let batch: Value = serde_json::from_slice(&requests[0].body).unwrap();
    assert_eq!((&batch["server"], &batch["observer"]), (&json!("test"), &json!("tap")));

    let events = posted(&requests);
    let of = |kind: &str| events.iter().filter(|e| e["type"] == kind).collect::<Vec<_>>();
    let calls: Vec<_> = of("tool_call")
        .iter()
        .map(|call| (call["status"].clone(), call["reason"].clone(), call["request_bytes"].clone()))
        .collect();
    let bytes = json!(71);
    assert_eq!(
        calls,
        [
            (json!("success"), Value::Null, bytes.clone()),
            (json!("error"), json!("is_error"), bytes.clone()),
            (json!("error"), json!("eof"), bytes),
        ]
    );
    assert_eq!(of("tool_call")[0]["response_bytes"], 48);
    let methods: Vec<_> = of("operation").iter().map(|o| o["method"].clone()).collect();
    assert_eq!(methods, ["initialize", "tools/list"]);
    assert_eq!(of("tools_listed")[0]["tools"], json!(["echo"]));
    assert!(of("server_started").iter().any(|started| started["name"] == "shell"));
    let connections: Vec<_> = of("connections").iter().map(|c| c["value"].clone()).collect();
    assert_eq!(connections.last(), Some(&json!(0)));

    let position = |kind: &str| events.iter().position(|e| e["type"] == kind).unwrap();
    assert!(position("tools_listed") < position("tool_call"), "names are known before calls");
}

#[test]
fn the_token_goes_with_every_batch() {
    let exporter = HttpScript::start(|_| Answer::status(202, r#"{"accepted":1,"rejected":[]}"#));
    let mut command = tap(&exporter.url(), "true");
    command.env("MCP_EXPORTER_TOKEN", "s3cr3t");
    assert!(run(command).status.success());
    let requests = exporter.requests();
    assert!(!requests.is_empty());
    assert!(requests.iter().all(|r| r.header("authorization") == Some("Bearer s3cr3t")));
}

#[test]
fn the_server_never_sees_the_token() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, "s3cr3t").unwrap();
    let keys = [
        ("MCP_EXPORTER_TOKEN", "s3cr3t".as_ref()),
        ("MCP_EXPORTER_TOKEN_FILE", file.path().as_os_str()),
    ];
    for (key, value) in keys {
        let mut command = tap(&nobody(), "env");
        command.env(key, value).env("KEPT", "yes");
        let output = text(&run(command).stdout);
        assert!(output.contains("KEPT=yes") && !output.contains("MCP_EXPORTER_TOKEN"), "{output}");
    }
}

#[test]
fn calls_pass_while_the_exporter_is_away() {
    let replies = "read -r x; echo one; read -r x; echo two";
    let output = converse(tap(&nobody(), replies), CLIENT.into());
    assert_eq!(text(&output.stdout), "one\ntwo\n");
}

/// What a configuration's rules read in a result.
const RULES: &str = r#"
[[tap.agents]]
tools = ["generate_*"]
agent = "modeller"
category = "studio"

[[tap.tokens]]
tools = ["*"]
provider = "anthropic"
model = "/_meta/model"
output = "/_meta/tokens"

[[tap.generations]]
tools = ["generate_3d_*"]
status = "/content/0/text/status"
"#;

#[test]
fn a_configuration_s_rules_say_what_calls_were_for() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, RULES).unwrap();
    let exporter = HttpScript::start(|_| Answer::status(202, r#"{"accepted":1,"rejected":[]}"#));
    let reply = json!({"jsonrpc": "2.0", "id": 1, "result": {
        "content": [{"type": "text", "text": "{\"status\": \"completed\"}"}],
        "_meta": {"model": "m", "tokens": 9}}});
    let mut command = bare();
    command.arg("--config").arg(file.path()).args(["--server", "test", "--exporter"]);
    command.args([&exporter.url(), "--", "sh", "-c", "read -r _; printf '%s\\n' \"$0\""]);
    command.arg(reply.to_string());
    let request = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"generate_3d_from_text"}}"#;
    let output = converse(command, format!("{request}\n").into());
    assert_eq!(text(&output.stdout), format!("{reply}\n"));
    let events = posted(&exporter.requests());
    for expected in [
        json!({"type": "agent_usage", "agent": "modeller", "category": "studio"}),
        json!({"type": "llm_tokens", "provider": "anthropic", "model": "m", "output": 9}),
        json!({"type": "generation_3d", "status": "success"}),
    ] {
        assert_eq!(events.iter().filter(|event| **event == expected).count(), 1, "{events:?}");
    }
}

#[test]
fn a_trace_reaches_the_exporter_and_the_log_and_every_byte_the_server() {
    let exporter = HttpScript::start(|_| Answer::status(202, r#"{"accepted":1,"rejected":[]}"#));
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let request = format!(
        "{{\"id\":1, \"method\":\"tools/call\",\"params\":{{\"name\":\"a\",\"_meta\":{{\"traceparent\" : \
         \"00-{trace}-b7ad6b7169203331-01\"}}}}}}\n"
    );
    let script =
        r#"read -r line; printf '%s\n' "$line" >&2; echo '{"id":1,"result":{"isError":true}}'"#;
    let mut command = tap(&exporter.url(), script);
    command.env("MCP_TAP_LOG", "mcp_tap=debug");
    let output = converse(command, request.clone().into());
    let said = text(&output.stderr);
    assert!(said.contains(&request), "{said}");
    let is_log = |line: &&str| line.contains("a call ended") && line.contains(trace);
    assert_eq!(said.lines().filter(is_log).count(), 1, "{said}");
    let events = posted(&exporter.requests());
    let call = events.iter().find(|event| event["type"] == "tool_call").unwrap();
    assert_eq!((&call["trace_id"], &call["status"]), (&json!(trace), &json!("error")));
}
