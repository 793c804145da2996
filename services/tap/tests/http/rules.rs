//! What calls were for, by rules of a configuration: wherever over HTTP the result comes.

use serde_json::json;
use tempfile::NamedTempFile;

use super::*;

const RULES: &str = r#"
[[tap.agents]]
tools = ["*"]
agent = "/structuredContent/agent"
category = "studio"

[[tap.tokens]]
tools = ["*"]
provider = "anthropic"
model = "/_meta/usage/model"
input = "/_meta/usage/input_tokens"
output = "/_meta/usage/output_tokens"

[[tap.generations]]
tools = ["*"]
status = "/content/0/text/status"
"#;

/// A tap with these rules; the file lives as long as it.
fn ruled(origin: &Origin, exporter: &HttpScript) -> (Tap, NamedTempFile) {
    let file = NamedTempFile::new().unwrap();
    std::fs::write(&file, RULES).unwrap();
    let upstream = format!("test={}/mcp", origin.url());
    let config = file.path().to_str().unwrap();
    (Tap::start(exporter, &["--upstream", &upstream, "--config", config]), file)
}

/// A result that says all that the rules ask for.
fn result(is_error: bool) -> Value {
    json!({
        "content": [{"type": "text", "text": r#"{"status": "completed"}"#}],
        "structuredContent": {"agent": "modeller"},
        "_meta": {"usage": {"model": "m", "input_tokens": 7, "output_tokens": 9}},
        "isError": is_error,
    })
}

fn replied(id: u64, result: &Value) -> String {
    json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string()
}

/// A request of 2026-07-28, where every request is on its own.
fn modern(id: u64, method: &str, params: Value) -> String {
    let mut params = params;
    params["_meta"] = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28"});
    let request = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
    let request = post(&request.to_string());
    request.replacen("Host:", "MCP-Protocol-Version: 2026-07-28\r\nHost:", 1)
}

/// A response that is an event stream with one event, in chunks that end within it.
fn streamed(data: &str) -> String {
    let event =
        format!("id: 1\ndata: {{\"method\":\"notifications/progress\"}}\n\ndata: {data}\n\n");
    let (one, two) = event.split_at(event.len() - 40);
    format!("{STREAM}{}{}0\r\n\r\n", chunk(one), chunk(two))
}

/// The ends of calls, and in few words what they were for.
fn counted(events: &[Value]) -> (Vec<String>, Vec<String>) {
    let said = |event: &Value| match event["type"].as_str() {
        Some("agent_usage") => Some(format!("agent {}", event["agent"])),
        Some("llm_tokens") => Some(format!("tokens {} {}", event["input"], event["output"])),
        Some("generation_3d") => Some(format!("generation {}", event["status"])),
        _ => None,
    };
    (endings(events), events.iter().filter_map(said).map(|said| said.replace('"', "")).collect())
}

/// What a result like [`result`] counts.
const ALL: [&str; 3] = ["agent modeller", "tokens 7 9", "generation success"];

fn assert_counted(tap: Tap, exporter: &HttpScript, ends: &[&str], purposes: &[&str]) {
    let (endings, said) = counted(&tap.told(exporter));
    assert_eq!((endings.as_slice(), said.as_slice()), (&strings(ends)[..], &strings(purposes)[..]));
}

fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

/// Makes an exchange and waits for its end at the client.
fn done(tap: &Tap, origin: &Origin, request: &str, response: &str) {
    let (mut client, _server) = exchange(tap, origin, request, response);
    if response.starts_with(STREAM) {
        client.until("\r\n0\r\n\r\n");
    } else {
        client.message();
    }
}

#[test]
fn a_json_reply() {
    let (origin, exporter) = (Origin::start(), exporter());
    let (tap, _file) = ruled(&origin, &exporter);
    done(&tap, &origin, &call(1), &reply(&replied(1, &result(false))));
    assert_counted(tap, &exporter, &["a success"], &ALL);
}

#[test]
fn a_reply_in_an_event_stream() {
    let (origin, exporter) = (Origin::start(), exporter());
    let (tap, _file) = ruled(&origin, &exporter);
    done(&tap, &origin, &call(1), &streamed(&replied(1, &result(false))));
    assert_counted(tap, &exporter, &["a success"], &ALL);
}

#[test]
fn a_failed_call_used_tokens_and_made_nothing() {
    let (origin, exporter) = (Origin::start(), exporter());
    let (tap, _file) = ruled(&origin, &exporter);
    done(&tap, &origin, &call(1), &streamed(&replied(1, &result(true))));
    let purposes = ["tokens 7 9", "generation failed"];
    assert_counted(tap, &exporter, &["a error tool_error is_error"], &purposes);
}

#[test]
fn the_last_of_several_rounds() {
    let (origin, exporter) = (Origin::start(), exporter());
    let (tap, _file) = ruled(&origin, &exporter);
    let first = modern(1, "tools/call", json!({"name": "a"}));
    let asking = json!({"resultType": "input_required", "requestState": "s", "inputRequests": {},
        "_meta": {"usage": {"model": "m", "input_tokens": 1000}}});
    done(&tap, &origin, &first, &reply(&replied(1, &asking)));
    let again = json!({"name": "a", "requestState": "s", "inputResponses": {}});
    let second = modern(2, "tools/call", again);
    done(&tap, &origin, &second, &streamed(&replied(2, &result(false))));
    assert_counted(tap, &exporter, &["a success"], &ALL);
}

#[test]
fn a_task_that_brings_its_result_with_its_status() {
    let (origin, exporter) = (Origin::start(), exporter());
    let (tap, _file) = ruled(&origin, &exporter);
    let accepted = json!({"resultType": "task", "taskId": "t", "status": "working"});
    let first = modern(1, "tools/call", json!({"name": "a"}));
    done(&tap, &origin, &first, &reply(&replied(1, &accepted)));
    let asked = modern(2, "tasks/get", json!({"taskId": "t"}));
    let working = json!({"resultType": "complete", "taskId": "t", "status": "working"});
    done(&tap, &origin, &asked, &reply(&replied(2, &working)));
    let completed = json!({"resultType": "complete", "taskId": "t", "status": "completed",
        "result": result(false)});
    // Asked once more than is needed.
    for _ in 0..2 {
        done(&tap, &origin, &asked, &reply(&replied(2, &completed)));
    }
    assert_counted(tap, &exporter, &["a success"], &ALL);
}

/// A session of 2025-11-25 in which a task was begun and asked after, up to `status`.
fn task_of_a_session(tap: &Tap, origin: &Origin, status: &str) {
    let hello = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{}}"#;
    let welcome = replied(0, &json!({"protocolVersion": "2025-11-25"}));
    let welcome = reply(&welcome).replacen("\r\n", "\r\nmcp-session-id: s\r\n", 1);
    done(tap, origin, &post(hello), &welcome);
    let accepted = json!({"task": {"taskId": "t", "status": "working"}});
    done(tap, origin, &with_session(&call(1)), &streamed(&replied(1, &accepted)));
    let asked = r#"{"jsonrpc":"2.0","id":2,"method":"tasks/get","params":{"taskId":"t"}}"#;
    let status = json!({"taskId": "t", "status": status});
    done(tap, origin, &with_session(&post(asked)), &streamed(&replied(2, &status)));
}

const FETCH: &str = r#"{"jsonrpc":"2.0","id":3,"method":"tasks/result","params":{"taskId":"t"}}"#;

#[test]
fn a_task_s_result_that_is_fetched_after_its_status() {
    let (origin, exporter) = (Origin::start(), exporter());
    let (tap, _file) = ruled(&origin, &exporter);
    task_of_a_session(&tap, &origin, "completed");
    for _ in 0..2 {
        let fetched = streamed(&replied(3, &result(false)));
        done(&tap, &origin, &with_session(&post(FETCH)), &fetched);
    }
    assert_counted(tap, &exporter, &["a success"], &ALL);
}

#[test]
fn a_failed_task_s_result_that_is_fetched_after_its_status() {
    let (origin, exporter) = (Origin::start(), exporter());
    let (tap, _file) = ruled(&origin, &exporter);
    task_of_a_session(&tap, &origin, "failed");
    let fetched = reply(&replied(3, &result(true)));
    done(&tap, &origin, &with_session(&post(FETCH)), &fetched);
    let purposes = ["generation failed", "tokens 7 9"];
    assert_counted(tap, &exporter, &["a error tool_error is_error"], &purposes);
}

#[test]
fn over_http_and_sse_the_reply_comes_on_the_other_stream() {
    let (origin, exporter) = (Origin::start(), exporter());
    let (tap, _file) = ruled(&origin, &exporter);
    let get = "GET /sse HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n";
    let (mut listening, mut stream) = exchange(&tap, &origin, get, STREAM);
    stream.send(chunk("event: endpoint\ndata: /message?sessionId=x\n\n"));
    listening.until("sessionId=x");
    let request = call(1).replacen("/mcp", "/message?sessionId=x", 1);
    done(&tap, &origin, &request, "HTTP/1.1 202 Accepted\r\nContent-Length: 8\r\n\r\nAccepted");
    stream.send(chunk(&format!("event: message\ndata: {}\n\n", replied(1, &result(false)))));
    listening.until("modeller");
    assert_counted(tap, &exporter, &["a success"], &ALL);
}
