//! Kind `docker`, against a scripted engine: what a real one will not do when it is asked to.

use std::net::TcpListener;
use std::time::Duration;

use mcp_remediation::action::{Action, Trouble};
use mcpmon_testkit::http_script::{Answer, Gate, HttpScript, Request};
use tokio::time::Instant;

use crate::support::{act, action, condition, is_ours, order};

const RUNNING: &str = r#"{"Name": "/devskyy-mcp", "RestartCount": 0, "State": {
    "Status": "running", "ExitCode": 0, "StartedAt": "2026-11-22T10:00:00.123456789Z"}}"#;

fn engine(script: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> HttpScript {
    HttpScript::start(script)
}

fn container(engine: &HttpScript) -> Box<dyn Action> {
    let address = format!("tcp://{}", engine.addr());
    action("docker", &[("container", "devskyy-mcp"), ("engine", &address)])
}

#[tokio::test]
async fn two_plain_requests_are_all_it_sends() {
    let engine = engine(|request| match request.method.as_str() {
        "GET" => Answer::status(200, RUNNING),
        _ => Answer::status(204, ""),
    });
    let action = container(&engine);
    assert!(is_ours(&condition(&*action).await));
    assert_eq!(act(&*action).await, Ok(()));
    let sent = engine.requests();
    let lines: Vec<_> = sent.iter().map(|sent| format!("{} {}", sent.method, sent.path)).collect();
    assert_eq!(
        lines,
        [
            "GET /v1.41/containers/devskyy-mcp/json",
            "POST /v1.41/containers/devskyy-mcp/restart?t=10",
        ]
    );
    // What our filter refuses.
    for request in &sent {
        for name in ["transfer-encoding", "upgrade", "expect"] {
            assert_eq!(request.header(name), None, "{request:?}");
        }
        assert!(matches!(request.header("content-length"), None | Some("0")), "{request:?}");
    }
}

#[tokio::test]
async fn a_newer_engine_gets_the_version_that_it_asks_for() {
    let engine = engine(|request| match request.path.starts_with("/v1.44/") {
        true if request.method == "GET" => Answer::status(200, RUNNING),
        true => Answer::status(204, ""),
        false => Answer::status(
            400,
            r#"{"message": "client version 1.41 is too old. Minimum supported API version is 1.44, please upgrade your client to a newer version"}"#,
        ),
    });
    let action = container(&engine);
    assert!(is_ours(&condition(&*action).await));
    assert_eq!(act(&*action).await, Ok(()));
    assert!(is_ours(&condition(&*action).await));
    assert_eq!(engine.requests().len(), 4, "it is asked once which version it wants");
}

#[tokio::test]
async fn what_the_engine_or_its_filter_says_is_told_apart() {
    let say = |status: u16| async move {
        let engine = engine(move |_| Answer::status(status, r#"{"message": "no"}"#));
        let action = container(&engine);
        let ended = (action.look(Duration::from_secs(5)).await, act(&*action).await);
        assert_eq!(engine.requests().len(), 2, "nothing is sent twice");
        ended
    };
    for status in [400, 401, 403, 405, 503] {
        let (looked, acted) = say(status).await;
        assert!(matches!(looked, Err(Trouble::Refused(_))), "{looked:?}");
        assert!(matches!(acted, Err(Trouble::Refused(_))), "{acted:?}");
    }
    let (looked, acted) = say(404).await;
    assert!(matches!(looked, Err(Trouble::Absent(_))), "{looked:?}");
    assert!(matches!(acted, Err(Trouble::Absent(_))), "{acted:?}");
    for status in [409, 500] {
        let (_, acted) = say(status).await;
        assert!(matches!(&acted, Err(Trouble::Failed(text)) if text.contains("no")), "{acted:?}");
    }
    // The filter waited for an engine that was asked.
    for status in [502, 504] {
        let (looked, acted) = say(status).await;
        assert!(matches!(looked, Err(Trouble::Refused(_))), "{looked:?}");
        assert!(matches!(acted, Err(Trouble::Unknown(_))), "{acted:?}");
    }
}

#[tokio::test]
async fn a_call_without_an_answer_is_unknown_and_keeps_the_next_one_out() {
    let gate = Gate::default();
    let held = gate.clone();
    let engine = engine(move |_| Answer::status(204, "").after(&held));
    let action = container(&engine);
    let (deadline, start) = (Duration::from_secs(1), Instant::now());
    let ended = action.act(&order(), deadline).await;
    assert!(start.elapsed() <= deadline);
    assert!(matches!(ended, Err(Trouble::Unknown(_))), "{ended:?}");
    for _ in 0..3 {
        let ended = action.act(&order(), deadline).await;
        assert!(matches!(ended, Err(Trouble::Refused(_))), "{ended:?}");
    }
    let sent = engine.requests();
    assert_eq!(sent.len(), 1, "there is one call in flight");
    // A stop that outlasts the deadline would leave an end that nobody knows.
    assert_eq!(sent[0].path, "/v1.41/containers/devskyy-mcp/restart?t=0");
    gate.open();
    let limit = Instant::now() + Duration::from_secs(10);
    while act(&*action).await != Ok(()) {
        assert!(Instant::now() < limit, "the answer has come, and the next may act");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(engine.requests().len(), 2);
}

#[tokio::test]
async fn a_connection_that_breaks_is_unknown_and_none_at_all_is_refused() {
    let engine = engine(|_| Answer::Close);
    let closing = container(&engine);
    assert!(matches!(act(&*closing).await, Err(Trouble::Unknown(_))));
    assert!(matches!(closing.look(Duration::from_secs(5)).await, Err(Trouble::Refused(_))));
    assert_eq!(engine.requests().len(), 2, "nothing is sent twice");

    let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
    for address in [format!("tcp://{port}"), "unix:///no/such/docker.sock".to_owned()] {
        let keys = [("container", "devskyy-mcp"), ("engine", address.as_str())];
        let nobody = action("docker", &keys);
        assert!(matches!(act(&*nobody).await, Err(Trouble::Refused(_))));
        assert!(matches!(nobody.look(Duration::from_secs(5)).await, Err(Trouble::Refused(_))));
    }
}
