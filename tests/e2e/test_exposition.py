"""The scrape as Prometheus's own tool and its Python library read it."""

from exporter import promtool_remarks


def test_promtool_finds_nothing_to_say(observed):
    assert promtool_remarks(observed.scrape.text) == ""


def test_prometheus_client_reads_types_and_help(observed):
    families = observed.scrape.families()
    assert families["mcp_tool_calls"].type == "counter"
    assert families["mcp_request_duration_seconds"].type == "histogram"
    assert families["mcp_request_size_bytes"].type == "summary"
    assert families["mcp_active_connections"].type == "gauge"
    for family in families.values():
        assert family.documentation, family.name
        for sample in family.samples:
            assert "otel_scope_name" not in sample.labels, sample
