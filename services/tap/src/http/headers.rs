//! Which headers pass: all but those of one connection (RFC 9110, 7.6.1), in their order.

use hyper::header::{
    CONNECTION, HeaderMap, HeaderName, HeaderValue, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

static OURS: [HeaderName; 7] =
    [CONNECTION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, KEEP_ALIVE, PROXY_CONNECTION];

/// The headers that are for the other end. How the body is framed hyper says anew. Most messages
/// have no other ones, and theirs are not copied.
pub(super) fn end_to_end(headers: HeaderMap) -> HeaderMap {
    let named: Vec<&str> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(',').map(str::trim))
        .collect();
    let is_ours = |name: &HeaderName| {
        OURS.contains(name) || named.iter().any(|named| named.eq_ignore_ascii_case(name.as_str()))
    };
    if !headers.keys().any(is_ours) {
        return headers;
    }
    // A removal would put the last header in the place of the one that goes.
    let mut passing = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers.iter().filter(|(name, _)| !is_ours(name)) {
        passing.append(name.clone(), value.clone());
    }
    passing
}

/// The one text under `name`.
pub(super) fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).map(HeaderValue::to_str)?.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_each_connections_own_is_left_out() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("host", "h"),
            ("connection", "keep-alive, X-Hop"),
            ("x-hop", "1"),
            ("accept", "a"),
            ("keep-alive", "timeout=5"),
            ("accept", "b"),
            ("transfer-encoding", "chunked"),
            ("te", "trailers"),
            ("upgrade", "h2c"),
            ("mcp-session-id", "s"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        let passing = end_to_end(headers);
        let passing: Vec<_> =
            passing.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        let expected = [("host", "h"), ("accept", "a"), ("accept", "b"), ("mcp-session-id", "s")];
        assert_eq!(passing, expected);
    }

    #[test]
    fn where_nothing_is_left_out_all_stay_in_their_order() {
        let mut headers = HeaderMap::new();
        for (name, value) in [("host", "h"), ("accept", "a"), ("x", "1"), ("accept", "b")] {
            headers.append(name, HeaderValue::from_static(value));
        }
        let passing = end_to_end(headers.clone());
        assert_eq!(passing.iter().collect::<Vec<_>>(), headers.iter().collect::<Vec<_>>());
    }
}
