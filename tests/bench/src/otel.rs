//! OpenTelemetry as its documentation shows it: attributes are built at every call.

use anyhow::Context;
use mcpmon_metrics::catalogue::{CALL_BOUNDS, REQUEST_DURATION, TOOL_CALLS};
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram, MeterProvider};
use opentelemetry_sdk::metrics::{Instrument, SdkMeterProvider, Stream};
use prometheus::{Registry, TextEncoder};

use crate::workload::SERVER;

/// A counter and a histogram without bound label sets.
#[derive(Debug)]
pub(crate) struct Unbound {
    calls: Counter<u64>,
    duration: Histogram<f64>,
    registry: Registry,
    // Dropping the provider would end the pipeline.
    _provider: SdkMeterProvider,
}

impl Unbound {
    /// Room for the series of `tools` tools, where the default folds them into one at 2,000.
    pub(crate) fn new(tools: usize) -> anyhow::Result<Self> {
        let registry = Registry::new();
        let exporter = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .build()
            .context("OpenTelemetry's exporter cannot be built")?;
        let room =
            move |_: &Instrument| Stream::builder().with_cardinality_limit(tools + 1).build().ok();
        let provider = SdkMeterProvider::builder().with_reader(exporter).with_view(room).build();
        let meter = provider.meter("bench");
        let duration = meter.f64_histogram(REQUEST_DURATION.name);
        Ok(Self {
            calls: meter.u64_counter(TOOL_CALLS.name).build(),
            duration: duration.with_boundaries(CALL_BOUNDS.to_vec()).build(),
            registry,
            _provider: provider,
        })
    }

    /// Records a successful call; names come from outside, so they are copied.
    pub(crate) fn call(&self, tool: &str, seconds: f64) {
        let server = KeyValue::new("server", SERVER);
        let name = KeyValue::new("tool_name", tool.to_owned());
        let status = KeyValue::new("status", "success");
        self.calls.add(1, &[server.clone(), status, name.clone()]);
        self.duration.record(seconds, &[server, name]);
    }

    /// A scrape.
    pub(crate) fn encode(&self) -> anyhow::Result<String> {
        Ok(TextEncoder::new().encode_to_string(&self.registry.gather())?)
    }
}
