"""Records tool calls with prometheus_client, labels() at every call.

Each line on stdin is answered with the nanoseconds that one call took: the median of many short
chunks, so that a chunk in which the scheduler gave the core to somebody else does not count.
"""

import random
import statistics
import sys
import time

from prometheus_client import CollectorRegistry, Counter, Histogram

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 120, 300)
CHUNKS = 40
CALLS_PER_CHUNK = 100
REGISTRY = CollectorRegistry()
CALLS = Counter(
    "mcp_tool_calls_total", "Calls.", ("server", "status", "tool_name"), registry=REGISTRY
)
DURATION = Histogram(
    "mcp_request_duration_seconds",
    "Durations.",
    ("server", "tool_name"),
    buckets=BOUNDS,
    registry=REGISTRY,
)
# The operation histogram of OpenTelemetry's convention: what is compared does the same work.
OPERATION_BOUNDS = tuple({0.025: 0.02, 0.25: 0.2}.get(bound, bound) for bound in BOUNDS)
OPERATIONS = Histogram(
    "mcp_server_operation_duration_seconds",
    "Durations.",
    ("mcp_method_name", "server"),
    buckets=OPERATION_BOUNDS,
    registry=REGISTRY,
)
RANDOM = random.Random(1)
WORK = [
    (f"search_catalogue_{RANDOM.randrange(100)}", 0.0005 * 10 ** RANDOM.uniform(0, 4))
    for _ in range(CHUNKS * CALLS_PER_CHUNK)
]


def chunk(first: int) -> float:
    start = time.perf_counter_ns()
    for tool, seconds in WORK[first : first + CALLS_PER_CHUNK]:
        CALLS.labels("bench", "success", tool).inc()
        DURATION.labels("bench", tool).observe(seconds)
        OPERATIONS.labels("tools/call", "bench").observe(seconds)
    return (time.perf_counter_ns() - start) / CALLS_PER_CHUNK


for _ in sys.stdin:
    print(statistics.median(chunk(n * CALLS_PER_CHUNK) for n in range(CHUNKS)), flush=True)
