//! Peers that hang, drip or never end: the deadline holds, and the memory stays flat.

use std::io::Write as _;
use std::thread;
use std::time::Duration;

use mcpmon_mcp_client::Fault;
use mcpmon_testkit::http_script::{Answer, Gate, HttpScript};

use crate::support::*;

const SHORT: Duration = Duration::from_millis(700);
/// Room for what is allowed to be kept, a message of 8 MiB and its copies; the peers below send
/// as much as is taken.
const MORE_MEMORY_KB: u64 = 64 * 1024;

fn memory_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

async fn opened(url: &str) -> Fault {
    let before = memory_kb();
    let fault = match to_url(url).open(SHORT).await {
        Ok(session) => panic!("it opens: {:?}", session.server()),
        Err(fault) => fault,
    };
    let grown = memory_kb() - before;
    assert!(grown < MORE_MEMORY_KB, "{grown} kB more");
    fault
}

fn forever(stream: &mut std::net::TcpStream, text: &[u8]) -> std::io::Result<()> {
    loop {
        stream.write_all(text)?;
    }
}

#[tokio::test]
async fn a_peer_that_hangs_is_given_up() {
    let gate = Gate::default();
    let held = gate.clone();
    let server = HttpScript::start(move |_| Answer::status(200, "").after(&held));
    assert!(matches!(opened(&server.url()).await, Fault::Timeout { .. }));
    gate.open();
    // It takes the request and says nothing at all.
    let silent = raw(|_| {
        thread::park();
        Ok(())
    });
    assert!(matches!(opened(&silent).await, Fault::Timeout { .. }));
}

#[tokio::test]
async fn a_session_that_begins_to_hang_is_given_up() {
    let gate = Gate::default();
    let held = gate.clone();
    let server = legacy(move |_| Answer::status(200, "").after(&held));
    let mut session = to_url(&server.url()).open(PATIENCE).await.unwrap();
    let fault = session.list_tools(SHORT).await.unwrap_err();
    assert_eq!(fault, Fault::Timeout { asked: "tools/list", after: SHORT });
    gate.open();
}

#[tokio::test]
async fn a_peer_that_drips_is_given_up() {
    for content_type in ["application/json", "text/event-stream"] {
        let url = raw(move |stream| {
            head(stream, content_type)?;
            loop {
                stream.write_all(b" ")?;
                stream.flush()?;
                thread::sleep(Duration::from_millis(100));
            }
        });
        let fault = opened(&url).await;
        assert!(matches!(fault, Fault::Timeout { .. }), "{content_type}: {fault:?}");
    }
}

#[tokio::test]
async fn an_endless_body_is_not_kept() {
    let url = raw(|stream| {
        head(stream, "application/json")?;
        forever(stream, &[b' '; 65536])
    });
    let fault = opened(&url).await;
    assert!(matches!(fault, Fault::BadBody(_) | Fault::Timeout { .. }), "{fault:?}");

    // A length that would be too much is not even begun.
    let url = raw(|stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1073741824\r\n\r\n")?;
        forever(stream, &[b' '; 65536])
    });
    let fault = opened(&url).await;
    assert!(matches!(fault, Fault::BadBody(_)), "{fault:?}");

    // An error's text.
    let url = raw(|stream| {
        stream.write_all(
            b"HTTP/1.1 500 Oh\r\ncontent-type: text/html\r\nconnection: close\r\n\r\n",
        )?;
        forever(stream, &[b'x'; 65536])
    });
    assert_eq!(opened(&url).await, Fault::Http(500));
}

#[tokio::test]
async fn an_endless_stream_of_events_is_not_kept() {
    let notice = b"data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{\"level\":\"info\",\"data\":1}}\n\n";
    for event in
        [&notice[..], b"data: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n", b": a comment\n", b"data: \n\n"]
    {
        let many = event.repeat(500);
        let url = raw(move |stream| {
            head(stream, "text/event-stream")?;
            forever(stream, &many)
        });
        let fault = opened(&url).await;
        let is_bounded =
            matches!(fault, Fault::Timeout { .. } | Fault::NotMcp(_) | Fault::BadBody(_));
        assert!(is_bounded, "{}: {fault:?}", String::from_utf8_lossy(event));
    }
}

#[tokio::test]
async fn an_endless_line_of_a_program_is_not_kept() {
    let before = memory_kb();
    let endless = to_program(&["sh", "-c", "yes | tr -d '\\n'"]);
    let fault = endless.open(SHORT).await.map(drop).unwrap_err();
    assert!(matches!(fault, Fault::Timeout { .. }), "{fault:?}");
    let chatty = to_program(&["sh", "-c", "yes | tr -d '\\n' >&2"]);
    let fault = chatty.open(SHORT).await.map(drop).unwrap_err();
    assert!(matches!(fault, Fault::Timeout { .. }), "{fault:?}");
    let grown = memory_kb() - before;
    assert!(grown < MORE_MEMORY_KB, "{grown} kB more");
}
