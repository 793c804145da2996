"""Does the monitoring itself work? Scrapes, the exporter, Prometheus, Alertmanager."""

from calls import RATE
from dashboard import dashboard, row, variable
from model import BLUE, GREEN, RED, colours, instant, lines, query, stat, steps
from model import table, timeline, words

UID = "devskyy-mcp-stack"
UP = words(_1=("Up", GREEN), _0=("Down", RED))


def build():
    return dashboard(
        UID,
        "DevSkyy MCP / Stack",
        "Whether the monitoring itself works: scrapes, the exporter, Prometheus, Alertmanager.",
        [variable("job", "up"), variable("instance", 'up{job=~"$job"}')],
        'job=~"$job", instance=~"$instance"',
        [status(), scrapes(), ingest(), losses(), prometheus(), alertmanager()],
    )


def rate(metric, labels="", matchers="@"):
    grouping = f" by ({labels})" if labels else ""
    return f"sum{grouping} (rate({metric}{{{matchers}}}{RATE}))"


def state(title, description, expr):
    """A stat that is 1 when all is well."""
    return stat(title, description, "none", 4, query(expr), graph=False,
                thresholds=steps(RED, (1, GREEN)), mappings=words(_1=("OK", GREEN), _0=("FAILED", RED)))


def status():
    return row(
        "Status", 4,
        stat("Targets down", "Scrape targets that did not answer the last scrape.", "none", 4,
             query("count(up{@}) - sum(up{@})"), thresholds=steps(GREEN, (1, RED)), graph=False),
        state("Services' config", "Whether every service of ours last loaded its configuration.",
              "min(mcp_config_last_reload_successful{@})"),
        state("Prometheus config", "Whether Prometheus last loaded its configuration.",
              "min(prometheus_config_last_reload_successful{@})"),
        state("Alertmanager config", "Whether Alertmanager last loaded its configuration.",
              "min(alertmanager_config_last_reload_successful{@})"),
        stat("Live sources", "Processes that reported to the exporter within the expiry time.",
             "none", 4, query("sum(mcp_live_sources{@})")),
        stat("Rule failures in range", "Evaluations of rules that failed in the chosen time range: an "
             "alert that cannot be evaluated is silent.",
             "none", 4,
             instant("sum(increase(prometheus_rule_evaluation_failures_total{@}[$__range]))"),
             thresholds=steps(GREEN, (1, RED)), graph=False, decimals=0),
    )


def scrapes():
    return row(
        "Scrapes", 8,
        timeline("Targets", "Whether each scrape target answers.",
                 "none", 8, query("up{@}", "{{job}} {{instance}}"), UP),
        lines("Scrape duration", "How long Prometheus waits for each target; the limit is 10 s.",
              "s", 8, query("scrape_duration_seconds{@}", "{{job}} {{instance}}")),
        lines("Samples per scrape", "Series that each target serves. A growth that does not end is a "
              "label without a bound.",
              "short", 8, query("scrape_samples_scraped{@}", "{{job}} {{instance}}")),
    )


def ingest():
    return row(
        "Exporter", 8,
        lines("Events", "Events per second by what became of them: accepted, rejected, or in a batch "
              "that was counted before.",
              "ops", 6, query(rate("mcp_ingest_events_total", "result"), "{{result}}"),
              overrides=colours(accepted=GREEN, rejected=RED, replayed=BLUE)),
        lines("Posts", "Posts of events per second, by reply.",
              "reqps", 6, query(rate("mcp_ingest_requests_total", "code"), "{{code}}"), stacked=True),
        lines("Bytes received", "Bodies of posts before decompression.",
              "Bps", 6, query(rate("mcp_ingest_body_bytes_total"), "received")),
        lines("Time to answer a scrape", "Gathering and encoding; half and 99 % of scrapes stay below.",
              "s", 6,
              [query(f"histogram_quantile({quantile}, "
                     f"{rate('mcp_scrape_duration_seconds_bucket', 'le')})", name)
               for quantile, name in ((0.5, "p50"), (0.99, "p99"))]),
        lines("Live sources", "Processes that reported within the expiry time.",
              "none", 8, query("sum by (instance) (mcp_live_sources{@})", "{{instance}}")),
        lines("Alerts received", "Alerts that Alertmanager sent to the exporter's page, per second.",
              "ops", 8, query(rate("mcp_alerts_received_total", "status"), "{{status}}"),
              overrides=colours(firing=RED, resolved=GREEN)),
        table("Builds", "What runs where.", "none", 8,
              {"": "max by (service, version, instance) (mcp_build_info{@})"},
              labels={"service": "Service", "version": "Version", "instance": "Instance"},
              sort="Service", descending=False),
    )


def losses():
    return row(
        "Losses: what was seen and is in no number", 7,
        lines("Names not admitted", "Names per second that were written as _other because their label's "
              "budget is spent.",
              "ops", 8, query(rate("mcp_label_overflow_total", "label"), "{{label}}")),
        lines("Duplicate observers", "Calls per second that a second kind of observer reported for the "
              "same server; they were not counted again. Switch one off.",
              "ops", 8, query(rate("mcp_duplicate_observer_total", "server"), "{{server}}")),
        lines("Dropped events", "Events per second that the tap or the SDK dropped rather than delay "
              "the traffic.",
              "ops", 8,
              [query(rate("mcp_tap_events_dropped_total", "server"), "tap of {{server}}"),
               query(rate("mcp_sdk_events_dropped_total", "instance"), "SDK {{instance}}")]),
    )


def prometheus():
    return row(
        "Prometheus", 7,
        lines("Series", "Series in memory.",
              "short", 6, query("sum by (instance) (prometheus_tsdb_head_series{@})", "{{instance}}")),
        lines("Samples", "Samples appended per second.",
              "cps", 6, query(rate("prometheus_tsdb_head_samples_appended_total", "instance"),
                              "{{instance}}")),
        lines("Rule evaluation", "How long the last evaluation of each group of rules took; it must stay "
              "far below the group's interval.",
              "s", 6,
              query("max by (rule_group) (prometheus_rule_group_last_duration_seconds{@})",
                    "{{rule_group}}")),
        lines("Alerts not delivered", "Notifications per second that Prometheus dropped, or failed to "
              "send to Alertmanager.",
              "ops", 6,
              [query(rate("prometheus_notifications_dropped_total"), "dropped"),
               query(rate("prometheus_notifications_errors_total"), "failed")]),
    )


def alertmanager():
    return row(
        "Alertmanager", 7,
        lines("Alerts", "Alerts that Alertmanager holds, by state.",
              "none", 8, query("sum by (state) (alertmanager_alerts{@})", "{{state}}")),
        lines("Notifications", "Notifications sent per second, by integration.",
              "ops", 8,
              query(rate("alertmanager_notifications_total", "integration"), "{{integration}}")),
        lines("Failed notifications", "Notifications per second that did not arrive, by integration: "
              "nobody is told.",
              "ops", 8,
              query(rate("alertmanager_notifications_failed_total", "integration"),
                    "{{integration}}")),
    )
