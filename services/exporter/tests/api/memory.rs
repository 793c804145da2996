//! Hostile clients cost the process no more memory than its limits say. What is measured is the
//! most that the process ever held, compared with a start that was only warmed up.

use futures_util::future::join_all;
use mcpmon_testkit::metric::metric;
use serde_json::{Value, json};

use crate::support::{Program, batch, call, get, gzip, mebibytes, post};

/// Starts the program and lets it serve what any client asks for.
async fn warm() -> Program {
    let program = Program::start(&[]);
    assert_eq!(program.post(batch("warm", &vec![call("up"); 1_000])).await.status, 202);
    program.scrape().await;
    program
}

#[tokio::test]
async fn bodies_of_100_mb_are_not_kept() {
    let program = warm().await;
    let before = program.peak_memory();
    let piece = vec![b' '; 1 << 20];
    let chunk = [format!("{:x}\r\n", piece.len()).as_bytes(), &piece, b"\r\n"].concat();
    let announced = "content-length: 104857600";
    for framing in [announced, "transfer-encoding: chunked"] {
        let flood = |_| async {
            let mut connection = program.connect().await;
            let head =
                "POST /v1/events HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json";
            connection.write(format!("{head}\r\n{framing}\r\n\r\n").as_bytes()).await;
            let mut reply = None;
            for _ in 0..100 {
                if reply.is_none() && connection.has_reply().await {
                    reply = Some(connection.reply().await);
                }
                // It goes on although it was told, for as long as the exporter listens.
                if !connection.try_write(if framing == announced { &piece } else { &chunk }).await {
                    break;
                }
            }
            match reply {
                Some(reply) => reply,
                None => connection.reply().await,
            }
        };
        for reply in join_all((0..8).map(flood)).await {
            assert_eq!(reply.status, 413, "{framing}");
            let told = "the body is too large; at most 1048576 bytes are accepted";
            assert_eq!(reply.problem(), told);
        }
    }
    let grown = program.peak_memory() - before;
    assert!(grown < mebibytes(24), "{grown} bytes more");
    assert_eq!(program.send(get("/health")).await.status, 200);
}

#[tokio::test]
async fn gzip_bombs_are_stopped_at_the_limit() {
    let program = warm().await;
    let before = program.peak_memory();
    let bomb = gzip(&vec![b' '; 200 << 20]);
    assert!(bomb.len() < 1 << 20, "{} bytes are no small body", bomb.len());
    let bomb = post("/v1/events", "").body(bomb).header("content-encoding", "gzip");
    let replies = join_all((0..64).map(|_| program.send(bomb.clone()))).await;
    for reply in &replies {
        assert!(matches!(reply.status, 413 | 429), "{reply:?}");
    }
    let told = "the body decompresses to too much; at most 8388608 bytes are accepted";
    assert!(replies.iter().any(|reply| reply.status == 413 && reply.problem() == told));
    // Unpacked they would take 12 GiB. All buffers together may hold 64 MiB, and the allocator
    // keeps some of what was freed.
    let grown = program.peak_memory() - before;
    assert!(grown < mebibytes(160), "{grown} bytes more");
    assert_eq!(program.post(batch("s", &[call("t")])).await.status, 202);
}

/// Posts 100,000 events, a thousand at a time.
async fn post_100_000(program: &Program, event: impl Fn(usize) -> (String, Value)) {
    let mut connection = program.connect().await;
    for batch in 0..100 {
        let lines = (batch * 1_000..(batch + 1) * 1_000).map(|number| {
            let (server, mut event) = event(number);
            event["server"] = json!(server);
            event["source"] = json!(format!("{server}-1"));
            event.to_string()
        });
        let lines = lines.collect::<Vec<_>>().join("\n");
        let request = post("/v1/events", lines).header("content-type", "application/x-ndjson");
        let reply = connection.send(&request).await;
        assert_eq!((reply.status, &reply.json()["accepted"]), (202, &json!(1_000)));
    }
}

#[tokio::test]
async fn distinct_tool_names_without_end_become_other() {
    let program = warm().await;
    let before = program.peak_memory();
    post_100_000(&program, |number| ("s".into(), call(&format!("tool \"{number}\"")))).await;
    let text = program.scrape().await;
    let calls = metric("mcp_tool_calls_total").label("server", "s");
    assert_eq!(calls.sum_in(&text), 100_000.0);
    calls.clone().label("tool_name", "_other").label("status", "success").assert_in(&text);
    assert_eq!(calls.label("status", "success").find(&text).len(), 256 + 1);
    let overflow = metric("mcp_label_overflow_total").label("label", "tool_name");
    overflow.value(100_000 - 256).assert_in(&text);
    let grown = program.peak_memory() - before;
    assert!(grown < mebibytes(24), "{grown} bytes more");
}

#[tokio::test]
async fn distinct_server_names_without_end_become_other() {
    let program = warm().await;
    let before = program.peak_memory();
    post_100_000(&program, |number| (format!("server-{number}"), call("t"))).await;
    let text = program.scrape().await;
    let calls = metric("mcp_tool_calls_total").label("status", "success");
    assert_eq!(calls.sum_in(&text), 101_000.0);
    calls.clone().label("server", "_other").assert_in(&text);
    assert_eq!(calls.label("tool_name", "t").find(&text).len(), 63, "one was taken before");
    let grown = program.peak_memory() - before;
    assert!(grown < mebibytes(24), "{grown} bytes more");
}

#[tokio::test]
async fn keys_and_sources_without_end_are_forgotten() {
    let program = warm().await;
    let before = program.peak_memory();
    let one = |number: usize| {
        let program = &program;
        async move {
            let mut connection = program.connect().await;
            for round in 0..500 {
                let source = format!("{number}-{round}-{}", "s".repeat(100));
                let batch = json!({"server": "s", "source": source, "events": [{"type": "x".repeat(1_000)}]});
                let request = post("/v1/events", batch).header("idempotency-key", "k");
                assert_eq!(connection.send(&request).await.status, 202);
            }
        }
    };
    join_all((0..20).map(one)).await;
    let grown = program.peak_memory() - before;
    assert!(grown < mebibytes(32), "{grown} bytes more");
}
