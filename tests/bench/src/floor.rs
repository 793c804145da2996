//! The least work that counts a call: the atomics themselves and the search for the bucket, with
//! the tool known by its index.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use mcpmon_metrics::catalogue::{CALL_BOUNDS, OPERATION_BOUNDS};

use crate::workload::{Call, TOOLS};

#[derive(Debug, Default)]
struct Histogram {
    buckets: [AtomicU64; CALL_BOUNDS.len() + 1],
    nanos: AtomicU64,
}

#[derive(Debug, Default)]
struct Tool {
    calls: AtomicU64,
    duration: Histogram,
    operation: Histogram,
    request_size: [AtomicU64; 2],
    response_size: [AtomicU64; 2],
}

#[derive(Debug)]
pub(crate) struct Floor {
    tools: Vec<Tool>,
}

impl Histogram {
    fn record(&self, bounds: &[f64], seconds: f64) {
        let bucket = bounds.partition_point(|bound| *bound < seconds);
        self.buckets[bucket].fetch_add(1, Relaxed);
        self.nanos.fetch_add((seconds * 1e9) as u64, Relaxed);
    }
}

impl Floor {
    pub(crate) fn new() -> Self {
        let tools = (0..TOOLS).map(|_| Tool::default()).collect();
        Self { tools }
    }

    /// A counter and a histogram.
    pub(crate) fn call(&self, call: Call) {
        let tool = &self.tools[call.tool];
        tool.calls.fetch_add(1, Relaxed);
        tool.duration.record(CALL_BOUNDS, call.seconds);
    }

    /// What a call with all details writes: the above, the operation, two sizes.
    pub(crate) fn detailed_call(&self, call: Call) {
        self.call(call);
        let tool = &self.tools[call.tool];
        tool.operation.record(OPERATION_BOUNDS, call.seconds);
        for (sizes, bytes) in [(&tool.request_size, 180), (&tool.response_size, 5_120)] {
            sizes[0].fetch_add(1, Relaxed);
            sizes[1].fetch_add(bytes, Relaxed);
        }
    }
}
