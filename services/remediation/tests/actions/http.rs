//! Kind `http`, against servers of the tests' own.

use std::net::TcpListener;
use std::time::Duration;

use mcp_remediation::action::Trouble;
use mcpmon_testkit::deaf::Deaf;
use mcpmon_testkit::http_script::{Answer, Gate, HttpScript};
use tokio::time::Instant;

use crate::support::{act, action, condition, is_ours, order};

fn refused(ended: Result<(), Trouble>) -> String {
    match ended {
        Err(Trouble::Refused(text)) => text,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_call_carries_what_lets_its_server_act_once() {
    let server = HttpScript::start(|_| Answer::status(202, ""));
    let url = format!("{}/restart?unit=mcp", server.url());
    let action = action("http", &[("url", &url), ("token", "hidden")]);
    assert!(is_ours(&condition(&*action).await));
    assert!(server.requests().is_empty(), "a look asks nobody");
    assert_eq!(act(&*action).await, Ok(()));
    let request = server.requests().remove(0);
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/restart?unit=mcp"));
    assert_eq!(request.header("idempotency-key"), Some("boutique@1795516800000/1"));
    assert_eq!(request.header("fencing-token"), Some("7"));
    assert_eq!(request.header("authorization"), Some("Bearer hidden"));
    assert_eq!(request.header("content-length"), Some("0"));
}

#[tokio::test]
async fn a_body_goes_as_what_it_is() {
    let server = HttpScript::start(|_| Answer::status(409, ""));
    let url = server.url();
    let keys = [("url", url.as_str()), ("method", "PUT"), ("expect_status", "[409]")];
    for (body, kind) in [("{\"a\":1}", "application/json"), ("now!", "text/plain; charset=utf-8")] {
        let keys = [&keys[..], &[("body", body)]].concat();
        assert_eq!(act(&*action("http", &keys)).await, Ok(()));
        let request = server.requests().pop().unwrap();
        assert_eq!((request.method.as_str(), &*request.body), ("PUT", body.as_bytes()));
        assert_eq!(request.header("content-type"), Some(kind));
    }
}

#[tokio::test]
async fn a_status_tells_how_it_ended() {
    let server = HttpScript::start(|request| {
        let status = request.path.trim_start_matches('/').parse().unwrap();
        Answer::status(status, "").with_header("location", "/204")
    });
    let call = async |status: u16| {
        act(&*action("http", &[("url", &format!("{}/{status}", server.url()))])).await
    };
    for status in [200, 204] {
        assert_eq!(call(status).await, Ok(()));
    }
    for status in [401, 403] {
        assert!(refused(call(status).await).contains(&status.to_string()));
    }
    for status in [302, 307, 404, 409, 429, 500, 503] {
        assert!(matches!(call(status).await, Err(Trouble::Failed(_))), "{status}");
    }
    assert_eq!(server.requests().len(), 11, "no call was made twice, and no redirect followed");
}

#[tokio::test]
async fn nobody_there_means_that_nothing_was_done() {
    let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
    let url = format!("http://{port}/restart?key=hidden");
    let text = refused(act(&*action("http", &[("url", &url)])).await);
    assert!(text.contains("refused") && !text.contains("hidden"), "{text}");
    let tls = HttpScript::start(|_| Answer::status(200, ""));
    let url = tls.url().replace("http", "https");
    refused(act(&*action("http", &[("url", &url)])).await);
    let deaf = Deaf::start();
    let url = format!("http://{}", deaf.addr());
    refused(act(&*action("http", &[("url", &url)])).await);
}

#[tokio::test]
async fn no_answer_to_what_was_sent_is_unknown() {
    let gate = Gate::default();
    let held = gate.clone();
    let server = HttpScript::start(move |request| match request.path.as_str() {
        "/close" => Answer::Close,
        _ => Answer::status(200, "").after(&held),
    });
    let closing = action("http", &[("url", &format!("{}/close", server.url()))]);
    assert!(matches!(act(&*closing).await, Err(Trouble::Unknown(_))));
    let hanging = action("http", &[("url", &format!("{}/hang", server.url()))]);
    let (deadline, start) = (Duration::from_secs(1), Instant::now());
    let ended = hanging.act(&order(), deadline).await;
    assert!(start.elapsed() <= deadline);
    assert!(matches!(ended, Err(Trouble::Unknown(_))), "{ended:?}");
    assert_eq!(server.requests().len(), 2, "nothing was sent a second time");
    gate.open();
}
