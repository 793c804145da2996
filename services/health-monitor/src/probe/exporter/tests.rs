use mcp_exporter::{Application, Config, SECTIONS};
use mcpmon_bootstrap::settings::environment_name;
use mcpmon_bootstrap::{Settings, Sources};
use mcpmon_coordination::incident::Failure;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use crate::finding::Outcome;
use crate::probe::testing::{PATIENCE, probe};

const TOKEN: &str = "read-and-write-t0ken";

fn application() -> Application {
    let keys = [("exporter.port", "0"), ("exporter.read_token", TOKEN)];
    let environment = keys.map(|(key, value)| (environment_name(key), value.to_owned())).into();
    let sources = Sources { environment, sections: SECTIONS, ..Sources::default() };
    let mut settings = Settings::load(sources).unwrap();
    let config = Config::read(&mut settings);
    settings.finish().unwrap();
    Application::build(config).unwrap()
}

fn call(tool: &str, status: &str) -> Value {
    json!({"type": "tool_call", "tool": tool, "status": status, "duration_seconds": 0.042})
}

async fn post(address: std::net::SocketAddr, body: &Value) {
    let body = body.to_string();
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
         connection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all((head + &body).as_bytes()).await.unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.unwrap();
    assert!(reply.starts_with("HTTP/1.1 2"), "{reply}");
}

#[tokio::test]
async fn a_real_exporter_is_ready_and_knows_the_calls() {
    let application = application();
    let address = application.address();
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(application.run(async { _ = stopped.await }));
    let url = format!("http://{address}");
    let source = probe("exporter", &[("url", &url), ("token", TOKEN)]);
    let finding = source.check(PATIENCE).await;
    assert_eq!((finding.outcome, finding.error), (Outcome::Ok, None));

    let mut events = vec![call("search", "success"); 3];
    events.push(json!({"type": "tool_call", "tool": "search", "status": "timeout",
        "duration_seconds": 0.042}));
    events.push(json!({"type": "tool_call", "tool": "slow", "status": "cancelled",
        "duration_seconds": 0.042}));
    post(address, &json!({"server": "boutique", "source": "b-1", "events": events})).await;
    let traffic = source.traffic().unwrap().traffic().await.unwrap();
    let boutique = traffic.servers["boutique"];
    assert_eq!((boutique.calls, boutique.error_ratio), (5.0, Some(0.25)));
    assert!(boutique.p95_seconds.is_some_and(|p95| p95 > 0.025 && p95 <= 0.05), "{traffic:?}");
    let tool = |name: &str| traffic.tools[&("boutique".to_owned(), name.to_owned())];
    assert_eq!((tool("search").calls, tool("search").error_ratio), (4.0, Some(0.25)));
    assert_eq!((tool("slow").calls, tool("slow").error_ratio), (0.0, None));

    let stranger = probe("exporter", &[("url", &url)]).traffic().unwrap().traffic().await;
    let expected = format!("GET {url}/api/v1/summary: it answers 401 Unauthorized, expected 200");
    assert_eq!(stranger, Err(expected));

    stop.send(()).unwrap();
    running.await.unwrap().unwrap();
    let finding = source.check(PATIENCE).await;
    assert_eq!(finding.outcome, Outcome::Fail(Failure::ConnectionRefused));
}
