"""Records tool calls with prometheus_client, labels() at every call.

Each line on stdin is "THREADS CALLS"; the answer is the nanoseconds that one call took each
thread: the median of five chunks of CALLS.
"""

import random
import statistics
import sys
import threading
import time

from prometheus_client import CollectorRegistry, Counter, Histogram

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 120, 300)
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
RANDOM = random.Random(1)
WORK = [
    (f"search_catalogue_{RANDOM.randrange(100)}", 0.0005 * 10 ** RANDOM.uniform(0, 4))
    for _ in range(4096)
]


def work(calls: int, first: int, start_line: threading.Barrier, nanos: list[float]) -> None:
    start_line.wait()
    start = time.perf_counter_ns()
    for place in range(first, first + calls):
        tool, seconds = WORK[place & 4095]
        CALLS.labels("bench", "success", tool).inc()
        DURATION.labels("bench", tool).observe(seconds)
    nanos.append((time.perf_counter_ns() - start) / calls)


def chunk(threads: int, calls: int) -> float:
    start_line = threading.Barrier(threads)
    nanos: list[float] = []
    workers = [
        threading.Thread(target=work, args=(calls, 1237 * n, start_line, nanos))
        for n in range(threads)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return statistics.mean(nanos)


for line in sys.stdin:
    threads, calls = map(int, line.split())
    print(statistics.median(chunk(threads, calls) for _ in range(5)), flush=True)
