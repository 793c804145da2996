//! W3C trace context, <https://www.w3.org/TR/trace-context/>: the trace that a request belongs to.

use mcpmon_metrics::TraceId;

/// The trace id of a `traceparent`: `00-<trace id>-<parent id>-<flags>` in lower case. A later
/// version may have more behind these. Whatever is not valid as a whole names no trace.
pub(super) fn trace_id(traceparent: &str) -> Option<TraceId> {
    let mut fields = traceparent.split('-');
    let mut field = |length| fields.next().filter(|field| is_hex(field, length));
    let (version, trace, parent) = (field(2)?, field(32)?, field(16)?);
    field(2)?;
    let is_known = version != "ff" && (version != "00" || fields.next().is_none());
    let has_parent = parent.bytes().any(|digit| digit != b'0');
    // The id itself refuses to be all zero.
    trace.parse().ok().filter(|_| is_known && has_parent)
}

fn is_hex(field: &str, length: usize) -> bool {
    field.len() == length && field.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const PARENT: &str = "b7ad6b7169203331";

    fn read(traceparent: &str) -> Option<String> {
        trace_id(traceparent).map(|id| id.to_string())
    }

    #[test]
    fn valid_ones_name_their_trace() {
        for valid in [
            format!("00-{TRACE}-{PARENT}-01"),
            format!("00-{TRACE}-{PARENT}-00"),
            format!("cc-{TRACE}-{PARENT}-09"),
            format!("cc-{TRACE}-{PARENT}-09-what-comes-then"),
        ] {
            assert_eq!(read(&valid).as_deref(), Some(TRACE), "{valid}");
        }
    }

    #[test]
    fn invalid_ones_name_none() {
        let zeros = "0".repeat(32);
        for invalid in [
            String::new(),
            TRACE.to_owned(),
            format!("ff-{TRACE}-{PARENT}-01"),
            format!("0-{TRACE}-{PARENT}-01"),
            format!("0g-{TRACE}-{PARENT}-01"),
            format!("00-{zeros}-{PARENT}-01"),
            format!("00-{TRACE}-{}-01", &zeros[..16]),
            format!("00-{}-{PARENT}-01", TRACE.to_uppercase()),
            format!("00-{TRACE}-{PARENT}"),
            format!("00-{TRACE}-{PARENT}-1"),
            format!("00-{TRACE}-{PARENT}-01-more"),
            format!("00-{TRACE}-{PARENT}-01-"),
            format!("00-{}-{PARENT}-01", &TRACE[1..]),
            format!(" 00-{TRACE}-{PARENT}-01"),
            format!("00_{TRACE}_{PARENT}_01"),
        ] {
            assert_eq!(read(&invalid), None, "{invalid}");
        }
    }
}
