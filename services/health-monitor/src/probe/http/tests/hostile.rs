//! Servers that refuse, stay silent, drip, flood, or speak something else.

use std::env;
use std::fs::File;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use mcpmon_coordination::incident::Failure;

use crate::finding::{Finding, Outcome, Unknown};
use crate::probe::testing::{check, probe, rerun, send_and_hold, serve_raw, skip_head};

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n";

async fn quickly(address: SocketAddr) -> Finding {
    let url = format!("http://{address}/");
    probe("http", &[("url", &url)]).check(Duration::from_secs(3)).await
}

fn failed(finding: &Finding, failure: Failure, address: SocketAddr, error: &str) {
    assert_eq!(finding.outcome, Outcome::Fail(failure), "{finding:?}");
    assert_eq!(finding.error.as_deref(), Some(&*format!("GET http://{address}/: {error}")));
}

#[tokio::test]
async fn a_closed_port_refuses() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let finding = check("http", &[("url", &format!("http://{address}"))]).await;
    failed(&finding, Failure::ConnectionRefused, address, "Connection refused (os error 111)");
}

#[tokio::test]
async fn silence_and_a_dripping_body_end_by_the_deadline() {
    let silent = serve_raw(|stream| send_and_hold(stream, b""));
    let drip = [HEAD, b"content-length: 1000000000\r\n\r\nslowly"].concat();
    let dripping = serve_raw(move |stream| send_and_hold(stream, &drip));
    let (silence, drops) = tokio::join!(quickly(silent), quickly(dripping));
    failed(&silence, Failure::Timeout, silent, "no answer within 2.9 s");
    let error = "it answered 200, but the body did not end within 2.9 s; 6 bytes of it came";
    failed(&drops, Failure::Timeout, dripping, error);
}

#[tokio::test]
async fn a_flood_is_read_up_to_64_kib() {
    let (sent, mut told) = tokio::sync::mpsc::unbounded_channel();
    let flood = serve_raw(move |mut stream| {
        skip_head(&mut stream);
        let mut count = 0;
        let _ = stream.write_all(&[HEAD, b"content-length: 1000000000\r\n\r\n"].concat());
        while stream.write_all(&[b'x'; 4096]).is_ok() {
            count += 4096;
        }
        let _ = sent.send(count);
    });
    assert_eq!(quickly(flood).await.outcome, Outcome::Ok);
    // What the sockets' buffers took, and not the gigabyte.
    let count: u32 = told.recv().await.unwrap();
    assert!(count < 32 << 20, "{count}");

    let url = format!("http://{flood}/");
    let finding = check("http", &[("url", &url), ("expect_body", "ok")]).await;
    failed(&finding, Failure::BadBody, flood, "`ok` is not in the first 65536 bytes of the body");

    let endless = serve_raw(|mut stream| {
        skip_head(&mut stream);
        let _ = stream.write_all(&[HEAD, b"transfer-encoding: chunked\r\n\r\n"].concat());
        while stream.write_all(b"4\r\nping\r\n").is_ok() {}
    });
    assert_eq!(quickly(endless).await.outcome, Outcome::Ok);
}

#[tokio::test]
async fn what_is_no_http_is_told() {
    for (answer, failure, error) in [
        (&b"SSH-2.0-OpenSSH_9.2\r\n"[..], Failure::Other, "invalid HTTP version parsed"),
        (b"", Failure::Other, "connection closed before message completed"),
        (
            b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf",
            Failure::BadBody,
            "end of file before message length reached",
        ),
    ] {
        let address = serve_raw(move |mut stream| {
            skip_head(&mut stream);
            let _ = stream.write_all(answer);
        });
        let finding = check("http", &[("url", &format!("http://{address}"))]).await;
        failed(&finding, failure, address, error);
    }
}

#[tokio::test]
async fn no_descriptors_left_is_our_own_trouble() {
    const CASE: &str = "MCPMON_TEST_DESCRIPTORS";
    // Nobody accepts: a thread that does would need a descriptor itself, and close the port.
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    if env::var_os(CASE).is_none() {
        let test = "probe::http::tests::hostile::no_descriptors_left_is_our_own_trouble";
        return rerun(test, (CASE, "1"), &["env"], "ulimit -n 64; exec \"$@\"");
    }
    let tcp = address.to_string();
    let (http, redis) = (format!("http://{tcp}"), format!("redis://{tcp}"));
    let probes = [
        probe("http", &[("url", &http)]),
        probe("tcp", &[("address", &tcp)]),
        probe("redis", &[("url", &redis)]),
    ];
    let taken: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    let mut findings = Vec::new();
    for probe in probes {
        findings.push(probe.check(Duration::from_secs(20)).await);
    }
    drop(taken);
    for finding in findings {
        assert_eq!(finding.outcome, Outcome::Unknown(Unknown::OurSide), "{finding:?}");
        assert!(finding.error.unwrap().ends_with("Too many open files (os error 24)"));
    }
}
