//! What the exporter is told of whole sessions.

use super::*;

fn connections(exporter: &HttpScript, transport: &str, value: u64) {
    exporter.wait_for(|requests| {
        gauge(&posted(requests, "test"), "connections", transport) == Some(value)
    });
}

#[test]
fn a_session_is_told_with_its_calls_and_its_tools() {
    let (origin, exporter) = (Origin::start(), exporter());
    let tap = Tap::before(&origin, &exporter);
    let hello = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{}}"#;
    let welcome = r#"{"id":0,"result":{"protocolVersion":"2025-11-25","serverInfo":{"name":"raw","version":"1"}}}"#;
    let welcome = reply(welcome).replacen("\r\n", "\r\nmcp-session-id: s\r\n", 1);
    exchange(&tap, &origin, &post(hello), &welcome).0.message();
    connections(&exporter, "http", 1);

    let list = with_session(&post(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#));
    let tools = reply(r#"{"id":1,"result":{"tools":[{"name":"a"}]}}"#);
    exchange(&tap, &origin, &list, &tools).0.message();

    // The server asks in the call's stream, and is answered by another POST.
    let (mut calling, mut serving) = exchange(&tap, &origin, &with_session(&call(1)), STREAM);
    serving.send(chunk("data: {\"id\":1,\"method\":\"elicitation/create\"}\n\n"));
    calling.until("create");
    let accepted = "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n";
    exchange(&tap, &origin, &with_session(&post(OK)), accepted).0.message();
    serving.send(chunk(&format!("data: {OK}\n\n")) + "0\r\n\r\n");
    calling.until("0\r\n\r\n");

    let bye = "DELETE /mcp HTTP/1.1\r\nMcp-Session-Id: s\r\nHost: localhost\r\n\r\n";
    exchange(&tap, &origin, bye, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").0.message();
    connections(&exporter, "http", 0);

    let events = tap.told(&exporter);
    assert_eq!(endings(&events), ["a success"]);
    let of = |kind: &str| events.iter().filter(|e| e["type"] == kind).collect::<Vec<_>>();
    let methods: Vec<_> = of("operation").iter().map(|o| o["method"].clone()).collect();
    assert_eq!(methods, ["initialize", "tools/list", "elicitation/create"]);
    assert_eq!(of("tools_listed")[0]["tools"], serde_json::json!(["a"]));
    let call = of("tool_call")[0];
    assert_eq!(
        (call["transport"].as_str(), call["protocol_version"].as_str()),
        (Some("http"), Some("2025-11-25"))
    );
    assert_eq!(call["response_bytes"], OK.len());
    assert!(of("server_started").iter().any(|started| started["name"] == "raw"));
}

#[test]
fn over_http_and_sse_the_stream_is_the_connection() {
    let (origin, exporter) = (Origin::start(), exporter());
    let tap = Tap::before(&origin, &exporter);
    let get = "GET /sse HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n";
    let (mut listening, mut stream) = exchange(&tap, &origin, get, STREAM);
    let endpoint = chunk("event: endpoint\ndata: /message?sessionId=x\n\n");
    stream.send(&endpoint);
    listening.until(&endpoint);
    connections(&exporter, "sse", 1);
    let request = call(1).replacen("/mcp", "/message?sessionId=x", 1);
    let accepted = "HTTP/1.1 202 Accepted\r\nContent-Length: 8\r\n\r\nAccepted";
    exchange(&tap, &origin, &request, accepted).0.message();
    stream.send(chunk(&format!("event: message\ndata: {OK}\n\n")));
    listening.until("result");
    drop(listening);
    assert_eq!(stream.rest(), "");
    connections(&exporter, "sse", 0);
    let events = tap.told(&exporter);
    assert_eq!(endings(&events), ["a success"]);
    assert!(events.iter().any(|e| e["type"] == "tool_call" && e["transport"] == "sse"));
}

#[test]
fn statuses_are_outcomes() {
    let (origin, exporter) = (Origin::start(), exporter());
    let tap = Tap::before(&origin, &exporter);
    for status in ["401 Unauthorized", "403 Forbidden", "429 Too Many", "500 Oops", "404 Not Here"]
    {
        let refusal = format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\nno");
        assert_eq!(exchange(&tap, &origin, &call(1), &refusal).0.message().1, "no");
    }
    assert_eq!(
        endings(&tap.told(&exporter)),
        [
            "a error auth_error unauthorized",
            "a error auth_error forbidden",
            "a error rate_limited rate_limit",
            "a error transport_error upstream_5xx",
            "a error rpc_error upstream_4xx",
        ]
    );
}
