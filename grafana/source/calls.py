"""Queries about calls that more than one dashboard asks."""

from model import GREEN, GREY, ORANGE, RED, YELLOW, colours, steps, words

RATE = "[$__rate_interval]"

STATUS_COLOURS = colours(success=GREEN, error=RED, timeout=ORANGE, cancelled=GREY)
ERROR_RATIO_STEPS = steps(GREEN, (0.01, YELLOW), (0.05, RED))
LATENCY_STEPS = steps(GREEN, (1, YELLOW), (5, RED))
# Grey while nothing is known; the verdict is red below 80 % of the tools.
PROBED_STEPS = steps(GREY, (0, RED), (0.8, YELLOW), (1, GREEN))
AVAILABILITY = words(_1=("Available", GREEN), _0=("Unavailable", RED))


def by(labels):
    return f" by ({labels})" if labels else ""


def call_rate(labels=""):
    return f"sum{by(labels)} (rate(mcp_tool_calls_total{{@}}{RATE}))"


def error_ratio(labels=""):
    """Errors and timeouts over everything but cancelled calls; nothing while there are no calls."""
    failed = f'sum{by(labels)} (rate(mcp_tool_calls_total{{@, status=~"error|timeout"}}{RATE}))'
    ended = f'sum{by(labels)} (rate(mcp_tool_calls_total{{@, status!="cancelled"}}{RATE}))'
    return f"{failed}\n/ ({ended} > 0)"


def latency(quantile, labels=""):
    grouping = f"le, {labels}" if labels else "le"
    buckets = f"rate(mcp_request_duration_seconds_bucket{{@}}{RATE})"
    return f"histogram_quantile({quantile}, sum by ({grouping}) ({buckets}))"


def mean_size(which, labels):
    """Mean bytes of requests or responses; nothing while none has a size."""
    total = f"sum by ({labels}) (rate(mcp_{which}_size_bytes_sum{{@}}{RATE}))"
    count = f"sum by ({labels}) (rate(mcp_{which}_size_bytes_count{{@}}{RATE}))"
    return f"{total}\n/ ({count} > 0)"
