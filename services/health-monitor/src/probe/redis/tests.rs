use std::time::Duration;

use mcpmon_coordination::incident::Failure;
use mcpmon_testkit::redis_server::{Persistence, RedisServer};

use crate::finding::{Finding, Outcome};
use crate::probe::testing::{check, probe, read};

async fn ask(server: &RedisServer) -> Finding {
    check("redis", &[("url", &server.url())]).await
}

fn told(server: &RedisServer, finding: &Finding, failure: Failure, error: &str) {
    assert_eq!(finding.outcome, Outcome::Fail(failure), "{finding:?}");
    let error = format!("PING 127.0.0.1:{}: {error}", server.port());
    assert_eq!(finding.error, Some(error));
}

#[tokio::test]
async fn a_redis_that_answers_is_well() {
    let mut server = RedisServer::start(Persistence::None);
    let finding = ask(&server).await;
    assert_eq!((finding.outcome, finding.error, finding.warning), (Outcome::Ok, None, None));
    assert!(finding.latency.is_some());
    server.kill();
    let error = "Connection refused (os error 111)";
    told(&server, &ask(&server).await, Failure::ConnectionRefused, error);
}

#[tokio::test]
async fn a_password_is_sent_and_never_shown() {
    let server = RedisServer::start(Persistence::None);
    server.must(&["CONFIG", "SET", "requirepass", "right-s3cret"]);
    let error = "it wants a log-in: NOAUTH Authentication required.";
    told(&server, &ask(&server).await, Failure::AuthRequired, error);
    for (password, well) in [("right-s3cret", true), ("wrong-s3cret", false)] {
        let url = format!("redis://:{password}@127.0.0.1:{}", server.port());
        let probe = probe("redis", &[("url", &url)]);
        let finding = probe.check(Duration::from_secs(20)).await;
        let expected = if well { Outcome::Ok } else { Outcome::Fail(Failure::AuthRequired) };
        assert_eq!(finding.outcome, expected, "{finding:?}");
        assert!(!format!("{finding:?} {probe:?}").contains("s3cret"), "{finding:?} {probe:?}");
    }
}

#[tokio::test]
async fn a_frozen_redis_ends_by_the_deadline() {
    let server = RedisServer::start(Persistence::None);
    server.freeze();
    let probe = probe("redis", &[("url", &server.url())]);
    let finding = probe.check(Duration::from_millis(500)).await;
    server.thaw();
    assert_eq!(finding.outcome, Outcome::Fail(Failure::Timeout), "{finding:?}");
    let error = format!("PING 127.0.0.1:{}: no answer within 0.45 s", server.port());
    assert_eq!(finding.error, Some(error));
}

#[tokio::test]
async fn a_redis_that_refuses_writes_is_warned_about() {
    let server = RedisServer::start(Persistence::None);
    server.must(&["CONFIG", "SET", "maxmemory", "1"]);
    let warning = ask(&server).await.warning.unwrap();
    assert!(warning.contains(": it refuses writes: it uses ") && warning.ends_with("(OOM)"));
    server.must(&["CONFIG", "SET", "maxmemory", "0"]);

    server.must(&["REPLICAOF", "127.0.0.1", "1"]);
    let finding = ask(&server).await;
    assert_eq!(finding.outcome, Outcome::Ok);
    let warning = "it refuses writes: it is a read-only replica (READONLY)";
    let warning = format!("PING 127.0.0.1:{}: {warning}", server.port());
    assert_eq!(finding.warning, Some(warning));
    let replica = check("redis", &[("url", &server.url()), ("writable", "false")]).await;
    assert_eq!((replica.outcome, replica.warning), (Outcome::Ok, None));

    server.must(&["CONFIG", "SET", "replica-serve-stale-data", "no"]);
    let finding = ask(&server).await;
    assert_eq!(finding.outcome, Outcome::Fail(Failure::Other), "{finding:?}");
    let error = finding.error.unwrap();
    assert!(error.contains(": it has lost its primary: MASTERDOWN "), "{error}");
}

#[test]
fn the_url_is_one_of_redis_and_secret() {
    let complaint = |keys: &[(&str, &str)]| {
        read("redis", keys).map(|probe| format!("{probe:?}")).expect_err("the keys are wrong")
    };
    insta::assert_snapshot!(complaint(&[]), @r#"
    the configuration has 1 error:
      it.url: is not set; Where Redis is: `redis://[user[:password]@]host[:port][/db]`. [env: MCPMON__HEALTH_MONITOR__COMPONENTS__IT__URL]
    "#);
    let error = complaint(&[("url", "http://me:s3cret@host")]);
    insta::assert_snapshot!(error, @r#"
    the configuration has 1 error:
      it.url in MCPMON__HEALTH_MONITOR__COMPONENTS__IT__URL: is no URL of a Redis; expected one such as redis://user:password@host:6379 [env: MCPMON__HEALTH_MONITOR__COMPONENTS__IT__URL]
    "#);
    insta::assert_snapshot!(complaint(&[("url", "rediss://me:s3cret@host")]), @r#"
    the configuration has 1 error:
      it.url in MCPMON__HEALTH_MONITOR__COMPONENTS__IT__URL: asks for TLS, which we do not speak with Redis; expected redis:// [env: MCPMON__HEALTH_MONITOR__COMPONENTS__IT__URL]
    "#);
}
