//! Times, failures and error texts in words for people.

use mcpmon_coordination::incident::Failure;
use mcpmon_metrics::redact;

/// `5 min 12 s`: the two greatest units.
pub(super) fn duration(ms: u64) -> String {
    let seconds = ms / 1_000;
    let units = [
        ("d", seconds / 86_400),
        ("h", seconds / 3_600 % 24),
        ("min", seconds / 60 % 60),
        ("s", seconds % 60),
    ];
    let first = units.iter().position(|(_, count)| *count > 0).unwrap_or(3);
    let told = units[first..].iter().take(2).filter(|(_, count)| *count > 0);
    let words: Vec<_> = told.map(|(unit, count)| format!("{count} {unit}")).collect();
    if words.is_empty() { "less than a second".to_owned() } else { words.join(" ") }
}

/// What failed, as a person would say it.
pub(super) fn failure(failure: Failure) -> &'static str {
    match failure {
        Failure::ConnectionRefused => "connection refused",
        Failure::Dns => "name not resolved",
        Failure::Tls => "TLS failed",
        Failure::Timeout => "timeout",
        Failure::Http4xx => "HTTP 4xx",
        Failure::Http5xx => "HTTP 5xx",
        Failure::BadBody => "unreadable answer",
        Failure::McpBroken => "HTTP up, MCP broken",
        Failure::ProtocolMismatch => "protocol mismatch",
        Failure::ToolsMissing => "tools missing",
        Failure::CanaryFailed => "canary call failed",
        Failure::AuthRequired => "authorization required",
        Failure::RateLimited => "rate limited",
        Failure::Other => "failed",
    }
}

/// Redacted once more, on one line, of at most that many characters.
pub(super) fn line(text: &str, longest: usize) -> String {
    let text = redact::redact(text);
    let words: Vec<_> = text.split_whitespace().collect();
    let line: String = words.join(" ").chars().filter(|c| !c.is_control()).collect();
    match line.char_indices().nth(longest) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_two_units() {
        let cases = [
            (999, "less than a second"),
            (12_000, "12 s"),
            (312_000, "5 min 12 s"),
            (300_000, "5 min"),
            (3_605_000, "1 h"),
            (7_500_000, "2 h 5 min"),
            (273_600_000, "3 d 4 h"),
        ];
        for (ms, words) in cases {
            assert_eq!(duration(ms), words);
        }
    }

    #[test]
    fn lines_are_short_and_redacted() {
        let text = line("GET\nhttp://joe:s3cret@host failed\u{7} with password=hunter2", 60);
        assert_eq!(text, "GET http://[redacted]@host failed with password=[redacted]");
        assert_eq!(line("abcdef", 3), "abc…");
    }
}
