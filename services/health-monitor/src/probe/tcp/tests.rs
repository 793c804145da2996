use std::net::TcpListener;

use mcpmon_coordination::incident::Failure;

use crate::finding::Outcome;
use crate::probe::testing::{check, read};

#[tokio::test]
async fn something_that_listens_is_well() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let finding = check("tcp", &[("address", &address)]).await;
    assert_eq!((finding.outcome, finding.error), (Outcome::Ok, None));
    assert!(finding.latency.is_some());

    drop(listener);
    let finding = check("tcp", &[("address", &address)]).await;
    assert_eq!(finding.outcome, Outcome::Fail(Failure::ConnectionRefused));
    let error = format!("connect to {address}: Connection refused (os error 111)");
    assert_eq!(finding.error, Some(error));
}

#[tokio::test]
async fn addresses_in_brackets_are_addresses() {
    let Ok(listener) = TcpListener::bind(("::1", 0)) else {
        // Without IPv6 the same connection fails for want of the address, on our own side or not.
        let finding = check("tcp", &[("address", "[::1]:9")]).await;
        assert_ne!(finding.outcome, Outcome::Fail(Failure::Dns), "{finding:?}");
        return;
    };
    let address = listener.local_addr().unwrap().to_string();
    assert_eq!(check("tcp", &[("address", &address)]).await.outcome, Outcome::Ok);
}

#[test]
fn an_address_has_a_host_and_a_port() {
    for wrong in [
        "redis",
        "redis:",
        ":6379",
        "redis:0",
        "redis:65536",
        "::1:6379",
        "a b:1",
        "http://redis:6379",
    ] {
        let error = read("tcp", &[("address", wrong)]).map(|probe| format!("{probe:?}"));
        let expected = "expected a host and a port, such as `redis:6379` or `[::1]:6379`";
        let error = error.expect_err(wrong);
        assert!(error.contains(&format!("{wrong:?}")) && error.contains(expected), "{error}");
    }
    let error = read("tcp", &[]).map(|probe| format!("{probe:?}")).expect_err("it is not set");
    insta::assert_snapshot!(error, @r#"
    the configuration has 1 error:
      it.address: is not set; Host and port, such as `redis:6379`. [env: MCPMON__HEALTH_MONITOR__COMPONENTS__IT__ADDRESS]
    "#);
}
