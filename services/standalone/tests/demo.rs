//! The demo's clients against the boutique, in one process.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use boutique_server::Options;
use mcpmon::demo::{Counts, Crowd, Totals, Traffic, drive};
use mcpmon_sdk::Monitor;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

const OPTIONS: Options = Options { seed: 1, pace: 0.1 };

struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    served: JoinHandle<std::io::Result<()>>,
}

impl Server {
    async fn open(address: SocketAddr, monitor: &Monitor) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let stopped = async {
            let _ = stopped.await;
        };
        let served = boutique_server::serve(listener, vec![], monitor.clone(), OPTIONS, stopped);
        let served = tokio::spawn(served);
        Self { address, stop, served }
    }

    async fn close(self) {
        self.stop.send(()).unwrap();
        self.served.await.unwrap().unwrap();
    }
}

fn anywhere() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

fn traffic(address: SocketAddr) -> Traffic {
    Traffic { url: format!("http://{address}/mcp").into(), seed: 1, pace: OPTIONS.pace }
}

fn sum(text: &str, family: &str) -> f64 {
    let of_family = |line: &&str| line.split(['{', ' ']).next() == Some(family);
    let value = |line: &str| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap();
    text.lines().filter(of_family).map(value).sum()
}

async fn until(totals: &Totals, reached: impl Fn(Counts) -> bool) {
    let wait = async {
        let mut tick = tokio::time::interval(Duration::from_millis(10));
        while !reached(totals.read()) {
            tick.tick().await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(20), wait).await;
    assert!(waited.is_ok(), "not reached: {:?}", totals.read());
}

/// What lines of the exposition hold once the demo has shown everything.
const SHOWN: [&str; 32] = [
    "status=\"success\"",
    "status=\"error\"",
    "status=\"timeout\"",
    "status=\"cancelled\"",
    "limit_type=\"per_minute\"",
    "limit_type=\"upstream\"",
    "error_type=\"api_error\"",
    "error_type=\"validation_error\"",
    "status=\"pending\"",
    "status=\"failed\"",
    "reason=\"invalid_token\"",
    "reason=\"expired_token\"",
    "reason=\"missing_token\"",
    "reason=\"insufficient_scope\"",
    "validation_type=\"sanitization\"",
    "validation_type=\"schema\"",
    "validation_type=\"business_rule\"",
    "event_type=\"path_traversal\"",
    "event_type=\"injection_attempt\"",
    "event_type=\"suspicious_input\"",
    "mcp_method_name=\"initialize\"",
    "mcp_method_name=\"server/discover\"",
    "mcp_method_name=\"tools/list\"",
    "type=\"cache_read\"",
    "mcp_llm_cost_usd_total{",
    "mcp_llm_unpriced_tokens_total{",
    "mcp_agent_usage_total{",
    "mcp_request_size_bytes_sum{",
    "mcp_response_size_bytes_sum{",
    "mcp_server_info{",
    "mcp_server_uptime_seconds{",
    "mcp_active_connections{",
];

fn missing(monitor: &Monitor) -> Vec<&'static str> {
    let text = monitor.metrics_text().unwrap();
    let is_missing =
        |wanted: &&str| !text.lines().any(|line| line.contains(*wanted) && !line.ends_with(" 0"));
    SHOWN.into_iter().filter(is_missing).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_shows_every_kind_of_number() {
    let monitor = Monitor::builder("boutique").build().unwrap();
    let server = Server::open(anywhere(), &monitor).await;
    let totals = Arc::new(Totals::default());
    let mut left = SHOWN.to_vec();
    let everything = async {
        let mut tick = tokio::time::interval(Duration::from_millis(50));
        while !left.is_empty() {
            tick.tick().await;
            // Shown at any time is shown: a gauge is 0 again when its clients have gone.
            let missing = missing(&monitor);
            left.retain(|wanted| missing.contains(wanted));
        }
    };
    let in_time = async {
        let _ = tokio::time::timeout(Duration::from_secs(20), everything).await;
    };
    drive(Crowd::Boutique, traffic(server.address), Arc::clone(&totals), in_time).await;
    assert_eq!(left, [""; 0], "not shown");
    server.close().await;

    let text = monitor.metrics_text().unwrap();
    for gauge in ["mcp_queue_depth", "mcp_tool_inflight"] {
        assert!(text.contains(&format!("\n{gauge}{{")), "no series of {gauge}");
    }
    let Counts { calls, errors, cancelled, refused, lost } = totals.read();
    // A call that was given up before it left the client is one that no server saw.
    let unseen = calls as f64 - sum(&text, "mcp_tool_calls_total");
    assert!((0.0..=cancelled as f64).contains(&unseen), "{unseen} of {calls} calls are unseen");
    assert!(errors > 0 && cancelled > 0, "{errors} errors, {cancelled} cancelled");
    assert!(sum(&text, "mcp_auth_failures_total") >= refused as f64, "{refused} refused");
    assert_eq!(lost, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_comes_back_is_used_again() {
    let monitor = Monitor::builder("boutique").build().unwrap();
    let totals = Arc::new(Totals::default());
    let server = Server::open(anywhere(), &monitor).await;
    let address = server.address;
    let (stop, stopped) = oneshot::channel::<()>();
    let driven =
        tokio::spawn(drive(Crowd::Boutique, traffic(address), Arc::clone(&totals), async {
            let _ = stopped.await;
        }));

    until(&totals, |counts| counts.calls > 50).await;
    server.close().await;
    until(&totals, |counts| counts.lost > 5).await;
    let before = totals.read().calls;
    let server = Server::open(address, &monitor).await;
    until(&totals, |counts| counts.calls > before + 50).await;

    stop.send(()).unwrap();
    driven.await.unwrap();
    server.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_atelier_has_clients_of_its_own() {
    let listener = TcpListener::bind(anywhere()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let served = tokio::spawn(atelier_server::serve(listener, vec![], OPTIONS.pace, async {
        let _ = stopped.await;
    }));
    let totals = Arc::new(Totals::default());
    let enough = async {
        until(&totals, |counts| counts.calls > 150 && counts.errors > 1 && counts.cancelled > 0)
            .await;
    };
    drive(Crowd::Atelier, traffic(address), Arc::clone(&totals), enough).await;
    stop.send(()).unwrap();
    served.await.unwrap().unwrap();
    let Counts { calls, errors, refused, lost, .. } = totals.read();
    assert!(errors * 10 < calls, "most of {calls} calls end well, and {errors} do not");
    assert_eq!((refused, lost), (0, 0));
}
