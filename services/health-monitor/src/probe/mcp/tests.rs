//! The probe against scripted servers and programs; what the client underneath tells apart is
//! tested there.

use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mcpmon_bootstrap::{ConfigErrors, Settings, Sources};
use mcpmon_coordination::incident::Failure;
use mcpmon_testkit::http_script::{Answer, Gate, HttpScript, Request};
use serde_json::{Value, json};

use crate::finding::{Finding, Outcome, Unknown};
use crate::probe::{Keys, Probe};

const DEADLINE: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(700);

/// A server in a few lines of shell: `STATE` is a folder where it notes its starts, `PING` what
/// it does to a ping.
const SERVER: &str = r#"
answer() { printf '{"jsonrpc":"2.0","id":%s,"result":%s}\n' "$id" "$1"; }
echo $$ >> "$STATE/starts"
while read -r line; do
    id=$(printf '%s' "$line" | sed 's/.*"id":\([0-9]*\).*/\1/')
    case $line in
    *'"initialize"'*)
        answer '{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"sh","version":"1"}}' ;;
    *'"ping"'*) eval "$PING"; answer '{}' ;;
    *'"tools/list"'*) answer '{"tools":[{"name":"a","inputSchema":{"type":"object"}}]}' ;;
    *'"notifications/'*) ;;
    *) printf '{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"Method not found"}}\n' "$id" ;;
    esac
done
"#;

fn read(toml: &str) -> Result<Box<dyn Probe>, ConfigErrors> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    write!(file, "[c]\n{toml}").unwrap();
    let sources = Sources { file: Some(file.path().to_owned()), ..Sources::default() };
    let mut settings = Settings::load(sources)?;
    let probe = super::read(&mut Keys::new(&mut settings, "c".to_owned()));
    settings.finish()?;
    Ok(probe.expect("a probe without errors"))
}

fn of(toml: &str) -> Box<dyn Probe> {
    read(toml).unwrap_or_else(|errors| panic!("{errors}"))
}

fn at(server: &HttpScript, more: &str) -> Box<dyn Probe> {
    of(&format!("url = \"{}/mcp\"\n{more}", server.url()))
}

/// A probe of the shell's server with what it does to a ping.
fn program(state: &tempfile::TempDir, ping: &str) -> Box<dyn Probe> {
    let (server, state) = (Value::from(SERVER), state.path().display());
    let ping = Value::from(ping);
    of(&format!(
        "command = [\"sh\", \"-c\", {server}]\nenv = {{ STATE = \"{state}\", PING = {ping} }}"
    ))
}

/// How often the shell's server was started.
fn starts(state: &tempfile::TempDir) -> usize {
    std::fs::read_to_string(state.path().join("starts")).unwrap().lines().count()
}

fn message(request: &Request) -> Value {
    serde_json::from_slice(&request.body).unwrap_or_default()
}

fn result(request: &Request, result: &Value) -> Answer {
    let body = json!({"jsonrpc": "2.0", "id": message(request)["id"], "result": result});
    Answer::status(200, body.to_string()).with_header("content-type", "application/json")
}

/// A server of the modern revision; `answer` is for all but the discovery.
fn server(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> HttpScript {
    HttpScript::start(move |request| match message(request)["method"].as_str() {
        Some("server/discover") => result(
            request,
            &json!({
                "resultType": "complete", "supportedVersions": ["2026-07-28"],
                "capabilities": {"tools": {}}, "ttlMs": 0, "cacheScope": "private",
            }),
        ),
        _ => answer(request),
    })
}

fn tools(names: &[&str]) -> Value {
    let tool = |name| json!({"name": name, "inputSchema": {"type": "object"}});
    json!({"resultType": "complete", "tools": names.iter().map(tool).collect::<Vec<_>>()})
}

fn failure(finding: &Finding) -> Failure {
    match finding.outcome {
        Outcome::Fail(failure) => failure,
        other => panic!("{other:?}: {finding:?}"),
    }
}

#[tokio::test]
async fn a_server_that_answers_is_ok_with_its_inventory() {
    let server = server(|request| result(request, &tools(&["a", "b"])));
    let probe = at(&server, "tools = [\"a\"]\ntoken = \"t0ken\"");
    let first = probe.check(DEADLINE).await;
    assert_eq!(first.outcome, Outcome::Ok, "{first:?}");
    assert!(first.latency.is_some() && first.warning.is_none());
    let inventory = first.inventory.unwrap();
    assert_eq!(inventory.protocol_version, "2026-07-28");
    assert!(inventory.complete && inventory.tools["a"].schema_valid);
    assert_eq!(inventory.tools.len(), 2);

    let before = server.requests().len();
    let second = probe.check(DEADLINE).await;
    assert_eq!(second.inventory, Some(inventory));
    // A warm check is one cheap request and the listing.
    assert_eq!(server.requests().len(), before + 2);
    assert!(
        server
            .requests()
            .iter()
            .all(|request| request.header("authorization") == Some("Bearer t0ken"))
    );
    assert_eq!(probe.patience(), None);
}

#[tokio::test]
async fn a_tool_that_vanishes_is_missed_by_name() {
    let listings = AtomicUsize::new(0);
    let server = server(move |request| match listings.fetch_add(1, Ordering::Relaxed) {
        0 => result(request, &tools(&["a", "b", "c"])),
        _ => result(request, &tools(&["a"])),
    });
    let probe = at(&server, "tools = [\"a\", \"b\", \"c\"]");
    assert_eq!(probe.check(DEADLINE).await.outcome, Outcome::Ok);
    let finding = probe.check(DEADLINE).await;
    assert_eq!(failure(&finding), Failure::ToolsMissing);
    assert_eq!(finding.error.as_deref(), Some("not listed: b, c"));
    assert_eq!(finding.inventory.unwrap().tools.len(), 1);
}

#[tokio::test]
async fn every_fault_has_its_word() {
    let html =
        |status| Answer::status(status, "<html></html>").with_header("content-type", "text/html");
    for (answer, word) in [
        (html(401), Failure::AuthRequired),
        (html(403), Failure::AuthRequired),
        (html(404), Failure::Http4xx),
        (html(500), Failure::Http5xx),
        (html(200), Failure::McpBroken),
        (Answer::Close, Failure::Other),
    ] {
        let server = HttpScript::start(move |_| answer.clone());
        let finding = at(&server, "").check(DEADLINE).await;
        assert_eq!(failure(&finding), word, "{finding:?}");
        assert!(finding.error.is_some() && finding.inventory.is_none());
    }
    let server = HttpScript::start(|_| Answer::status(429, "").with_header("retry-after", "17"));
    let finding = at(&server, "").check(DEADLINE).await;
    assert_eq!(finding.outcome, Outcome::Unknown(Unknown::RateLimited));
    assert_eq!(finding.retry_after, Some(Duration::from_secs(17)));

    let sse = HttpScript::start(|request| match request.method.as_str() {
        "GET" => Answer::status(200, "event: endpoint\ndata: /message\n\n")
            .with_header("content-type", "text/event-stream"),
        _ => Answer::status(405, ""),
    });
    let finding = at(&sse, "").check(DEADLINE).await;
    assert_eq!(finding.outcome, Outcome::Unknown(Unknown::UnsupportedTransport));

    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let finding = of(&format!("url = \"http://{free}/mcp\"")).check(DEADLINE).await;
    assert_eq!(failure(&finding), Failure::ConnectionRefused);

    let finding = of("command = [\"no-such-program\"]").check(DEADLINE).await;
    assert_eq!(failure(&finding), Failure::Other);
    assert!(finding.error.unwrap().contains("`no-such-program` is not found"));
}

#[tokio::test]
async fn a_server_that_hangs_fails_before_the_deadline_and_is_asked_anew_later() {
    let hangs = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (gate, is_hanging) = (Gate::default(), hangs.clone());
    let held = gate.clone();
    let server = server(move |request| match is_hanging.load(Ordering::Relaxed) {
        true => Answer::status(200, "").after(&held),
        false => result(request, &tools(&["a"])),
    });
    let probe = at(&server, "");
    assert_eq!(probe.check(DEADLINE).await.outcome, Outcome::Ok);
    hangs.store(true, Ordering::Relaxed);
    // The finding is the probe's own, not that of a caller who lost patience.
    let finding = tokio::time::timeout(SHORT, probe.check(SHORT)).await.unwrap();
    assert_eq!(failure(&finding), Failure::Timeout);
    assert!(finding.error.unwrap().contains("tools/list"));
    hangs.store(false, Ordering::Relaxed);
    assert_eq!(probe.check(DEADLINE).await.outcome, Outcome::Ok);
    gate.open();
}

#[tokio::test]
async fn a_session_that_the_server_forgot_is_no_failure() {
    let sessions = AtomicUsize::new(0);
    // The TypeScript SDK answers 400 and not 404 to a session that it does not know.
    let server = HttpScript::start(move |request| match message(request)["method"].as_str() {
        Some("server/discover") => Answer::status(400, ""),
        Some("initialize") => {
            let id = sessions.fetch_add(1, Ordering::Relaxed).to_string();
            result(
                request,
                &json!({
                    "protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
                    "serverInfo": {"name": "s", "version": "1"},
                }),
            )
            .with_header("mcp-session-id", &id)
        }
        Some("notifications/initialized") => Answer::status(202, ""),
        _ if request.header("mcp-session-id") == Some("0")
            && sessions.load(Ordering::Relaxed) < 2
            && message(request)["id"].as_u64() > Some(3) =>
        {
            Answer::status(400, "Bad Request: No valid session ID provided")
        }
        Some("ping") => result(request, &json!({})),
        Some("tools/list") => result(request, &tools(&["a"])),
        _ => Answer::status(200, ""),
    });
    let probe = at(&server, "");
    let opened = |requests: &[Request]| {
        requests.iter().filter(|request| message(request)["method"] == "initialize").count()
    };
    for expected in [1, 2, 2] {
        let finding = probe.check(DEADLINE).await;
        assert_eq!(finding.outcome, Outcome::Ok, "{finding:?}");
        assert_eq!((finding.warning, opened(&server.requests())), (None, expected));
    }
    probe.close().await;
    assert_eq!(server.requests().last().unwrap().method, "DELETE");
}

#[tokio::test]
async fn a_server_that_was_restarted_is_no_failure() {
    let first = server(|request| result(request, &tools(&["a"])));
    let (addr, probe) = (first.addr(), at(&first, ""));
    assert_eq!(probe.check(DEADLINE).await.outcome, Outcome::Ok);
    drop(first);
    assert_eq!(failure(&probe.check(DEADLINE).await), Failure::ConnectionRefused);
    let _second = HttpScript::start_on(addr, |request| match message(request)["method"].as_str() {
        Some("server/discover") => Answer::status(400, ""),
        Some("initialize") => result(
            request,
            &json!({
                "protocolVersion": "2025-06-18", "capabilities": {"tools": {}},
                "serverInfo": {"name": "s", "version": "1"},
            }),
        ),
        Some("ping") => result(request, &json!({})),
        Some("tools/list") => result(request, &tools(&["a"])),
        _ => Answer::status(202, ""),
    });
    let finding = probe.check(DEADLINE).await;
    assert_eq!(finding.outcome, Outcome::Ok, "{finding:?}");
    assert_eq!(finding.inventory.unwrap().protocol_version, "2025-06-18");
}

#[tokio::test]
async fn a_program_is_kept_and_replaced_when_it_ended() {
    let state = tempfile::tempdir().unwrap();
    let probe = program(
        &state,
        r#"if [ -e "$STATE/end" ]; then rm "$STATE/end"; echo 'out of silk' >&2; exit 3; fi"#,
    );
    assert_eq!(probe.patience(), Some(Duration::from_secs(15)));
    for _ in 0..3 {
        let finding = probe.check(DEADLINE).await;
        assert_eq!((finding.outcome, finding.warning), (Outcome::Ok, None));
        assert_eq!((starts(&state), probe.patience()), (1, None));
    }
    std::fs::write(state.path().join("end"), "").unwrap();
    let finding = probe.check(DEADLINE).await;
    assert_eq!((finding.outcome, starts(&state)), (Outcome::Ok, 2), "{:?}", finding.error);
    let warning = finding.warning.unwrap();
    assert!(warning.contains("exit status: 3") && warning.contains("out of silk"), "{warning}");
    assert_eq!(probe.check(DEADLINE).await.warning, None);
    probe.close().await;
    assert_eq!(probe.patience(), Some(Duration::from_secs(15)), "it would have to be started");
}

#[tokio::test]
async fn a_program_that_keeps_ending_is_started_once_a_check() {
    let state = tempfile::tempdir().unwrap();
    let probe = program(&state, "echo 'no database' >&2; exit 1");
    for checks in 1..3 {
        let finding = probe.check(DEADLINE).await;
        assert_eq!((failure(&finding), starts(&state)), (Failure::Other, checks));
        assert!(finding.error.unwrap().contains("no database"));
    }
}

#[tokio::test]
async fn a_program_that_hangs_fails_and_is_killed() {
    let state = tempfile::tempdir().unwrap();
    let probe = program(&state, r#"[ -e "$STATE/hang" ] && sleep 1000"#);
    assert_eq!(probe.check(DEADLINE).await.outcome, Outcome::Ok);
    std::fs::write(state.path().join("hang"), "").unwrap();
    assert_eq!(failure(&probe.check(SHORT).await), Failure::Timeout);
    std::fs::remove_file(state.path().join("hang")).unwrap();
    let finding = probe.check(DEADLINE).await;
    assert_eq!((finding.outcome, starts(&state)), (Outcome::Ok, 2), "{:?}", finding.error);
    // A check that its caller gives up takes the session with it.
    std::fs::write(state.path().join("hang"), "").unwrap();
    tokio::time::timeout(SHORT, probe.check(DEADLINE)).await.unwrap_err();
    assert!(probe.patience().is_some());
}

#[tokio::test]
async fn a_canary_that_fails_fails_the_check() {
    let server = server(|request| match message(request)["method"].as_str() {
        Some("tools/list") => {
            let reader = json!({"name": "stock", "inputSchema": {"type": "object"}, "annotations": {"readOnlyHint": true}});
            let writer = json!({"name": "order", "inputSchema": {"type": "object"}});
            result(request, &json!({"resultType": "complete", "tools": [reader, writer]}))
        }
        _ => {
            let of = message(request)["params"]["arguments"]["of"].clone();
            let text = format!("7 {}", of.as_str().unwrap_or("nothing"));
            result(
                request,
                &json!({"resultType": "complete", "content": [{"type": "text", "text": text}]}),
            )
        }
    });
    let canary =
        |tool: &str, more: &str| at(&server, &format!("[c.canary]\ntool = \"{tool}\"\n{more}"));
    let expecting = "arguments = { of = \"scarves\" }\nexpect_contains = ";
    let finding = canary("stock", &format!("{expecting}\"7 scarves\"")).check(DEADLINE).await;
    assert_eq!((finding.outcome, finding.warning), (Outcome::Ok, None));
    let finding = canary("stock", &format!("{expecting}\"8 scarves\"")).check(DEADLINE).await;
    assert_eq!(failure(&finding), Failure::CanaryFailed);
    assert!(finding.error.unwrap().contains("8 scarves") && finding.inventory.is_some());
    let finding = canary("order", "").check(DEADLINE).await;
    assert_eq!(finding.outcome, Outcome::Ok);
    assert!(finding.warning.unwrap().contains("canary.allow_writes"));
    assert_eq!(canary("order", "allow_writes = true").check(DEADLINE).await.warning, None);
    assert_eq!(failure(&canary("sell", "").check(DEADLINE).await), Failure::ToolsMissing);
}

#[tokio::test]
async fn a_canary_that_cannot_be_called_says_why() {
    let answer = std::sync::Arc::new(std::sync::Mutex::new(Answer::status(200, "")));
    let told = answer.clone();
    let server = server(move |request| match message(request)["method"].as_str() {
        Some("tools/list") => result(request, &tools(&["stock"])),
        _ => told.lock().unwrap().clone(),
    });
    let probe = at(&server, "[c.canary]\ntool = \"stock\"\nallow_writes = true");
    let (gate, mut before) = (Gate::default(), 0);
    let limited = Answer::status(429, "").with_header("retry-after", "17");
    // A discovery opens a session, and is its ping.
    for (call, outcome, discoveries) in [
        (limited, Outcome::Unknown(Unknown::RateLimited), 2),
        (Answer::status(401, ""), Outcome::Fail(Failure::AuthRequired), 1),
        (Answer::Close, Outcome::Fail(Failure::Other), 1),
        (Answer::status(200, "").after(&gate), Outcome::Fail(Failure::Timeout), 2),
        // What was not answered is not left in the session.
        (Answer::status(503, ""), Outcome::Fail(Failure::Http5xx), 2),
    ] {
        *answer.lock().unwrap() = call;
        let finding = probe.check(SHORT).await;
        assert_eq!(finding.outcome, outcome, "{finding:?}");
        assert!(finding.error.unwrap().starts_with("canary `stock`: "));
        assert_eq!(finding.inventory.unwrap().tools.len(), 1);
        let wait = (outcome == Outcome::Unknown(Unknown::RateLimited)).then_some(17);
        assert_eq!(finding.retry_after, wait.map(Duration::from_secs));
        let requests = server.requests();
        let is_discovery = |request: &&Request| message(request)["method"] == "server/discover";
        let now = requests.iter().filter(is_discovery).count();
        assert_eq!(now - before, discoveries, "{outcome:?}");
        before = now;
    }
    gate.open();
}

#[tokio::test]
async fn a_listing_that_does_not_end_is_a_warning() {
    let server = server(|request| {
        let mut page = tools(&["a"]);
        page["nextCursor"] = "again".into();
        result(request, &page)
    });
    let finding = at(&server, "").check(DEADLINE).await;
    assert_eq!(finding.outcome, Outcome::Ok);
    assert!(finding.warning.unwrap().starts_with("incomplete listing"));
    assert!(!finding.inventory.unwrap().complete);
}

#[test]
fn what_is_wrong_with_the_keys_is_said() {
    for (toml, expected) in [
        ("", "c.command: is not set; a component of kind `mcp` needs `command` or `url`"),
        ("command = [\"a\"]\nurl = \"http://a/\"", "c.url in"),
        ("command = []", "is empty; expected a program and its arguments"),
        ("url = \"localhost:8000\"", "expected an address with http or https"),
        ("url = \"http://u:p@host/mcp\"", "put a secret into `token`"),
        ("url = \"http://a/\"\ncwd = \"/\"", "goes with `command`"),
        ("command = [\"a\"]\ntoken = \"t\"", "goes with `url`"),
        (
            "command = [\"a\"]\ncanary = { allow_writes = true }",
            "a canary needs the name of a tool",
        ),
        ("command = [\"a\"]\nstart_timeout_seconds = 0", "start_timeout_seconds"),
        ("command = [\"a\"]\ncanary = { tol = \"a\" }", "canary.tol"),
    ] {
        let errors = read(toml).map(drop).unwrap_err().to_string();
        assert!(errors.contains(expected), "{toml}: {errors}");
        assert!(!errors.contains("u:p@"), "{errors}");
    }
}
