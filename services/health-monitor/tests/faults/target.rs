//! Components that are broken in every way.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::thread;
use std::time::Duration;

use mcpmon_testkit::deaf::Deaf;
use mcpmon_testkit::http_script::{Answer, HttpScript};
use mcpmon_testkit::redis_server::{Persistence, RedisServer};
use serde_json::Value;

use crate::support::{Kind, Slack, Target, Way, World, assert_sound, history, until};

#[test]
fn a_flapper_is_one_trouble_that_is_told_once_and_ends_once() {
    let (redis, slack) = (RedisServer::start(Persistence::Aof), Slack::start());
    let (fast, slow) = (Target::start(), Target::start());
    let world =
        World::new(&slack).redis(redis.port()).http("fast", &fast, "").http("slow", &slow, "");
    let monitor = world.start("a");
    monitor.wait_state("fast", "healthy");
    monitor.wait_state("slow", "healthy");
    // At the period of the checks, and half of the time.
    fast.set(Way::Flapping(1));
    slow.set(Way::Flapping(2));
    for component in ["fast", "slow"] {
        slack.wait_for(component, Kind::Opened);
        monitor.wait_state(component, "degraded");
    }
    fast.rounds(24);
    slow.rounds(24);
    for component in ["fast", "slow"] {
        assert_eq!(slack.of(component), [Kind::Opened]);
        let is = monitor.component(component);
        assert_eq!(is["state"], "degraded", "{is}");
        assert!(is["warning"].as_str().unwrap().starts_with("flapping: "), "{is}");
    }
    fast.set(Way::Ok);
    slow.set(Way::Ok);
    for component in ["fast", "slow"] {
        slack.wait_for(component, Kind::Recovered);
        assert_sound(&history(&redis, component));
    }
    slack.assert_sound(true);
}

/// Takes connections, and does this with each once its request has come.
fn hostile(treat: fn(TcpStream)) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    // It ends with the process of this test.
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            thread::spawn(move || {
                let mut head = BufReader::new(&stream);
                let mut line = String::new();
                while matches!(head.read_line(&mut line), Ok(3..)) {
                    line.clear();
                }
                treat(stream);
            });
        }
    });
    addr
}

/// Reads until the other side closes.
fn mute(mut stream: TcpStream) {
    let _ = std::io::copy(&mut stream, &mut std::io::sink());
}

fn trickle(mut stream: TcpStream) {
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n";
    let _ = stream.write_all(head);
    while stream.write_all(b"x").is_ok() {
        // So slow is what it plays.
        thread::sleep(Duration::from_millis(100));
    }
}

fn endless(mut stream: TcpStream) {
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
    while stream.write_all(&[b'x'; 64 << 10]).is_ok() {}
}

fn endless_events(mut stream: TcpStream) {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
    let _ = stream.write_all(head.as_bytes());
    let event = format!(": {}\n\n", "x".repeat(16 << 10));
    while stream.write_all(event.as_bytes()).is_ok() {}
}

#[test]
fn hostile_targets_fail_in_time_with_distinct_words_and_cost_the_others_nothing() {
    let (redis, slack, good) =
        (RedisServer::start(Persistence::Aof), Slack::start(), Target::start());
    let deaf = Deaf::start();
    let closed = {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap()
    };
    let no_json = HttpScript::start(|_| {
        Answer::status(200, "{\"jsonrpc\": 2").with_header("content-type", "application/json")
    });
    let page = HttpScript::start(|_| {
        Answer::status(200, "<html>hello</html>").with_header("content-type", "text/html")
    });
    let locked = HttpScript::start(|_| Answer::status(401, "who are you"));
    let http = |addr: SocketAddr| {
        format!("kind = \"http\"\nurl = \"http://{addr}/\"\nexpect_body = \"ready\"")
    };
    let mcp = |addr: SocketAddr| format!("kind = \"mcp\"\nurl = \"http://{addr}/mcp\"");
    let world = World::new(&slack)
        .redis(redis.port())
        .http("good", &good, "")
        .component("refused", &http(closed))
        .component("deaf", &format!("kind = \"tcp\"\naddress = \"{}\"", deaf.addr()))
        .component("mute", &http(hostile(mute)))
        .component("trickle", &http(hostile(trickle)))
        .component("endless", &http(hostile(endless)))
        .component("events", &mcp(hostile(endless_events)))
        .component("no-json", &mcp(no_json.addr()))
        .component("page", &mcp(page.addr()))
        .component("locked", &mcp(locked.addr()));
    let monitor = world.start("a");
    monitor.wait_state("good", "healthy");
    let states = [
        ("refused", "unhealthy"),
        ("deaf", "unhealthy"),
        ("mute", "unhealthy"),
        ("trickle", "unhealthy"),
        ("endless", "unhealthy"),
        ("events", "unhealthy"),
        ("no-json", "http_up_mcp_broken"),
        ("page", "http_up_mcp_broken"),
        ("locked", "auth_required"),
    ];
    let mut errors = BTreeSet::new();
    for (name, state) in states {
        slack.wait_for(name, Kind::Opened);
        let is = monitor.component(name);
        assert_eq!(is["state"], state, "{is:#}");
        // The addresses differ, and must not be all that does.
        let error = is["error"].as_str().unwrap().replace(|c: char| c.is_ascii_digit(), "");
        assert!(errors.insert(error), "{errors:?} {is:#}");
    }
    assert_eq!(monitor.component("locked")["up"], true, "it wants another token, it is there");
    let memory = monitor.peak_memory();
    // Each hostile one is asked some ten times more, in which the good one has its turns.
    good.rounds(30);
    let grown = monitor.peak_memory() - memory;
    assert!(grown < 16 << 20, "{grown} bytes more, after {memory}");
    assert_eq!(monitor.component("good")["state"], "healthy");
    assert!(slack.of("good").is_empty());
    slack.assert_sound(false);
}

const HUNG: &str = r#"
echo $$ > "$STATE/pid"
sleep 600 &
echo $! > "$STATE/child"
while read -r line; do
    case $line in
    *'"initialize"'*)
        id=$(printf '%s' "$line" | sed 's/.*"id":\([0-9]*\).*/\1/')
        printf '{"jsonrpc":"2.0","id":%s,"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"sh","version":"1"}}}\n' "$id" ;;
    *'"server/discover"'*)
        id=$(printf '%s' "$line" | sed 's/.*"id":\([0-9]*\).*/\1/')
        printf '{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"Method not found"}}\n' "$id" ;;
    *'"notifications/'*) ;;
    *) wait ;;
    esac
done
"#;

#[test]
fn a_program_that_hangs_fails_in_time_and_is_ended_with_its_children() {
    let (redis, slack, good) =
        (RedisServer::start(Persistence::Aof), Slack::start(), Target::start());
    let state = tempfile::tempdir().unwrap();
    let (program, folder) = (Value::from(HUNG), state.path().display());
    let world = World::new(&slack).redis(redis.port()).http("good", &good, "").component(
        "hung",
        &format!(
            "kind = \"mcp\"\ncommand = [\"sh\", \"-c\", {program}]\n\
             env = {{ STATE = \"{folder}\" }}\nstart_timeout_seconds = 2"
        ),
    );
    let monitor = world.start("a");
    let opened = slack.wait_for("hung", Kind::Opened);
    assert!(opened.text.starts_with("timeout"), "{opened:?}");
    assert_eq!(monitor.component("good")["state"], "healthy");
    assert!(monitor.terminate().success());
    for file in ["pid", "child"] {
        let pid = fs::read_to_string(state.path().join(file)).unwrap();
        let process = format!("/proc/{}", pid.trim());
        until("no process is left", || (!Path::new(&process).exists()).then_some(()));
    }
}
