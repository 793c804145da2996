//! What a fault is called when the peer answers over HTTP.

use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mcpmon_mcp_client::{Canary, CanaryResult, Fault};
use mcpmon_testkit::http_script::{Answer, HttpScript};
use serde_json::json;

use crate::support::*;

fn html(status: u16) -> Answer {
    Answer::status(status, "<html>hello</html>").with_header("content-type", "text/html")
}

async fn answered(answer: Answer) -> Fault {
    let server = HttpScript::start(move |_| answer.clone());
    fault_of(&to_url(&server.url())).await
}

#[tokio::test]
async fn a_status_is_told_by_its_number() {
    assert_eq!(answered(html(404)).await, Fault::Http(404));
    assert_eq!(answered(html(500)).await, Fault::Http(500));
    assert_eq!(
        answered(Answer::status(503, "").with_header("retry-after", "9")).await,
        Fault::Http(503)
    );
    let json = Answer::status(502, r#"{"detail":"bad gateway"}"#);
    assert_eq!(
        answered(json.with_header("content-type", "application/json")).await,
        Fault::Http(502)
    );
}

#[tokio::test]
async fn who_asks_for_a_token_is_reachable() {
    let challenge = |status| html(status).with_header("www-authenticate", "Bearer realm=\"x\"");
    assert_eq!(answered(challenge(401)).await, Fault::AuthRequired(401));
    assert_eq!(answered(challenge(403)).await, Fault::AuthRequired(403));
    assert_eq!(answered(html(401)).await, Fault::AuthRequired(401));
    assert_eq!(answered(html(403)).await, Fault::AuthRequired(403));
}

#[tokio::test]
async fn a_rate_limit_says_for_how_long() {
    let limited = Answer::status(429, "slow down");
    let wait = Some(Duration::from_secs(7));
    let told = answered(limited.clone().with_header("retry-after", "7")).await;
    assert_eq!(told, Fault::RateLimited { retry_after: wait });
    assert_eq!(answered(limited).await, Fault::RateLimited { retry_after: None });
    let server = HttpScript::start(|request| error(request, -32000, "Rate limit exceeded"));
    assert_eq!(fault_of(&to_url(&server.url())).await, Fault::RateLimited { retry_after: None });
}

#[tokio::test]
async fn what_is_no_mcp_server_is_told_apart() {
    for answer in [
        html(200),
        Answer::status(200, "hello"),
        json(&json!({"status": "ok"})),
        json(&json!([1, 2])),
        Answer::status(200, "{").with_header("content-type", "application/json"),
        Answer::status(202, ""),
    ] {
        let fault = answered(answer.clone()).await;
        assert!(matches!(fault, Fault::NotMcp(_)), "{answer:?}: {fault:?}");
    }
    let server = HttpScript::start(|request| result(request, &json!({"hello": 1})));
    let fault = fault_of(&to_url(&server.url())).await;
    assert!(matches!(fault, Fault::NotMcp(_)), "{fault:?}");
    let server = HttpScript::start(|request| error(request, -32603, "boom token=abcdef1234567890"));
    let fault = fault_of(&to_url(&server.url())).await.to_string();
    assert!(fault.contains("boom") && !fault.contains("abcdef"), "{fault}");
}

#[tokio::test]
async fn a_revision_that_nobody_knows_is_a_mismatch() {
    let server = HttpScript::start(|request| match message(request)["method"].as_str() {
        Some("initialize") => result(
            request,
            &json!({"protocolVersion": "1999-01-01", "capabilities": {}, "serverInfo": {"name": "old", "version": "0"}}),
        ),
        Some("notifications/initialized") => Answer::status(202, ""),
        _ => Answer::status(400, ""),
    });
    let fault = fault_of(&to_url(&server.url())).await;
    assert!(
        matches!(&fault, Fault::ProtocolMismatch(what) if what.contains("1999-01-01")),
        "{fault:?}"
    );

    let server = HttpScript::start(|request| {
        let body = json!({"jsonrpc": "2.0", "id": message(request)["id"], "error": {
            "code": -32022, "message": "Unsupported protocol version",
            "data": {"supported": ["2031-01-01"], "requested": "2026-07-28"},
        }});
        Answer::status(400, body.to_string()).with_header("content-type", "application/json")
    });
    let fault = fault_of(&to_url(&server.url())).await;
    assert!(
        matches!(&fault, Fault::ProtocolMismatch(what) if what.contains("2031-01-01")),
        "{fault:?}"
    );
}

#[tokio::test]
async fn what_cannot_be_reached_says_why() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_eq!(fault_of(&to_url(&format!("http://{free}/mcp"))).await, Fault::Refused);

    let fault = fault_of(&to_url("http://no-such-host.invalid/mcp")).await;
    // A machine without any resolver cannot know.
    assert!(matches!(fault, Fault::Dns(_) | Fault::OurSide(_)), "{fault:?}");

    let plain = raw(|stream| head(stream, "text/plain"));
    let fault = fault_of(&to_url(&plain.replace("http:", "https:"))).await;
    assert!(matches!(fault, Fault::Tls(_)), "{fault:?}");

    let closing = HttpScript::start(|_| Answer::Close);
    let fault = fault_of(&to_url(&closing.url())).await;
    assert!(matches!(fault, Fault::Other(_)), "{fault:?}");
}

#[tokio::test]
async fn a_redirect_is_followed_within_the_origin() {
    let elsewhere = HttpScript::start(|request| result(request, &json!({})));
    let there = elsewhere.url();
    let server = HttpScript::start(move |request| match request.path.as_str() {
        "/mcp" => Answer::status(307, "").with_header("location", "/mcp/"),
        "/away" => Answer::status(307, "").with_header("location", &there),
        _ if message(request)["method"] == "server/discover" => {
            let discovery = json!({"resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": {}, "ttlMs": 0, "cacheScope": "private"});
            result(request, &discovery)
        }
        _ => result(request, &json!({"tools": [tool("a")]})),
    });
    let (_, listing) = check(&to_url(&format!("{}/mcp", server.url()))).await;
    assert!(listing.tools.contains_key("a"));
    let fault = fault_of(&to_url(&format!("{}/away", server.url()))).await.to_string();
    assert!(fault.contains("redirect"), "{fault}");
    assert!(elsewhere.requests().is_empty());
}

#[tokio::test]
async fn a_session_that_expired_is_replaced_unseen_and_deleted_at_the_end() {
    let handshakes = AtomicUsize::new(0);
    let server = HttpScript::start(move |request| {
        let fresh = request.header("mcp-session-id") == Some("session-1");
        match message(request)["method"].as_str() {
            Some("server/discover") => Answer::status(400, ""),
            Some("initialize") => {
                let id = format!("session-{}", handshakes.fetch_add(1, Ordering::Relaxed));
                let handshake = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "serverInfo": {"name": "s", "version": "1"}});
                result(request, &handshake).with_header("mcp-session-id", &id)
            }
            Some("notifications/initialized") => Answer::status(202, ""),
            Some("ping") if fresh => result(request, &json!({})),
            Some("ping") => Answer::status(404, ""),
            _ => Answer::status(200, ""),
        }
    });
    let mut session = to_url(&server.url()).open(PATIENCE).await.unwrap();
    assert_eq!(session.server().protocol_version, "2025-06-18");
    session.ping(PATIENCE).await.unwrap();
    session.close().await;
    let requests = server.requests();
    let asked = methods(&requests);
    assert_eq!(asked.iter().filter(|asked| *asked == "initialize").count(), 2, "{asked:?}");
    let last = requests.last().unwrap();
    assert_eq!(
        (last.method.as_str(), last.header("mcp-session-id")),
        ("DELETE", Some("session-1"))
    );
    assert!(!asked.iter().any(|asked| asked == "GET"), "no standing stream: {asked:?}");
}

#[tokio::test]
async fn a_canary_is_refused_unless_the_tool_is_read_only() {
    let server = legacy(|request| match message(request)["method"].as_str() {
        Some("tools/list") => {
            let reader = json!({"name": "read", "inputSchema": {"type": "object"}, "annotations": {"readOnlyHint": true}});
            result(request, &json!({"tools": [reader, tool("write")]}))
        }
        _ if message(request)["params"]["arguments"]["fail"] == true => result(
            request,
            &json!({"content": [{"type": "text", "text": "no stock"}], "isError": true}),
        ),
        _ => result(request, &json!({"content": [{"type": "text", "text": "silk scarf"}]})),
    });
    let (mut session, listing) = check(&to_url(&server.url())).await;
    let canary = |tool: &str, fail: bool, expected: Option<&str>| Canary {
        tool: tool.to_owned(),
        arguments: json!({"fail": fail}).as_object().unwrap().clone(),
        expect_contains: expected.map(str::to_owned),
        allow_writes: false,
    };
    let good = canary("read", false, Some("scarf"));
    assert_eq!(session.canary(&good, &listing, PATIENCE).await.unwrap(), CanaryResult::Passed);
    let called = server.requests().len();
    let absent = canary("absent", false, None);
    assert_eq!(session.canary(&absent, &listing, PATIENCE).await.unwrap(), CanaryResult::NotListed);
    let writing = canary("write", false, None);
    assert_eq!(session.canary(&writing, &listing, PATIENCE).await.unwrap(), CanaryResult::Refused);
    assert_eq!(server.requests().len(), called, "neither was called");
    let allowed = Canary { allow_writes: true, ..writing };
    assert_eq!(session.canary(&allowed, &listing, PATIENCE).await.unwrap(), CanaryResult::Passed);
    for (bad, word) in
        [(canary("read", true, None), "no stock"), (canary("read", false, Some("wool")), "wool")]
    {
        let outcome = session.canary(&bad, &listing, PATIENCE).await.unwrap();
        assert!(matches!(&outcome, CanaryResult::Failed(why) if why.contains(word)), "{outcome:?}");
    }
}

#[tokio::test]
async fn what_keeps_a_canary_from_answering_is_a_fault_of_its_own() {
    let answers = AtomicUsize::new(0);
    let server = legacy(move |request| match message(request)["method"].as_str() {
        Some("tools/list") => result(request, &json!({"tools": [tool("read")]})),
        _ => match answers.fetch_add(1, Ordering::Relaxed) {
            0 => Answer::status(429, "").with_header("retry-after", "7"),
            1 => html(401),
            2 => html(502),
            3 => error(request, -32602, "no such scarf"),
            _ => Answer::Close,
        },
    });
    let (mut session, listing) = check(&to_url(&server.url())).await;
    let canary = Canary {
        tool: "read".to_owned(),
        arguments: serde_json::Map::new(),
        expect_contains: None,
        allow_writes: true,
    };
    let wait = Some(Duration::from_secs(7));
    for fault in
        [Fault::RateLimited { retry_after: wait }, Fault::AuthRequired(401), Fault::Http(502)]
    {
        assert_eq!(session.canary(&canary, &listing, PATIENCE).await, Err(fault));
    }
    let outcome = session.canary(&canary, &listing, PATIENCE).await;
    assert!(
        matches!(&outcome, Ok(CanaryResult::Failed(why)) if why.contains("no such scarf")),
        "{outcome:?}"
    );
    let outcome = session.canary(&canary, &listing, PATIENCE).await;
    assert!(matches!(outcome, Err(Fault::Other(_))), "{outcome:?}");
}
