//! The first event of HTTP+SSE: where the client has to post to.
//!
//! Most servers name a path, and where the tap has no prefix that passes as it is. An absolute
//! address would lead past the tap, and past a prefix any path does: then, and only then, the
//! event's data is another. It is the one place where a body is not passed byte for byte.

use std::sync::Arc;

use hyper::body::Bytes;

use super::upstream::Upstream;

/// An event that is longer is no endpoint.
const MAX_EVENT: usize = 8 * 1024;

/// How the event begins, as the SDKs write it.
const BEGINNINGS: [&[u8]; 2] = [b"event: endpoint", b"event:endpoint"];

/// Waits for the end of a stream's first event, if that names an endpoint.
#[derive(Debug)]
pub(super) struct Endpoint {
    upstream: Arc<Upstream>,
    event: Vec<u8>,
}

impl Endpoint {
    pub(super) fn new(upstream: Arc<Upstream>) -> Self {
        Self { upstream, event: Vec::new() }
    }

    /// Takes the next bytes; gives what is to be passed on, and then nothing is held back.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Option<Bytes> {
        self.event.extend_from_slice(bytes);
        let event = &self.event;
        let may_be = |beginning: &&[u8]| {
            let common = beginning.len().min(event.len());
            beginning[..common] == event[..common]
        };
        let is_whole = [&b"\n\n"[..], b"\r\n\r\n", b"\r\r"]
            .iter()
            .any(|end| event.windows(end.len()).any(|window| window == *end));
        if !BEGINNINGS.iter().any(may_be) || event.len() > MAX_EVENT {
            return self.take();
        }
        if !is_whole {
            return None;
        }
        let Ok(text) = std::str::from_utf8(event) else { return self.take() };
        match self.rewritten(text) {
            Some(text) => Some(text.into()),
            None => self.take(),
        }
    }

    /// What is held back, as it is.
    pub(super) fn take(&mut self) -> Option<Bytes> {
        Some(std::mem::take(&mut self.event).into())
    }

    fn rewritten(&self, text: &str) -> Option<String> {
        let start = text.find("data:")? + "data:".len();
        let start = start + usize::from(text[start..].starts_with(' '));
        let end = start + text[start..].find(['\r', '\n'])?;
        let there = self.upstream.reference(&text[start..end])?;
        Some(format!("{}{there}{}", &text[..start], &text[end..]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(upstream: &str, chunks: &[&str]) -> String {
        let mut endpoint = Some(Endpoint::new(Arc::new(Upstream::parse(upstream).unwrap())));
        let mut out = String::new();
        for chunk in chunks {
            let Some(waiting) = &mut endpoint else {
                out.push_str(chunk);
                continue;
            };
            if let Some(bytes) = waiting.feed(chunk.as_bytes()) {
                out.push_str(std::str::from_utf8(&bytes).unwrap());
                endpoint = None;
            }
        }
        out
    }

    #[test]
    fn a_path_passes_as_it_is_unless_there_is_a_prefix() {
        let event = "event: endpoint\r\ndata: /m?s=1\r\n\r\n";
        assert_eq!(passed("http://h:1", &[event, "data: x"]), format!("{event}data: x"));
        let there = "event: endpoint\r\ndata: /a/m?s=1\r\n\r\n";
        for at in [1, 9, 17, 30, 36] {
            let (first, second) = event.split_at(at.min(event.len()));
            assert_eq!(passed("/a=http://h:1", &[first, second]), there, "{at}");
        }
    }

    #[test]
    fn an_absolute_address_leads_back_through_the_tap() {
        let event = "event: endpoint\ndata: http://h:1/m?s=1\n\n: ping";
        assert_eq!(passed("http://h:1", &[event]), "event: endpoint\ndata: /m?s=1\n\n: ping");
    }

    #[test]
    fn any_other_stream_is_not_held_back() {
        for first in ["id: 1", "e\n", "event: message\n", ":"] {
            assert_eq!(passed("/a=http://h:1", &[first]), first);
        }
    }
}
