//! Probes on a schedule, verdicts, messages to Slack.
