//! Servers that are programs: how they start, hang, end, and what is left of them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use mcpmon_mcp_client::{Command, Connector, Fault, Session, Target};
use tokio::time::{sleep, timeout};

use crate::support::*;

const SHORT: Duration = Duration::from_millis(700);

/// A server of an older revision in a few lines of shell. `PING` is what it does to a ping, `END`
/// what it does when its input ends.
const SERVER: &str = r#"
answer() { printf '{"jsonrpc":"2.0","id":%s,"result":%s}\n' "$id" "$1"; }
eval "$START"
while read -r line; do
    id=$(printf '%s' "$line" | sed 's/.*"id":\([0-9]*\).*/\1/')
    case $line in
    *'"initialize"'*)
        echo 'a line that is no JSON'
        answer '{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"sh","version":"1"}}' ;;
    *'"ping"'*) eval "$PING"; answer '{}' ;;
    *'"tools/list"'*) answer '{"tools":[{"name":"a","inputSchema":{"type":"object"}}]}' ;;
    *'"notifications/'*) ;;
    *) printf '{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"Method not found"}}\n' "$id" ;;
    esac
done
eval "$END"
"#;

fn server(env: &[(&str, &str)]) -> Connector {
    let env = env.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    Connector::new(Target::Command(Command { env, ..command(&["sh", "-c", SERVER]) })).unwrap()
}

fn path(folder: &tempfile::TempDir, name: &str) -> String {
    folder.path().join(name).display().to_string()
}

/// Waits until the file has a whole line, and gives it.
async fn line_of(file: &str) -> String {
    let line = async {
        loop {
            match fs::read_to_string(file) {
                Ok(text) if text.ends_with('\n') => return text.trim().to_owned(),
                _ => sleep(Duration::from_millis(10)).await,
            }
        }
    };
    timeout(PATIENCE, line).await.unwrap_or_else(|_| panic!("{file} is not written"))
}

/// Waits until the process is gone or only waits to be reaped.
async fn is_gone(pid: &str) {
    let gone = async {
        loop {
            match fs::read_to_string(format!("/proc/{pid}/stat")) {
                Ok(stat) if !stat.contains(") Z ") => sleep(Duration::from_millis(10)).await,
                _ => return,
            }
        }
    };
    timeout(PATIENCE, gone).await.unwrap_or_else(|_| panic!("{pid} lives"));
}

async fn open(connector: &Connector) -> Session {
    connector.open(PATIENCE).await.unwrap()
}

#[tokio::test]
async fn a_program_is_asked_and_asked_again() {
    let (mut session, listing) = check(&server(&[])).await;
    assert_eq!(session.server().name, "sh");
    assert_eq!(session.server().protocol_version, "2025-11-25");
    assert!(listing.tools["a"].schema_valid);
    session.ping(PATIENCE).await.unwrap();
    assert_eq!(session.list_tools(PATIENCE).await.unwrap(), listing);
    assert_eq!(session.ended().await, None);
    session.close().await;
}

#[tokio::test]
async fn a_program_that_cannot_start_says_why() {
    let fault = fault_of(&to_program(&["no-such-program-here"])).await;
    assert!(
        matches!(&fault, Fault::NotStarted(why) if why.contains("`no-such-program-here` is not found")),
        "{fault:?}"
    );
    let fault = fault_of(&to_program(&["/etc/passwd"])).await;
    assert!(
        matches!(&fault, Fault::NotStarted(why) if why.contains("may not be executed")),
        "{fault:?}"
    );
    let elsewhere = Command { cwd: Some("/no/such/folder".into()), ..command(&["true"]) };
    let fault = fault_of(&Connector::new(Target::Command(elsewhere)).unwrap()).await;
    assert!(
        matches!(&fault, Fault::NotStarted(why) if why.contains("/no/such/folder")),
        "{fault:?}"
    );
}

#[tokio::test]
async fn a_program_that_ends_tells_its_last_line_redacted() {
    let words = "echo first >&2; echo 'KeyError: token=abcdef1234567890' >&2; exit 3";
    for fault in [
        fault_of(&to_program(&["sh", "-c", words])).await,
        open(&server(&[("PING", words)])).await.ping(PATIENCE).await.unwrap_err(),
    ] {
        let text = fault.to_string();
        assert!(matches!(fault, Fault::Exited(_)), "{fault:?}");
        assert!(text.contains("exit status: 3") && text.contains("KeyError"), "{text}");
        assert!(!text.contains("first") && !text.contains("abcdef"), "{text}");
    }
    let fault = fault_of(&to_program(&["true"])).await;
    assert!(matches!(&fault, Fault::Exited(how) if how.contains("without a word")), "{fault:?}");
}

#[tokio::test]
async fn a_program_that_hangs_is_killed_with_what_it_started() {
    let folder = tempfile::tempdir().unwrap();
    let file = path(&folder, "pid");
    let hang = format!("sleep 1000 & echo $! > {file}; trap '' TERM; sleep 1000");
    // While it starts, and later.
    let fault = to_program(&["sh", "-c", &hang]).open(SHORT).await.map(drop).unwrap_err();
    assert!(matches!(fault, Fault::Timeout { .. }), "{fault:?}");
    is_gone(&line_of(&file).await).await;

    fs::remove_file(&file).unwrap();
    let mut session = open(&server(&[("PING", &hang)])).await;
    let fault = session.ping(SHORT).await.unwrap_err();
    assert_eq!(fault, Fault::Timeout { asked: "ping", after: SHORT });
    let grandchild = line_of(&file).await;
    drop(session);
    is_gone(&grandchild).await;
}

#[tokio::test]
async fn a_check_that_is_given_up_leaves_no_program() {
    let folder = tempfile::tempdir().unwrap();
    let file = path(&folder, "pid");
    let connector = server(&[("START", &format!("echo $$ > {file}; sleep 1000"))]);
    let pid = tokio::select! {
        fault = fault_of(&connector) => panic!("{fault:?}"),
        pid = line_of(&file) => pid,
    };
    is_gone(&pid).await;
}

#[tokio::test]
async fn a_program_is_asked_to_end_before_it_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let said = path(&folder, "said");
    let session = open(&server(&[("END", &format!("echo bye > {said}"))])).await;
    session.close().await;
    assert_eq!(line_of(&said).await, "bye");

    // It does not mind the end of its input, but SIGTERM.
    let start = format!("trap 'echo term > {said}; exit' TERM");
    let end = "while :; do sleep 0.05; done";
    let session = open(&server(&[("START", &start), ("END", end)])).await;
    session.close().await;
    assert_eq!(line_of(&said).await, "term");

    // It minds neither.
    let pid = path(&folder, "pid");
    let start = format!("echo $$ > {pid}; trap '' TERM");
    let session = open(&server(&[("START", &start), ("END", end)])).await;
    session.close().await;
    is_gone(&line_of(&pid).await).await;
}

#[tokio::test]
async fn a_program_does_not_inherit_our_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let file = path(&folder, "env");
    let start = format!("env > {file}");
    open(&server(&[("START", &start), ("MINE", "yes")])).await.close().await;
    let text = fs::read_to_string(&file).unwrap();
    let env: BTreeMap<_, _> = text.lines().filter_map(|line| line.split_once('=')).collect();
    assert_eq!(env["MINE"], "yes");
    assert_eq!(env["PATH"], std::env::var("PATH").unwrap());
    // Cargo gives it to the tests, as a unit file gives secrets to a service.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
    assert!(!env.contains_key("CARGO_MANIFEST_DIR"), "{text}");
}

#[tokio::test]
async fn a_program_runs_in_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let words = ["sh", "-c", "pwd -P > where; exit"];
    let there = Command { cwd: Some(folder.path().to_owned()), ..command(&words) };
    fault_of(&Connector::new(Target::Command(there)).unwrap()).await;
    let real = folder.path().canonicalize().unwrap();
    assert_eq!(Path::new(&line_of(&path(&folder, "where")).await), real);
}

/// The test runs itself again in a process that has few descriptors.
#[tokio::test]
async fn without_descriptors_it_is_our_own_fault() {
    const NAME: &str = "children::without_descriptors_it_is_our_own_fault";
    if std::env::var_os("FEW_DESCRIPTORS").is_none() {
        let limited = r#"ulimit -n 64 && exec "$0" --exact "$1" --nocapture"#;
        let output = tokio::process::Command::new("sh")
            .args(["-c", limited])
            .arg(std::env::current_exe().unwrap())
            .arg(NAME)
            .env("FEW_DESCRIPTORS", "yes")
            .output()
            .await
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "{output:?}");
        return;
    }
    let mut all = Vec::new();
    while let Ok(file) = fs::File::open("/dev/null") {
        all.push(file);
    }
    let fault = fault_of(&to_program(&["true"])).await;
    assert!(matches!(fault, Fault::OurSide(_)), "{fault:?}");
    let fault = fault_of(&to_url("http://127.0.0.1:9/mcp")).await;
    assert!(matches!(fault, Fault::OurSide(_)), "{fault:?}");
}
