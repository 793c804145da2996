//! A boutique on a real socket, a real client, and a look at the numbers.

use std::time::Duration;

use boutique_server::Options;
use mcpmon_sdk::Monitor;
use rmcp::RoleClient;
use rmcp::model::{CallToolRequestParams, CallToolResult, ProtocolVersion};
use rmcp::service::{ClientInitializeError, RunningService, ServiceError};
use rmcp::service::{ClientLifecycleMode, ClientServiceExt};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub(crate) type Client = RunningService<RoleClient, ()>;

pub(crate) struct Boutique {
    pub(crate) url: String,
    pub(crate) monitor: Monitor,
    stop: oneshot::Sender<()>,
    served: JoinHandle<std::io::Result<()>>,
}

impl Boutique {
    /// Opens one whose work takes a twentieth of its simulated time.
    pub(crate) async fn open() -> Self {
        Self::open_at(0.05).await
    }

    pub(crate) async fn open_at(pace: f64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        let monitor = Monitor::builder("boutique").build().unwrap();
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(boutique_server::serve(
            listener,
            Vec::new(),
            monitor.clone(),
            Options { seed: 1, pace },
            async {
                let _ = stopped.await;
            },
        ));
        Self { url, monitor, stop, served }
    }

    pub(crate) async fn connect(&self, lifecycle: ClientLifecycleMode) -> Client {
        self.knock(None, lifecycle).await.unwrap()
    }

    pub(crate) async fn knock(
        &self,
        token: Option<&str>,
        lifecycle: ClientLifecycleMode,
    ) -> Result<Client, ClientInitializeError> {
        // Another crate of the build may have given reqwest TLS without a provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut config = StreamableHttpClientTransportConfig::with_uri(self.url.as_str());
        if let Some(token) = token {
            config = config.auth_header(token);
        }
        let transport = StreamableHttpClientTransport::with_client(reqwest::Client::new(), config);
        ().serve_with_lifecycle(transport, lifecycle).await
    }

    /// The value of the series of `family` whose labels include `labels`; 0 when there is none.
    pub(crate) fn value(&self, family: &str, labels: &[&str]) -> f64 {
        let text = self.monitor.metrics_text().unwrap();
        let is_wanted = |line: &&str| {
            line.split(['{', ' ']).next() == Some(family)
                && labels.iter().all(|label| line.contains(label))
        };
        let value = |line: &str| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap();
        text.lines().filter(is_wanted).map(value).sum()
    }

    /// Waits until [`Self::value`] is `value`.
    pub(crate) async fn reaches(&self, family: &str, labels: &[&str], value: f64) {
        let reached = async {
            let mut tick = tokio::time::interval(Duration::from_millis(10));
            while self.value(family, labels) != value {
                tick.tick().await;
            }
        };
        if tokio::time::timeout(Duration::from_secs(10), reached).await.is_err() {
            panic!("{family}{labels:?} is {}, not {value}", self.value(family, labels));
        }
    }

    pub(crate) async fn close(self) {
        self.stop.send(()).unwrap();
        self.served.await.unwrap().unwrap();
    }
}

pub(crate) fn legacy() -> ClientLifecycleMode {
    ClientLifecycleMode::Initialize
}

pub(crate) fn modern() -> ClientLifecycleMode {
    ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] }
}

pub(crate) async fn call(
    client: &Client,
    tool: &'static str,
    arguments: Value,
) -> Result<CallToolResult, ServiceError> {
    let arguments = arguments.as_object().unwrap().clone();
    client.call_tool(CallToolRequestParams::new(tool).with_arguments(arguments)).await
}
