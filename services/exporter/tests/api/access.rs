//! Who may ask, and under which name.

use std::net::TcpStream;

use crate::support::{Exporter, Request, batch, call, get, post, read};

const TOKENS: [(&str, &str); 3] = [
    ("exporter.read_token", "reader"),
    ("exporter.write_token", "writer"),
    ("exporter.webhook_token", "hook"),
];

/// `x:reader` and `x:writer`, as Basic sends them.
const BASIC: [(&str, &str); 2] = [("reader", "eDpyZWFkZXI="), ("writer", "eDp3cml0ZXI=")];

fn events() -> Request {
    post("/v1/events", batch("s", &[call("t")]))
}

#[tokio::test]
async fn each_endpoint_takes_its_own_token_alone() {
    let exporter = Exporter::start(&TOKENS).await;
    let alerts = post("/v1/alerts", r#"{"alerts":[]}"#);
    let mut guarded = vec![(events(), "writer", 202), (alerts, "hook", 204)];
    for path in ["/", "/metrics", "/api/v1/summary", "/api/v1/failures", "/api/v1/status"] {
        guarded.push((get(path), "reader", 200));
    }
    for (request, own, done) in guarded {
        let without = exporter.send(request.clone()).await;
        assert_eq!(without.status, 401, "{request:?}");
        assert!(without.problem().starts_with("this needs a token; send the token of the scope "));
        assert!(without.header("www-authenticate").is_some_and(|way| way.starts_with("Bearer")));
        for (token, other) in [("reader", 403), ("writer", 403), ("hook", 403), ("wrong", 401)] {
            let status = exporter.send(request.clone().bearer(token)).await.status;
            assert_eq!(status, if token == own { done } else { other }, "{token}: {request:?}");
        }
    }
}

#[tokio::test]
async fn a_browser_may_read_with_basic_and_nothing_else() {
    let exporter = Exporter::start(&TOKENS).await;
    let basic = |request: Request, encoded| {
        exporter.send(request.header("authorization", &format!("Basic {encoded}")))
    };
    let [(_, reader), (_, writer)] = BASIC;
    assert_eq!(basic(get("/"), reader).await.status, 200);
    assert_eq!(basic(get("/metrics"), writer).await.status, 403);
    assert_eq!(basic(events(), writer).await.status, 401);
}

#[tokio::test]
async fn health_and_assets_are_open_to_all() {
    let exporter = Exporter::start(&TOKENS).await;
    for path in ["/health", "/health/live", "/health/ready"] {
        let reply = exporter.send(get(path).header("host", "any.example")).await;
        assert_eq!(reply.status, 200, "{path}");
    }
    for path in ["/assets/page.css", "/assets/page.js"] {
        assert_eq!(exporter.send(get(path)).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn foreign_names_are_refused() {
    let exporter = Exporter::start(&[("exporter.allowed_hosts", "metrics.example")]).await;
    let host = |host| exporter.send(get("/metrics").header("host", host));
    assert_eq!(host("metrics.example").await.status, 200);
    let reply = host("evil.example").await;
    assert_eq!(reply.status, 403);
    insta::assert_snapshot!(reply.problem(), @r#"the Host "evil.example" is not allowed here; exporter.allowed_hosts lists the names that are"#);

    let origin = |origin| exporter.send(events().header("origin", origin));
    assert_eq!(origin("http://localhost:9090").await.status, 202);
    let reply = origin("https://evil.example").await;
    assert_eq!((reply.status, reply.closes()), (403, true));
    insta::assert_snapshot!(reply.problem(), @r#"the Origin "https://evil.example" is not allowed here; exporter.allowed_hosts lists the names that are"#);
}

#[tokio::test]
async fn other_addresses_need_tokens() {
    let bind = ("exporter.bind", "0.0.0.0");
    insta::assert_snapshot!(read(&[bind]).unwrap_err(), @r#"
the configuration has 1 error:
  exporter.bind in MCPMON__EXPORTER__BIND: 0.0.0.0 is not a loopback address, and exporter.read_token, exporter.write_token, exporter.webhook_token are not set; set the tokens, or bind to 127.0.0.1, or set exporter.allow_unauthenticated = true [env: MCPMON__EXPORTER__BIND]
"#);
    let half = read(&[bind, TOKENS[0], TOKENS[1]]).unwrap_err();
    insta::assert_snapshot!(half, @r#"
the configuration has 1 error:
  exporter.bind in MCPMON__EXPORTER__BIND: 0.0.0.0 is not a loopback address, and exporter.webhook_token is not set; set the tokens, or bind to 127.0.0.1, or set exporter.allow_unauthenticated = true [env: MCPMON__EXPORTER__BIND]
"#);

    let [read_token, write_token, webhook_token] = TOKENS;
    let exporter = Exporter::start(&[bind, read_token, write_token, webhook_token]).await;
    assert!(TcpStream::connect(("127.0.0.1", exporter.address.port())).is_ok());
    assert!(read(&[bind, ("exporter.allow_unauthenticated", "true")]).is_ok());
}
